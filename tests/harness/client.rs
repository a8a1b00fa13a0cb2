//! The service for people, as a program uses it: what the command line has no words for, or shows to people only.

use std::time::Duration;

use phasegrid_proto::v1;
use phasegrid_proto::v1::sweep_service_client::SweepServiceClient;
use tokio::runtime::{Builder, Runtime};
use tonic::transport::{Channel, Endpoint};

/// A blocking client of one coordinator, or of several on one database, that connects anew by itself when they were away.
pub(crate) struct Client {
    runtime: Runtime,
    channels: Vec<Channel>,
}

/// An answer, or the code and message of the refusal.
type Answer<T> = Result<T, tonic::Status>;

impl Client {
    pub(crate) fn new(urls: &[String]) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
        let connect = |url: &String| {
            let endpoint = Endpoint::from_shared(url.clone()).expect("the coordinator prints a URL");
            endpoint.connect_timeout(Duration::from_secs(5)).timeout(Duration::from_secs(30)).connect_lazy()
        };
        let channels = runtime.block_on(async { urls.iter().map(connect).collect() });
        Self { runtime, channels }
    }

    /// The first coordinator that does not refuse as one that stands by, or the last refusal.
    fn call<A, F: Future<Output = Answer<tonic::Response<A>>>>(
        &self,
        call: impl Fn(SweepServiceClient<Channel>) -> F,
    ) -> Answer<A> {
        let mut refused = tonic::Status::unavailable("there is no coordinator");
        for channel in &self.channels {
            match self.runtime.block_on(call(SweepServiceClient::new(channel.clone()))) {
                Err(status) if status.code() == tonic::Code::Unavailable => refused = status,
                answer => return answer.map(tonic::Response::into_inner),
            }
        }
        Err(refused)
    }

    /// The coordinator that answers, by its place in the list; `None` if none does.
    pub(crate) fn serving(&self) -> Option<usize> {
        self.channels.iter().position(|channel| {
            let mut service = SweepServiceClient::new(channel.clone());
            self.runtime.block_on(service.list_workers(v1::ListWorkersRequest {})).is_ok()
        })
    }

    pub(crate) fn create_sweep(&self, request_id: &str, source: &str) -> Answer<v1::Sweep> {
        let request = v1::CreateSweepRequest {
            request_id: request_id.to_owned(),
            source: source.to_owned(),
            ..Default::default()
        };
        let answer = self.call(|mut service| {
            let request = request.clone();
            async move { service.create_sweep(request).await }
        })?;
        Ok(answer.sweep.expect("the answer carries the sweep"))
    }

    pub(crate) fn sweep(&self, id: &str) -> Answer<v1::Sweep> {
        let request = || v1::GetSweepRequest { id: id.to_owned() };
        let answer = self.call(|mut service| async move { service.get_sweep(request()).await })?;
        Ok(answer.sweep.expect("the answer carries the sweep"))
    }

    pub(crate) fn workers(&self) -> Answer<Vec<v1::Worker>> {
        let answer = self.call(|mut service| async move { service.list_workers(v1::ListWorkersRequest {}).await })?;
        Ok(answer.workers)
    }
}
