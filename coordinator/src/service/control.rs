//! What people change of what a coordinator does: sweeps are cancelled, paused, resumed, prioritised and retried, workers
//! drained.

use super::catalogue::Listed;
use super::desk::{Desk, write};
use super::people::view;
use super::{Coordinator, Refusal, SweepView};
use crate::scheduler::{Decision, SweepKey, Workload};

impl Coordinator {
    /// Gives up what is not finished of a sweep. One that has ended stays as it is.
    ///
    /// # Errors
    /// If there is no such sweep.
    pub async fn cancel(&self, id: &str) -> Result<SweepView, Refusal> {
        self.change(id, |desk, key| Ok(desk.scheduler.on_cancel(key)?)).await
    }

    /// Gives a sweep another priority. What is leased stays so.
    ///
    /// # Errors
    /// If there is no such sweep.
    pub async fn prioritise(&self, id: &str, priority: i32) -> Result<SweepView, Refusal> {
        self.change(id, move |desk, key| Ok(desk.scheduler.on_prioritise(key, priority)?)).await
    }

    /// Leases nothing more of a sweep until it is resumed; what is leased may end. One that has ended stays as it is.
    ///
    /// # Errors
    /// If there is no such sweep.
    pub async fn pause(&self, id: &str) -> Result<SweepView, Refusal> {
        self.change(id, |desk, key| Ok(desk.scheduler.on_pause(key)?)).await
    }

    /// Lets a paused sweep go on. One that is not paused stays as it is.
    ///
    /// # Errors
    /// If there is no such sweep, or this release cannot read it.
    pub async fn resume(&self, id: &str) -> Result<SweepView, Refusal> {
        self.change(id, |desk, key| {
            desk.spec(key)?;
            Ok(desk.scheduler.on_resume(key)?)
        })
        .await
    }

    /// Makes the failed points of a sweep pending again, and answers how many.
    ///
    /// # Errors
    /// If there is no such sweep, it was cancelled, or this release cannot read it.
    pub async fn retry(&self, id: &str) -> Result<u64, Refusal> {
        let id = id.to_owned();
        let retry = move |desk: &mut Desk, _| {
            let key = desk.key(&id)?;
            desk.spec(key)?;
            let weighed = matches!(desk.catalogue.get(key), Some(Listed { workload: Workload::Each { .. }, .. }));
            let (writes, points) = write(desk.scheduler.on_retry(key)?)?;
            Ok((writes, (key, points, weighed)))
        };
        let (key, points, weighed) = self.decide(retry).await?;
        // A sweep that had ended when the coordinator started was not weighed.
        if points > 0 && !weighed {
            self.weigh_soon(key);
        }
        Ok(points)
    }

    /// Gives a worker no further leases.
    ///
    /// # Errors
    /// If there is no such worker.
    pub async fn drain(&self, id: &str) -> Result<(), Refusal> {
        let worker = id.into();
        self.decide(move |desk, _| {
            desk.drained = true;
            write(desk.scheduler.on_drain(&worker)?)
        })
        .await
    }

    /// Changes a sweep, and answers what it is then.
    async fn change<T>(
        &self,
        id: &str,
        decide: impl FnOnce(&mut Desk, SweepKey) -> Result<Decision<T>, Refusal> + Send + 'static,
    ) -> Result<SweepView, Refusal> {
        let id = id.to_owned();
        self.decide(move |desk, now| {
            let key = desk.key(&id)?;
            let (writes, _) = write(decide(desk, key)?)?;
            Ok((writes, view(desk, key, now)?))
        })
        .await
    }
}
