//! The coordinators that a worker knows: one connection each, and which of them is spoken to. Of several that share a
//! database one leads and the others refuse; whoever does not answer is left for the next, by all who talk at once.

use std::sync::atomic::{AtomicUsize, Ordering};

use phasegrid_proto::connection::{self, Connection, Credentials};
use phasegrid_proto::v1::worker_service_client::WorkerServiceClient;

use super::ClientError;

/// A range of long configurations may be larger than the default of 4 MB.
const MESSAGE_LIMIT: usize = 64 << 20;

#[derive(Debug)]
pub(super) struct Services {
    all: Vec<(String, WorkerServiceClient<Connection>)>,
    current: AtomicUsize,
}

impl Services {
    /// Takes addresses parted by commas. Nothing is sent yet.
    pub(super) fn new(urls: &str, credentials: &Credentials) -> Result<Self, ClientError> {
        let service = |url: &str| Ok((url.to_owned(), connect_lazily(url, credentials)?));
        let all = urls.split(',').map(service).collect::<Result<_, ClientError>>()?;
        Ok(Self { all, current: AtomicUsize::new(0) })
    }

    /// The number of the coordinator that is spoken to.
    pub(super) fn current(&self) -> usize {
        self.current.load(Ordering::Relaxed)
    }

    /// The coordinator of a number.
    pub(super) fn get(&self, number: usize) -> WorkerServiceClient<Connection> {
        self.all[number].1.clone()
    }

    /// The address of the coordinator that is spoken to.
    pub(super) fn url(&self) -> String {
        self.url_of(self.current()).to_owned()
    }

    /// The address of the coordinator of a number.
    pub(super) fn url_of(&self, number: usize) -> &str {
        &self.all[number].0
    }

    /// The coordinator of this number did not answer: turns to the next, unless someone else has left it before.
    pub(super) fn leave(&self, number: usize) {
        let next = (number + 1) % self.all.len();
        let left = self.current.compare_exchange(number, next, Ordering::Relaxed, Ordering::Relaxed);
        if left.is_ok() && next != number {
            tracing::debug!(coordinator = self.all[next].0, "turning to the next coordinator");
        }
    }
}

fn connect_lazily(url: &str, credentials: &Credentials) -> Result<WorkerServiceClient<Connection>, ClientError> {
    let channel = connection::endpoint(url, credentials)?.connect_lazy();
    let service = WorkerServiceClient::with_interceptor(channel, credentials.bearer());
    Ok(service.max_decoding_message_size(MESSAGE_LIMIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_does_not_answer_is_left_once_however_many_notice() {
        let services = Services::new("http://a:1,http://b:1", &Credentials::default()).unwrap();
        services.leave(0);
        services.leave(0);
        assert_eq!(services.url(), "http://b:1");
        services.leave(1);
        assert_eq!(services.url(), "http://a:1");
    }

    #[tokio::test]
    async fn the_only_coordinator_is_waited_for() {
        let services = Services::new("http://a:1", &Credentials::default()).unwrap();
        services.leave(0);
        assert_eq!(services.url(), "http://a:1");
    }
}
