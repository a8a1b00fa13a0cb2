//! The service for people, as a program uses it: what the command line has no words for, or shows to people only.

use std::time::Duration;

use phasegrid_proto::v1;
use phasegrid_proto::v1::sweep_service_client::SweepServiceClient;
use tokio::runtime::{Builder, Runtime};
use tonic::transport::{Channel, Endpoint};

/// A blocking client that connects anew by itself when the coordinator was away.
pub(crate) struct Client {
    runtime: Runtime,
    channel: Channel,
}

/// An answer, or the code and message of the refusal.
type Answer<T> = Result<T, tonic::Status>;

impl Client {
    pub(crate) fn new(url: &str) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
        let endpoint = Endpoint::from_shared(url.to_owned()).expect("the coordinator prints a URL");
        let endpoint = endpoint.connect_timeout(Duration::from_secs(5)).timeout(Duration::from_secs(30));
        let channel = runtime.block_on(async { endpoint.connect_lazy() });
        Self { runtime, channel }
    }

    fn service(&self) -> SweepServiceClient<Channel> {
        SweepServiceClient::new(self.channel.clone())
    }

    pub(crate) fn create_sweep(&self, request_id: &str, source: &str) -> Answer<v1::Sweep> {
        let request = v1::CreateSweepRequest {
            request_id: request_id.to_owned(),
            source: source.to_owned(),
            ..Default::default()
        };
        let answer = self.runtime.block_on(self.service().create_sweep(request))?;
        Ok(answer.into_inner().sweep.expect("the answer carries the sweep"))
    }

    pub(crate) fn sweep(&self, id: &str) -> Answer<v1::Sweep> {
        let answer = self.runtime.block_on(self.service().get_sweep(v1::GetSweepRequest { id: id.to_owned() }))?;
        Ok(answer.into_inner().sweep.expect("the answer carries the sweep"))
    }

    pub(crate) fn workers(&self) -> Answer<Vec<v1::Worker>> {
        Ok(self.runtime.block_on(self.service().list_workers(v1::ListWorkersRequest {}))?.into_inner().workers)
    }
}
