//! The connection of a client command to its coordinator, and what its refusals mean to a person.

use std::error::Error;
use std::time::Duration;

use clap::Args;
use phasegrid_proto::v1;
use phasegrid_proto::v1::sweep_service_client::SweepServiceClient;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::results::{Level, Table};
use crate::rpc::{self, MESSAGE_LIMIT};
use crate::spec::Spec;

use super::failure::Failure;
use super::input::SweepFile;

/// How long a coordinator may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Which coordinator a client command talks to.
#[derive(Clone, Debug, Args)]
pub(super) struct Remote {
    /// The coordinator to talk to
    #[arg(long, value_name = "URL", env = "PHASEGRID_COORDINATOR", default_value = "http://127.0.0.1:7700")]
    coordinator: String,
}

impl Remote {
    /// Connects to the coordinator.
    pub(super) async fn connect(&self) -> Result<Client, Failure> {
        Client::connect(&self.coordinator).await
    }
}

/// A connected client.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) sweeps: SweepServiceClient<Channel>,
    url: String,
}

impl Client {
    /// Connects to the coordinator at `url`; "HOST:PORT" alone will do.
    pub(super) async fn connect(url: &str) -> Result<Self, Failure> {
        let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let endpoint = Endpoint::from_shared(url.clone())
            .ok()
            .filter(|endpoint| endpoint.uri().scheme_str() == Some("http"))
            .ok_or_else(|| {
                Failure::Usage(format!("--coordinator takes a URL as in http://127.0.0.1:7700, not {url}"))
            })?;
        let endpoint = endpoint.connect_timeout(CONNECT_TIMEOUT).tcp_nodelay(true);
        let channel = endpoint
            .connect()
            .await
            .map_err(|error| Failure::Unreachable { url: url.clone(), reason: root_cause(&error) })?;
        let sweeps = SweepServiceClient::new(channel)
            .max_decoding_message_size(MESSAGE_LIMIT)
            .max_encoding_message_size(MESSAGE_LIMIT);
        Ok(Self { sweeps, url })
    }

    /// What a coordinator's refusal means to a person.
    pub(super) fn failure(&self, status: Status) -> Failure {
        match status.code() {
            Code::InvalidArgument | Code::NotFound | Code::FailedPrecondition => {
                Failure::Refused(status.message().to_owned())
            }
            // What the transport reports has a source; what the coordinator says has none.
            Code::Unavailable if status.source().is_none() => {
                Failure::Unavailable { url: self.url.clone(), reason: status.message().to_owned() }
            }
            Code::Unavailable | Code::Cancelled | Code::Unknown => Failure::Unreachable {
                url: self.url.clone(),
                reason: status.source().map_or_else(|| status.message().to_owned(), root_cause),
            },
            // A fault of the protocol itself: something else listens there.
            Code::Internal if status.source().is_some() => {
                Failure::Refused(format!("what answers at {} is no coordinator: {}", self.url, root_cause(&status)))
            }
            Code::Unimplemented => {
                Failure::Refused(format!("what answers at {} is no coordinator of this version", self.url))
            }
            code => Failure::Internal(anyhow::anyhow!("the coordinator answered {code:?}: {}", status.message())),
        }
    }

    /// Creates the sweep that the file with its overrides describes, or finds the one that the same request created before.
    pub(super) async fn create(
        &mut self,
        file: &SweepFile,
        wish: v1::CreateSweepRequest,
    ) -> Result<v1::Sweep, Failure> {
        let request = v1::CreateSweepRequest { overrides: file.overrides.clone(), ..wish };
        let answer = self.sweeps.create_sweep(request).await.map_err(|status| match status.code() {
            Code::InvalidArgument => file.failure(status.message().to_owned()),
            _ => self.failure(status),
        })?;
        Ok(answer.into_inner().sweep.unwrap_or_default())
    }

    /// Lets a paused sweep go on.
    pub(super) async fn resume(&mut self, id: &str) -> Result<v1::Sweep, Failure> {
        let request = v1::ResumeSweepRequest { id: id.to_owned() };
        let answer = self.sweeps.resume_sweep(request).await.map_err(|status| self.failure(status))?;
        Ok(answer.into_inner().sweep.unwrap_or_default())
    }

    /// Makes failed points pending again; says how many.
    pub(super) async fn retry(&mut self, id: &str) -> Result<u64, Failure> {
        let request = v1::RetrySweepRequest { id: id.to_owned() };
        let answer = self.sweeps.retry_sweep(request).await.map_err(|status| self.failure(status))?;
        Ok(answer.into_inner().points)
    }

    /// The sweep with this id, and its failed points.
    pub(super) async fn sweep(&mut self, id: &str) -> Result<(v1::Sweep, Vec<v1::FailedPoint>), Failure> {
        let request = v1::GetSweepRequest { id: id.to_owned() };
        let answer = self.sweeps.get_sweep(request).await.map_err(|status| self.failure(status))?.into_inner();
        Ok((answer.sweep.unwrap_or_default(), answer.failed_points))
    }

    /// All sweeps, newest first.
    pub(super) async fn list(&mut self) -> Result<Vec<v1::Sweep>, Failure> {
        let mut all = Vec::new();
        let mut request = v1::ListSweepsRequest::default();
        loop {
            let page = self.sweeps.list_sweeps(request).await.map_err(|status| self.failure(status))?.into_inner();
            all.extend(page.sweeps);
            if page.next_page_token.is_empty() {
                return Ok(all);
            }
            request = v1::ListSweepsRequest { page_size: 0, page_token: page.next_page_token };
        }
    }

    /// The workers that have joined.
    pub(super) async fn workers(&mut self) -> Result<Vec<v1::Worker>, Failure> {
        let answer =
            self.sweeps.list_workers(v1::ListWorkersRequest {}).await.map_err(|status| self.failure(status))?;
        Ok(answer.into_inner().workers)
    }

    /// What the coordinator resolved the sweep file to.
    pub(super) async fn spec(&mut self, id: &str) -> Result<Spec, Failure> {
        let (sweep, _) = self.sweep(id).await?;
        Spec::parse(&sweep.resolved_source, &[]).map_err(|error| {
            Failure::Refused(format!(
                "the coordinator at {} writes sweeps that this version cannot read: {error}",
                self.url
            ))
        })
    }

    /// A table of the sweep's results so far.
    pub(super) async fn table(&mut self, id: &str, level: Level) -> Result<Table, Failure> {
        let request = v1::ReadTableRequest { id: id.to_owned(), level: rpc::tables::level_to_wire(level).into() };
        let mut parts = self.sweeps.read_table(request).await.map_err(|status| self.failure(status))?.into_inner();
        let mut table = Table::default();
        while let Some(part) = parts.message().await.map_err(|status| self.failure(status))? {
            rpc::tables::append(&mut table, part);
        }
        Ok(table)
    }
}

/// The innermost reason: the outer ones of a transport say only that it is one.
fn root_cause(error: &dyn Error) -> String {
    std::iter::successors(Some(error), |&error| error.source()).last().map(ToString::to_string).unwrap_or_default()
}
