//! How long-lived streams learn that the server is leaving.

use tokio::sync::watch;

/// Turns true once, for all who hold a copy.
#[derive(Clone, Debug)]
pub(super) struct Stopping(watch::Receiver<bool>);

/// Makes its [`Stopping`]s come true, at the latest when it is dropped.
#[derive(Debug)]
pub(super) struct Stopper(watch::Sender<bool>);

impl Stopper {
    pub(super) fn new() -> (Self, Stopping) {
        let (sender, receiver) = watch::channel(false);
        (Self(sender), Stopping(receiver))
    }

    pub(super) fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stopping {
    /// Returns when the server is leaving.
    pub(super) async fn wait(mut self) {
        // An error means that the stopper is gone, and with it the server.
        let _ = self.0.wait_for(|stopping| *stopping).await;
    }
}
