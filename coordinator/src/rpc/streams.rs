//! How many streams a client may hold open: each costs memory here for as long as it pleases.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_stream::{Stream, StreamExt as _};
use tonic::Status;

use super::Answers;

/// Streams that one connection may hold open.
pub(super) const MOST_STREAMS: usize = 512;
/// Calls that one connection may have under way, streams included; more wait at the client.
pub(super) const MOST_CALLS: u32 = 1024;

/// The streams that are open, by the connection that holds them.
#[derive(Clone, Debug, Default)]
pub(super) struct Streams(Arc<Mutex<HashMap<Option<SocketAddr>, usize>>>);

/// One stream; closed when this is dropped.
#[derive(Debug)]
pub(super) struct Open {
    streams: Streams,
    client: Option<SocketAddr>,
}

impl Streams {
    /// A client opens a stream.
    pub(super) fn open(&self, client: Option<SocketAddr>) -> Result<Open, Status> {
        let mut streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let held = streams.entry(client).or_default();
        if *held >= MOST_STREAMS {
            let message = format!(
                "at most {MOST_STREAMS} open streams a connection are accepted: end some, or connect once more"
            );
            return Err(Status::resource_exhausted(message));
        }
        *held += 1;
        Ok(Open { streams: self.clone(), client })
    }
}

impl Open {
    /// The answers, which hold the stream open until they end or are dropped.
    pub(super) fn answers<T: 'static>(
        self,
        answers: impl Stream<Item = Result<T, Status>> + Send + 'static,
    ) -> Answers<T> {
        Box::pin(answers.map(move |answer| {
            let _ = &self;
            answer
        }))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut streams = self.streams.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = streams.get_mut(&self.client) {
            *held -= 1;
            if *held == 0 {
                streams.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_with_too_many_streams_is_refused_until_one_ends_and_others_are_not() {
        let (streams, client) = (Streams::default(), Some(SocketAddr::from(([127, 0, 0, 1], 1))));
        let mut open: Vec<_> = (0..MOST_STREAMS).map(|_| streams.open(client).unwrap()).collect();
        let refusal = streams.open(client).unwrap_err();
        assert_eq!(refusal.code(), tonic::Code::ResourceExhausted);
        assert!(refusal.message().starts_with("at most 512 open streams a connection"), "{refusal}");
        assert!(streams.open(None).is_ok());
        open.pop();
        open.push(streams.open(client).unwrap());
        assert!(streams.open(client).is_err());
        drop(open);
        assert!(streams.0.lock().unwrap().is_empty());
    }
}
