//! The coordinator as the worker sees it: every call is repeated until it is answered, for as long as that takes.
//!
//! What a gRPC code means is decided once, in `remedy`: a coordinator that is away is waited for, one that does not
//! know this worker any more (it was restarted) is told again under the same id, and a refusal is a [`ClientError`],
//! which ends the worker. All calls may be repeated, so says the contract in `workers.proto`. Wire types end here too,
//! but for records, estimates and outcomes, which are plain data.
//!
//! Of several coordinators on one database one leads: `services` knows the addresses of all, and which one answers.

mod backoff;
mod messages;
mod outage;
mod remedy;
mod services;

use std::time::Duration;

use phasegrid_proto::NUMERICS_VERSION;
use phasegrid_proto::connection::{self, Connection, ConnectionError, Credentials, Obstacle, within};
use phasegrid_proto::v1::{self, worker_service_client::WorkerServiceClient};
use tokio::sync::{Mutex, watch};
use tokio_stream::Stream;
use tonic::{Code, Response, Status, Streaming};

pub(crate) use self::backoff::Backoff;
use self::messages::leased;
pub(crate) use self::messages::verdict;
pub use self::messages::{Directives, Kept, Leased, Reclaimed, Running, Token, Verdict};
use self::outage::Outage;
use self::remedy::Remedy;
use self::services::Services;
use crate::identity::chance;

/// How long the coordinator may hold a request for work that it does not have yet.
const LEASE_WAIT: Duration = Duration::from_secs(20);

/// How long the coordinator may take for an answer before it is asked once more, or the next one is: longer than a busy one
/// takes. A request for work may be held for [`LEASE_WAIT`] besides.
const ANSWER_TIME: Duration = Duration::from_secs(60);

/// Heartbeats are not sent more often than this, whatever the coordinator says.
const SHORTEST_HEARTBEAT: Duration = Duration::from_millis(100);

/// Why a call will never be answered as hoped.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no way to the coordinator with these settings.
    #[error("coordinator: {0}")]
    Connection(#[from] ConnectionError),
    /// The coordinator is not the one that was meant.
    #[error("the coordinator at {url} cannot be trusted: {reason}")]
    Untrusted {
        /// Which coordinator.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// The coordinator will not have this worker.
    #[error("the coordinator at {url} refuses this worker: {message}")]
    Unwelcome {
        /// Which coordinator.
        url: String,
        /// Its reason.
        message: String,
    },
    /// The coordinator refused a call, which is a defect of one of the two.
    #[error("the coordinator at {url} refused a call ({code:?}): {message}")]
    Refused {
        /// Which coordinator.
        url: String,
        /// The gRPC code.
        code: Code,
        /// Its reason.
        message: String,
    },
}

/// The connection to the coordinator, and what is known about it. Shared by all who talk.
#[derive(Debug)]
pub struct Client {
    services: Services,
    registration: v1::RegisterRequest,
    /// Read by anyone at any time; nobody waits for a change.
    terms: watch::Sender<Terms>,
    joining: Mutex<()>,
    outage: Outage,
    /// How long an answer is waited for.
    answer_time: Duration,
}

/// What was known when a call was made that is to be recovered from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    /// How often this worker had registered.
    registered: u64,
    /// The coordinator that was called.
    coordinator: usize,
}

/// What registering brought.
#[derive(Clone, Debug)]
pub struct Terms {
    /// How often this worker has registered: of several calls that find it forgotten, one registers it again.
    registered: u64,
    /// How often the coordinator wants a heartbeat.
    pub heartbeat_interval: Duration,
    /// Where the coordinator would have snapshots kept; empty if nowhere.
    pub snapshots: String,
}

impl Client {
    /// A client of the coordinator at `urls`, or of several (with commas), for a worker named `name`. Nothing is sent yet.
    ///
    /// # Errors
    /// If one of them is no address, or cannot be reached with these credentials.
    pub fn new(
        urls: &str,
        credentials: &Credentials,
        name: &str,
        slots: u32,
        device: &str,
    ) -> Result<Self, ClientError> {
        let registration = v1::RegisterRequest {
            worker_id: name.to_owned(),
            slots,
            device: device.to_owned(),
            numerics_version: NUMERICS_VERSION,
            memory_bytes: 0,
        };
        Ok(Self {
            services: Services::new(urls, credentials)?,
            registration,
            terms: watch::Sender::new(Terms {
                registered: 0,
                heartbeat_interval: Duration::from_secs(1),
                snapshots: String::new(),
            }),
            joining: Mutex::new(()),
            outage: Outage::new(urls),
            answer_time: ANSWER_TIME,
        })
    }

    /// Tells the coordinator how much memory the device has.
    #[must_use]
    pub fn with_memory(mut self, bytes: Option<u64>) -> Self {
        self.registration.memory_bytes = bytes.unwrap_or(0);
        self
    }

    /// Waits no longer than this for an answer, beside what the coordinator is asked to wait itself.
    #[must_use]
    pub fn with_answer_time(self, answer_time: Duration) -> Self {
        Self { answer_time, ..self }
    }

    /// The worker's id at the coordinator.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.registration.worker_id
    }

    /// What the last registration brought.
    #[must_use]
    pub fn terms(&self) -> Terms {
        self.terms.borrow().clone()
    }

    /// Makes this worker known to the coordinator, waiting for it if need be.
    ///
    /// # Errors
    /// If the coordinator refuses the worker, for instance one of another numerics version.
    pub async fn register(&self) -> Result<(), ClientError> {
        self.register_since(self.known()).await
    }

    /// Registers unless someone else has done so since.
    async fn register_since(&self, known: Known) -> Result<(), ClientError> {
        let _joining = self.joining.lock().await;
        if self.known().registered != known.registered {
            return Ok(());
        }
        let mut backoff = Backoff::default();
        loop {
            let known = self.known();
            let mut service = self.services.get(known.coordinator);
            match within(self.answer_time, service.register(self.registration.clone())).await {
                Ok(answer) => {
                    self.outage.ended();
                    let answer = answer.into_inner();
                    let interval: Option<Duration> = answer.heartbeat_interval.and_then(|span| span.try_into().ok());
                    self.terms.send_modify(|terms| {
                        terms.registered += 1;
                        terms.heartbeat_interval = interval.unwrap_or(terms.heartbeat_interval).max(SHORTEST_HEARTBEAT);
                        terms.snapshots = answer.snapshots;
                    });
                    return Ok(());
                }
                Err(status) if Remedy::of(&status) == Remedy::Wait => {
                    self.wait(&status, known, &mut backoff).await?;
                }
                Err(status) => {
                    let message = status.message().to_owned();
                    return Err(ClientError::Unwelcome { url: self.services.url(), message });
                }
            }
        }
    }

    /// Asks for work; `None` if there is none for now.
    ///
    /// # Errors
    /// If the call is refused.
    pub async fn lease(&self) -> Result<(Option<Leased>, Directives), ClientError> {
        let request = v1::LeaseRequest {
            worker_id: self.registration.worker_id.clone(),
            wait: prost_types::Duration::try_from(LEASE_WAIT).ok(),
        };
        let within = LEASE_WAIT + self.answer_time;
        let asked =
            self.call_within(within, request, |mut service, request| async move { service.lease(request).await });
        let answer = asked.await?;
        let directives = Directives { drain: answer.drain, ..Directives::default() };
        Ok((answer.lease.map(leased), directives))
    }

    /// Keeps the leases alive that are held.
    ///
    /// # Errors
    /// If the call is refused.
    pub async fn heartbeat(&self, held: Vec<Running>) -> Result<Directives, ClientError> {
        let leases = held.into_iter().map(|(token, points)| {
            let running = points.into_iter().map(|(point, work_done)| v1::RunningPoint { point, work_done }).collect();
            v1::HeldLease { token: token.to_string(), running }
        });
        let request = v1::HeartbeatRequest { worker_id: self.registration.worker_id.clone(), leases: leases.collect() };
        let answer = self.call(request, |mut service, request| async move { service.heartbeat(request).await }).await?;
        let dropped = answer.dropped_tokens.iter().map(|token| Token::new(token)).collect();
        let cede = answer.cede.iter().map(|cession| (Token::new(&cession.token), cession.points)).collect();
        Ok(Directives { dropped, drain: answer.drain, cede })
    }

    /// Ends points of a lease; their records are to be acknowledged before.
    ///
    /// # Errors
    /// If the call is refused.
    pub async fn finish(&self, token: &Token, outcomes: Vec<v1::Outcome>) -> Result<Verdict, ClientError> {
        let request = v1::FinishRequest { token: token.to_string(), outcomes };
        let answer = self.call(request, |mut service, request| async move { service.finish(request).await }).await?;
        verdict(answer.verdict()).map_err(|status| self.refused(&status))
    }

    /// Gives back points of a lease, or all that is left of it if none are named.
    ///
    /// # Errors
    /// If the call is refused.
    pub async fn release(&self, token: &Token, points: Vec<u64>) -> Result<(), ClientError> {
        let request = v1::ReleaseRequest { token: token.to_string(), points };
        self.call(request, |mut service, request| async move { service.release(request).await }).await?;
        Ok(())
    }

    /// Asks for what was lost with a lease, of which nothing is to be on the way any more. `None` if nothing of it is to be
    /// had, as at a coordinator of an earlier release, which does not know the question.
    ///
    /// # Errors
    /// If the call is refused.
    pub async fn reclaim(&self, lost: &Token, kept: &[Kept]) -> Result<Option<Reclaimed>, ClientError> {
        let kept =
            kept.iter().map(|&Kept { point, acknowledged, computed }| v1::KeptPoint { point, acknowledged, computed });
        let (worker_id, token) = (self.registration.worker_id.clone(), lost.to_string());
        let request = v1::ReclaimRequest { worker_id, token, points: kept.collect() };
        let answer = self.call(request, |mut service, request| async move { service.reclaim(request).await }).await;
        let v1::ReclaimResponse { token, points } = match answer {
            Err(ClientError::Refused { code: Code::Unimplemented, .. }) => return Ok(None),
            answer => answer?,
        };
        let points = points.into_iter().collect();
        Ok((!token.is_empty()).then(|| Reclaimed { known_as: Token::new(&token), points }))
    }

    /// The shared estimate of that name, if anyone has computed it.
    ///
    /// # Errors
    /// If the call is refused.
    pub async fn find_baseline(&self, digest: String) -> Result<Option<v1::Estimate>, ClientError> {
        let request = v1::FindBaselineRequest { digest };
        let answer =
            self.call(request, |mut service, request| async move { service.find_baseline(request).await }).await?;
        Ok(answer.estimate)
    }

    /// Shares an estimate.
    ///
    /// # Errors
    /// If the call is refused.
    pub async fn store_baseline(&self, digest: String, estimate: v1::Estimate) -> Result<(), ClientError> {
        let request = v1::StoreBaselineRequest { digest, estimate: Some(estimate) };
        self.call(request, |mut service, request| async move { service.store_baseline(request).await }).await?;
        Ok(())
    }

    /// Opens a stream of reports, once. Whoever holds it repairs it with [`Client::recover`].
    pub(crate) async fn report(
        &self,
        requests: impl Stream<Item = v1::ReportRequest> + Send + 'static,
    ) -> Result<Streaming<v1::ReportResponse>, Status> {
        let mut service = self.services.get(self.services.current());
        Ok(within(self.answer_time, service.report(requests)).await?.into_inner())
    }

    /// The coordinator spoke, on a stream.
    pub(crate) fn heard(&self) {
        self.outage.ended();
    }

    /// Calls until there is an answer.
    async fn call<Q: Clone, A, F: Future<Output = Result<Response<A>, Status>>>(
        &self,
        request: Q,
        attempt: impl Fn(WorkerServiceClient<Connection>, Q) -> F,
    ) -> Result<A, ClientError> {
        self.call_within(self.answer_time, request, attempt).await
    }

    /// Calls until there is an answer, each of which may take so long.
    async fn call_within<Q: Clone, A, F: Future<Output = Result<Response<A>, Status>>>(
        &self,
        time: Duration,
        request: Q,
        attempt: impl Fn(WorkerServiceClient<Connection>, Q) -> F,
    ) -> Result<A, ClientError> {
        let mut backoff = Backoff::default();
        loop {
            let known = self.known();
            match within(time, attempt(self.services.get(known.coordinator), request.clone())).await {
                Ok(answer) => {
                    self.outage.ended();
                    return Ok(answer.into_inner());
                }
                Err(status) => self.recover(&status, known, &mut backoff).await?,
            }
        }
    }

    /// To be asked before a call that is to be recovered from.
    pub(crate) fn known(&self) -> Known {
        Known { registered: self.terms.borrow().registered, coordinator: self.services.current() }
    }

    /// Does what helps after a failure. The call is then to be repeated.
    pub(crate) async fn recover(
        &self,
        status: &Status,
        known: Known,
        backoff: &mut Backoff,
    ) -> Result<(), ClientError> {
        match Remedy::of(status) {
            Remedy::Wait => {}
            Remedy::Register => {
                tracing::info!("the coordinator does not know this worker any more; registering again");
                self.register_since(known).await?;
            }
            Remedy::Nothing => return Err(self.refused(status)),
        }
        self.wait(status, known, backoff).await
    }

    /// Waits a while for the coordinator to be back, or for the next one; one that cannot be trusted is not waited for.
    async fn wait(&self, status: &Status, known: Known, backoff: &mut Backoff) -> Result<(), ClientError> {
        let url = self.services.url_of(known.coordinator);
        let Obstacle { reason, lasts } = connection::obstacle(status, url);
        if lasts {
            return Err(ClientError::Untrusted { url: url.to_owned(), reason });
        }
        if Remedy::of(status) == Remedy::Wait {
            self.services.leave(known.coordinator);
            self.outage.noticed(&reason, backoff.failures());
        }
        tokio::time::sleep(backoff.next(chance())).await;
        Ok(())
    }

    fn refused(&self, status: &Status) -> ClientError {
        ClientError::Refused { url: self.services.url(), code: status.code(), message: status.message().to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_none_is_refused_before_anything_is_sent() {
        let error = Client::new("http://a b", &Credentials::default(), "w", 1, "cpu").unwrap_err().to_string();
        assert!(error.contains("accepted: http://HOST:PORT or https://HOST:PORT"), "{error}");
    }
}
