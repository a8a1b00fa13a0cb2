//! The connection of a client command to its coordinator, and what its refusals mean to a person.
//!
//! Of several coordinators on one database one leads; given the addresses of all, a client finds the one that answers, and
//! asks the next if that one goes away, stands by or falls silent. Where there is one, it is asked once.

use std::cell::Cell;
use std::collections::VecDeque;
use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use phasegrid_proto::connection::{self, CONNECT_TIME, Connection, Credentials, Obstacle, within};
use phasegrid_proto::v1;
use phasegrid_proto::v1::sweep_service_client::SweepServiceClient;
use phasegrid_proto::v1::token_service_client::TokenServiceClient;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::clock;
use crate::results::{Level, Table};
use crate::rpc::{self, MESSAGE_LIMIT};
use crate::spec::Spec;

use super::failure::Failure;
use super::input::SweepFile;

/// How long a coordinator may take for an answer: longer than a busy one takes. Streams last as long as they please.
pub(super) const ANSWER_TIME: Duration = Duration::from_secs(60);

/// How long one of several coordinators is looked for that answers: longer than another takes to take over. Of the time in
/// which one was silent no more counts than a connection may take.
const SEARCH_TIME: Duration = Duration::from_secs(15);
/// The wait before all are tried again.
const SEARCH_INTERVAL: Duration = Duration::from_millis(250);

/// Which coordinator a client command talks to.
#[derive(Clone, Debug, Args)]
pub(super) struct Remote {
    /// The coordinator to talk to; of several on one database all, with commas
    #[arg(long, value_name = "URL[,URL]…", env = "PHASEGRID_COORDINATOR", default_value = "http://127.0.0.1:7700")]
    coordinator: String,
    /// The certificate of the CA that vouches for a coordinator at https://
    #[arg(long, value_name = "FILE", env = "PHASEGRID_CA")]
    ca: Option<PathBuf>,
    /// The file that holds the token to show; PHASEGRID_TOKEN may hold the token itself
    #[arg(long, value_name = "FILE", env = "PHASEGRID_TOKEN_FILE")]
    token_file: Option<PathBuf>,
}

impl Remote {
    /// Connects to the coordinator.
    pub(super) async fn connect(&self) -> Result<Client, Failure> {
        // From the environment alone: every user of the machine can read a command line.
        let token = std::env::var("PHASEGRID_TOKEN").ok();
        let credentials = Credentials::read(self.ca.as_deref(), self.token_file.as_deref(), token.as_deref())?;
        Client::connect(&self.coordinator, &credentials).await
    }
}

/// A coordinator, and what can be asked of it.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub(super) sweeps: SweepServiceClient<Connection>,
    pub(super) tokens: TokenServiceClient<Connection>,
    /// It is asked without a token.
    health: HealthClient<Channel>,
    url: String,
    /// It could not be trusted when it was asked last, and it cannot be the next time.
    untrusted: bool,
}

impl Way {
    fn through(channel: Channel, credentials: &Credentials, url: String) -> Self {
        let (bearer, health) = (credentials.bearer(), HealthClient::new(channel.clone()));
        let sweeps = SweepServiceClient::with_interceptor(channel.clone(), bearer.clone())
            .max_decoding_message_size(MESSAGE_LIMIT)
            .max_encoding_message_size(MESSAGE_LIMIT);
        Self { sweeps, tokens: TokenServiceClient::with_interceptor(channel, bearer), health, url, untrusted: false }
    }
}

/// A connected client.
#[derive(Clone, Debug)]
pub(super) struct Client {
    /// To the coordinator that answered last.
    way: Way,
    /// To the others, in the order in which they are tried.
    others: VecDeque<Way>,
    /// How long an answer is waited for.
    answer_time: Duration,
}

impl Client {
    /// Connects to the coordinator at `urls`, or of several (with commas) to the one that answers; "HOST:PORT" alone will do.
    pub(super) async fn connect(urls: &str, credentials: &Credentials) -> Result<Self, Failure> {
        let mut endpoints = VecDeque::new();
        for url in urls.split(',') {
            let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
            endpoints.push_back((endpoint(&url, credentials)?, url));
        }
        if let (Some((endpoint, url)), 1) = (endpoints.front(), endpoints.len()) {
            let channel = endpoint.connect().await.map_err(|error| unreachable(url, &error))?;
            return Ok(Self::of(VecDeque::from([Way::through(channel, credentials, url.clone())])));
        }
        let way = |(endpoint, url): (Endpoint, String)| Way::through(endpoint.connect_lazy(), credentials, url);
        Ok(Self::of(endpoints.into_iter().map(way).collect()))
    }

    fn of(mut ways: VecDeque<Way>) -> Self {
        let way = ways.pop_front().unwrap_or_else(|| unreachable!("a split text has a first part"));
        Self { way, others: ways, answer_time: ANSWER_TIME }
    }

    /// The coordinator that answered last.
    pub(super) fn way(&mut self) -> &mut Way {
        &mut self.way
    }

    /// Turns to the next of several coordinators.
    pub(super) fn turn_to_next(&mut self) {
        if let Some(next) = self.others.pop_front() {
            self.others.push_back(std::mem::replace(&mut self.way, next));
        }
    }

    /// Asks something that does no harm when it is asked twice: of several coordinators, until one answers.
    pub(super) async fn ask<T>(
        &mut self,
        question: impl AsyncFn(&mut Way) -> Result<Response<T>, Status>,
    ) -> Result<T, Failure> {
        self.answer(question).await.map_err(|status| self.failure(status))
    }

    /// The same, with the refusal as it is.
    async fn answer<T>(
        &mut self,
        question: impl AsyncFn(&mut Way) -> Result<Response<T>, Status>,
    ) -> Result<T, Status> {
        let time = self.answer_time;
        let answer = self.persist(async |way| within(time, question(way)).await).await;
        answer.map(Response::into_inner)
    }

    /// Asks something that is not to be asked twice. Of several coordinators the one is found before that answers, by another
    /// question: of a token whose uses are counted that is one use more.
    pub(super) async fn ask_once<T>(
        &mut self,
        question: impl AsyncFnOnce(&mut Way) -> Result<Response<T>, Status>,
    ) -> Result<T, Failure> {
        if !self.others.is_empty() {
            // Who answers; what it says does not matter.
            let request = v1::ListSweepsRequest { page_size: 1, page_token: String::new() };
            let _ = self.answer(async |way| way.sweeps.list_sweeps(request.clone()).await).await;
        }
        let answer = within(self.answer_time, question(&mut self.way)).await;
        answer.map(Response::into_inner).map_err(|status| self.failure(status))
    }

    /// Asks one coordinator after the other until one answers, whatever it says. One that is alone is asked once.
    async fn persist<T>(&mut self, question: impl AsyncFn(&mut Way) -> Result<T, Status>) -> Result<T, Status> {
        let mut searched = Duration::ZERO;
        for asked in 1.. {
            let start = clock::instant();
            match question(&mut self.way).await {
                Err(status) if self.is_away(&status) && !self.others.is_empty() && searched < SEARCH_TIME => {
                    self.turn_to_next();
                }
                answer => return answer,
            }
            searched += (clock::instant() - start).min(CONNECT_TIME);
            if asked % (self.others.len() + 1) == 0 {
                tokio::time::sleep(SEARCH_INTERVAL).await;
                searched += SEARCH_INTERVAL;
            }
        }
        unreachable!("whoever counts without end gets an answer before that")
    }

    /// Whether another coordinator, or the same later, may answer: the one that was asked is gone, silent or stands by. One
    /// that cannot be trusted now cannot be later, and where none can be, none is waited for.
    pub(super) fn is_away(&mut self, status: &Status) -> bool {
        let away = [Code::Unavailable, Code::Cancelled, Code::Unknown, Code::DeadlineExceeded].contains(&status.code());
        self.way.untrusted = away && connection::obstacle(status, &self.way.url).lasts;
        away && !(self.way.untrusted && self.others.iter().all(|way| way.untrusted))
    }

    /// What a coordinator's refusal means to a person.
    pub(super) fn failure(&self, status: Status) -> Failure {
        match status.code() {
            Code::InvalidArgument | Code::NotFound | Code::FailedPrecondition | Code::DataLoss => {
                Failure::Refused(status.message().to_owned())
            }
            Code::Unauthenticated | Code::PermissionDenied => {
                Failure::Denied { url: self.way.url.clone(), reason: status.message().to_owned() }
            }
            Code::ResourceExhausted | Code::OutOfRange if status.source().is_none() => {
                Failure::Refused(status.message().to_owned())
            }
            // What the transport reports has a source; what the coordinator says has none.
            Code::Unavailable | Code::DeadlineExceeded if status.source().is_none() => {
                Failure::Unavailable { url: self.way.url.clone(), reason: status.message().to_owned() }
            }
            Code::Unavailable | Code::Cancelled | Code::Unknown => match status.source() {
                Some(source) => unreachable(&self.way.url, source),
                None => Failure::Unreachable { url: self.way.url.clone(), reason: status.message().to_owned() },
            },
            // A fault of the protocol itself: something else listens there.
            Code::Internal if status.source().is_some() => {
                let reason = connection::obstacle(&status, &self.way.url).reason;
                Failure::Refused(format!("what answers at {} is no coordinator: {reason}", self.way.url))
            }
            Code::Unimplemented => {
                Failure::Refused(format!("what answers at {} is no coordinator of this version", self.way.url))
            }
            code => Failure::Internal(anyhow::anyhow!("the coordinator answered {code:?}: {}", status.message())),
        }
    }

    /// What a coordinator's refusal of a sweep file means to a person.
    fn failure_of(&self, file: &SweepFile, status: Status) -> Failure {
        match status.code() {
            Code::InvalidArgument => file.failure(status.message().to_owned()),
            _ => self.failure(status),
        }
    }

    /// Creates the sweep that the file with its overrides describes, or finds the one that the same request created before.
    pub(super) async fn create(
        &mut self,
        file: &SweepFile,
        wish: v1::CreateSweepRequest,
    ) -> Result<v1::Sweep, Failure> {
        let request = v1::CreateSweepRequest { overrides: file.overrides.clone(), ..wish };
        let answer = self.answer(async |way| way.sweeps.create_sweep(request.clone()).await).await;
        Ok(answer.map_err(|status| self.failure_of(file, status))?.sweep.unwrap_or_default())
    }

    /// How many of the results of the sweep that the file describes are there already.
    pub(super) async fn known(&mut self, file: &SweepFile, source: String) -> Result<v1::CountKnownResponse, Failure> {
        let request = v1::CountKnownRequest { source, overrides: file.overrides.clone() };
        // Every task is looked up, which takes a busy coordinator as long as it takes.
        let answer = self.persist(async |way| way.sweeps.count_known(request.clone()).await).await;
        Ok(answer.map_err(|status| self.failure_of(file, status))?.into_inner())
    }

    /// Lets a paused sweep go on.
    pub(super) async fn resume(&mut self, id: &str) -> Result<v1::Sweep, Failure> {
        let request = v1::ResumeSweepRequest { id: id.to_owned() };
        let answer = self.ask(async |way| way.sweeps.resume_sweep(request.clone()).await).await?;
        Ok(answer.sweep.unwrap_or_default())
    }

    /// Makes failed points pending again; says how many. None may be there when it is asked again, because the answer to the
    /// first time was lost: then that is not known.
    pub(super) async fn retry(&mut self, id: &str) -> Result<Option<u64>, Failure> {
        // Whether no try may have been answered without our hearing of it.
        let (request, sure) = (v1::RetrySweepRequest { id: id.to_owned() }, Cell::new(true));
        let question = async |way: &mut Way| {
            let before = sure.replace(false);
            let answer = way.sweeps.retry_sweep(request.clone()).await;
            if answer.as_ref().err().is_none_or(|status| status.source().is_none()) {
                sure.set(before);
            }
            answer
        };
        let points = self.ask(question).await?.points;
        Ok((points > 0 || sure.get()).then_some(points))
    }

    /// The URL of a coordinator that lives, be it that it serves or stands by.
    pub(super) async fn ping(&mut self) -> Result<String, Failure> {
        let itself = HealthCheckRequest::default();
        let answer: HealthCheckResponse = self.ask(async |way| way.health.check(itself.clone()).await).await?;
        let url = self.way.url.clone();
        match answer.status() {
            ServingStatus::Serving => Ok(url),
            other => Err(Failure::Unavailable { url, reason: format!("it calls itself {}", other.as_str_name()) }),
        }
    }

    /// The sweep with this id, and its failed points.
    pub(super) async fn sweep(&mut self, id: &str) -> Result<(v1::Sweep, Vec<v1::FailedPoint>), Failure> {
        let request = v1::GetSweepRequest { id: id.to_owned() };
        let answer = self.ask(async |way| way.sweeps.get_sweep(request.clone()).await).await?;
        Ok((answer.sweep.unwrap_or_default(), answer.failed_points))
    }

    /// All sweeps, newest first.
    pub(super) async fn list(&mut self) -> Result<Vec<v1::Sweep>, Failure> {
        let mut all = Vec::new();
        let mut request = v1::ListSweepsRequest::default();
        loop {
            let page = self.ask(async |way| way.sweeps.list_sweeps(request.clone()).await).await?;
            all.extend(page.sweeps);
            if page.next_page_token.is_empty() {
                return Ok(all);
            }
            request = v1::ListSweepsRequest { page_size: 0, page_token: page.next_page_token };
        }
    }

    /// The workers that have joined.
    pub(super) async fn workers(&mut self) -> Result<Vec<v1::Worker>, Failure> {
        Ok(self.ask(async |way| way.sweeps.list_workers(v1::ListWorkersRequest {}).await).await?.workers)
    }

    /// What the coordinator resolved the sweep file to.
    pub(super) async fn spec(&mut self, id: &str) -> Result<Spec, Failure> {
        let (sweep, _) = self.sweep(id).await?;
        Spec::parse(&sweep.resolved_source, &[]).map_err(|error| {
            Failure::Refused(format!(
                "the coordinator at {} writes sweeps that this version cannot read: {error}",
                self.way.url
            ))
        })
    }

    /// A table of the sweep's results so far: all of it from one coordinator.
    pub(super) async fn table(&mut self, id: &str, level: Level) -> Result<Table, Failure> {
        let request = v1::ReadTableRequest { id: id.to_owned(), level: rpc::tables::level_to_wire(level).into() };
        let read = self.persist(async |way| {
            let mut parts = way.sweeps.read_table(request.clone()).await?.into_inner();
            let mut table = Table::default();
            while let Some(part) = parts.message().await? {
                rpc::tables::append(&mut table, part);
            }
            Ok(table)
        });
        read.await.map_err(|status| self.failure(status))
    }
}

/// Where a coordinator at a URL is reached, if there may be one.
fn endpoint(url: &str, credentials: &Credentials) -> Result<Endpoint, Failure> {
    if !connection::is_url(url) {
        let accepted = "http://127.0.0.1:7700 or https://HOST:7700";
        return Err(Failure::Usage(format!("--coordinator takes a URL as in {accepted}, not {url}")));
    }
    Ok(connection::endpoint(url, credentials)?)
}

/// What keeps a person from the coordinator: nobody there, or somebody who cannot be trusted.
fn unreachable(url: &str, error: &(dyn Error + 'static)) -> Failure {
    let Obstacle { reason, lasts } = connection::obstacle(error, url);
    let url = url.to_owned();
    if lasts { Failure::Untrusted { url, reason } } else { Failure::Unreachable { url, reason } }
}

#[cfg(test)]
mod tests;
