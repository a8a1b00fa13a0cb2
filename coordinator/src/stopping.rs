//! How what runs beside each other learns that it is time to end.

use tokio::sync::watch;

/// Turns true once, for all who hold a copy.
#[derive(Clone, Debug)]
pub(crate) struct Stopping(watch::Receiver<bool>);

/// Makes its [`Stopping`]s come true, at the latest when it is dropped.
#[derive(Debug)]
pub(crate) struct Stopper(watch::Sender<bool>);

impl Stopper {
    pub(crate) fn new() -> (Self, Stopping) {
        let (sender, receiver) = watch::channel(false);
        (Self(sender), Stopping(receiver))
    }

    pub(crate) fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stopping {
    /// Returns when it is time.
    pub(crate) async fn wait(mut self) {
        // An error means that the stopper is gone, which says the same.
        let _ = self.0.wait_for(|stopping| *stopping).await;
    }
}
