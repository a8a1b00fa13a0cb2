//! Carries records to the coordinator over one stream at a time, and brings back what is durable.

use std::pin::pin;
use std::sync::Arc;

use phasegrid_proto::v1;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Status;

use super::Event;
use super::outbox::{Answered, Outbox};
use super::spool::Spool;
use crate::client::{Backoff, Client, ClientError, Reclaimed, Token, verdict};

/// Messages that are taken in together.
const GULP: usize = 1024;

/// What the reporter is told.
#[derive(Debug)]
pub(super) enum Mail {
    /// A record to be carried.
    Record { token: Token, point: u64, record: Box<v1::Record> },
    /// A lease that was lost: its records wait.
    HoldBack(Token),
    /// A lease took the place of the lost one.
    Regain(Token, Reclaimed),
    /// A lease whose records nobody wants any more.
    Drop(Token),
}

/// The reporter; it ends when nobody can send it mail any more.
#[derive(Debug)]
pub(super) struct Reporter {
    client: Arc<Client>,
    mail: UnboundedReceiver<Mail>,
    events: UnboundedSender<Event>,
    outbox: Outbox,
    backoff: Backoff,
}

impl Reporter {
    pub(super) fn new(
        client: Arc<Client>,
        mail: UnboundedReceiver<Mail>,
        events: UnboundedSender<Event>,
        spool: Spool,
    ) -> Self {
        Self { client, mail, events, outbox: Outbox::new(spool), backoff: Backoff::default() }
    }

    pub(super) async fn run(mut self) -> Result<(), ClientError> {
        loop {
            while self.outbox.is_empty() {
                if !self.collect().await {
                    return Ok(());
                }
            }
            let known = self.client.known();
            match self.converse().await {
                Ok(()) => return Ok(()),
                Err(status) => {
                    tracing::debug!(%status, "the stream of reports broke");
                    self.outbox.broken();
                    self.tell_settled();
                    let (client, mut backoff) = (Arc::clone(&self.client), std::mem::take(&mut self.backoff));
                    let recovered = self.meanwhile(client.recover(&status, known, &mut backoff)).await;
                    self.backoff = backoff;
                    match recovered {
                        Some(recovered) => recovered?,
                        None => return Ok(()),
                    }
                }
            }
        }
    }

    /// Waits for something and takes in what comes meanwhile: it goes on coming while the coordinator is away. `None` if no
    /// more can come.
    async fn meanwhile<T>(&mut self, waited_for: impl Future<Output = T>) -> Option<T> {
        let mut waited_for = pin!(waited_for);
        loop {
            tokio::select! {
                done = &mut waited_for => return Some(done),
                open = self.collect() => if !open { return None },
            }
        }
    }

    /// Holds one stream for as long as it lives.
    async fn converse(&mut self) -> Result<(), Status> {
        // Bounded by the outbox's window.
        let (stream, requests) = mpsc::unbounded_channel();
        let closed = |_| Status::unavailable("the stream of reports was closed");
        // A server may wait for the first request before it answers with its headers.
        while let Some(request) = self.outbox.next() {
            stream.send(request).map_err(closed)?;
        }
        let client = Arc::clone(&self.client);
        let opened = self.meanwhile(client.report(UnboundedReceiverStream::new(requests))).await;
        let Some(answers) = opened else { return Ok(()) };
        let mut answers = answers?;
        loop {
            while let Some(request) = self.outbox.next() {
                stream.send(request).map_err(closed)?;
            }
            tokio::select! {
                answer = answers.message() => {
                    let answer = answer?.ok_or_else(|| Status::unavailable("the coordinator ended the stream of reports"))?;
                    self.answered(&answer)?;
                }
                open = self.collect() => if !open { return Ok(()) },
            }
        }
    }

    fn answered(&mut self, answer: &v1::ReportResponse) -> Result<(), Status> {
        self.client.heard();
        self.backoff.reset();
        let answered = self.outbox.answered(verdict(answer.verdict())?);
        let event = match answered.ok_or_else(|| Status::invalid_argument("an answer came to no report"))? {
            Answered::Durable(token, points) => Event::Durable { token, points },
            Answered::Stale(token) => Event::Dropped(token),
        };
        // The runner has gone if nobody listens, and the reporter is about to.
        self.events.send(event).ok();
        self.tell_settled();
        Ok(())
    }

    /// Tells which lost leases may be reclaimed now.
    fn tell_settled(&mut self) {
        for token in self.outbox.settled() {
            self.events.send(Event::Settled(token)).ok();
        }
    }

    /// Takes in what has come, waiting for at least one message. False when no more can come.
    async fn collect(&mut self) -> bool {
        let mut messages = Vec::new();
        self.mail.recv_many(&mut messages, GULP).await;
        let open = !messages.is_empty();
        for message in messages {
            match message {
                Mail::Record { token, point, record } => self.outbox.push(token, point, *record),
                Mail::HoldBack(token) => self.outbox.hold_back(&token),
                Mail::Regain(token, reclaimed) => self.outbox.regain(token, reclaimed),
                Mail::Drop(token) => self.outbox.drop_lease(&token),
            }
        }
        self.tell_settled();
        open
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::mpsc::unbounded_channel;

    use super::super::spool::SpoolSettings;
    use super::*;

    #[tokio::test]
    async fn records_are_taken_in_while_the_coordinator_is_away() {
        // Nobody listens there.
        let client = Arc::new(Client::new("http://127.0.0.1:9", &Default::default(), "w", 1, "cpu").unwrap());
        let ((mail, letters), (events, _heard)) = (unbounded_channel(), unbounded_channel());
        let spool = Spool::new(SpoolSettings { memory: 100, all: 1 << 20, folder: None });
        let reporting = tokio::spawn(Reporter::new(client, letters, events, spool).run());
        for step in 0..5 * GULP as u64 {
            let record = Box::new(v1::Record { step, ..Default::default() });
            mail.send(Mail::Record { token: Token::new("a"), point: 0, record }).unwrap();
        }
        // It sees the end of its mail behind all records, or never.
        drop(mail);
        let ended = tokio::time::timeout(Duration::from_secs(60), reporting).await;
        ended.expect("mail is left lying").unwrap().unwrap();
    }
}
