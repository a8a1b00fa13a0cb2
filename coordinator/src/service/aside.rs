//! Work beside the actor, on threads of the runtime. Where there is no runtime, as in the simulation, whoever polls does it
//! in place: then one seed gives one course of events.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinError;

/// Does something that takes a while. Fails as a thread of the runtime does: by a panic, or because the runtime ends.
pub(super) async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
    match Handle::try_current() {
        Ok(runtime) => runtime.spawn_blocking(work).await,
        Err(_) => Ok(work()),
    }
}

/// Waits for something no longer than that; `None` if it takes longer. Where there is no runtime nothing is waited for.
pub(super) async fn within<T>(time: Duration, work: impl Future<Output = T>) -> Option<T> {
    match Handle::try_current() {
        Ok(_) => tokio::time::timeout(time, work).await.ok(),
        Err(_) => Some(work.await),
    }
}

/// Starts something that nobody waits for, and that may as well not be done.
pub(super) fn start(work: impl Future<Output = ()> + Send + 'static) {
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(work);
    }
}
