//! Workers that asked for work when there was none: they wait, in the order of asking, until some turns up, they are told
//! to drain, or their time is over.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::oneshot;

use super::Refusal;
use crate::scheduler::{Grant, Moment, WorkerId};
use crate::spec::Spec;

/// A worker that asked.
#[derive(Debug)]
pub(super) struct Asking {
    pub(super) worker: WorkerId,
    pub(super) until: Moment,
    pub(super) reply: oneshot::Sender<Result<Work, Refusal>>,
}

/// What it gets.
#[derive(Debug)]
pub(super) enum Work {
    /// A lease, under this token, of points of this sweep.
    Granted { token: String, grant: Grant, spec: Spec, sweep_id: String },
    /// Nothing for now.
    Nothing,
    /// Nothing ever.
    Drain,
}

/// Who waits. A turn of the actor costs the same however many they are.
#[derive(Debug, Default)]
pub(super) struct Parking {
    /// By the order of asking.
    waiting: BTreeMap<u64, Asking>,
    /// When each has waited long enough, with its place in the order.
    ends: BTreeSet<(Moment, u64)>,
    /// The place of who asks next.
    next: u64,
}

impl Parking {
    pub(super) fn park(&mut self, asking: Asking) {
        self.ends.insert((asking.until, self.next));
        self.waiting.insert(self.next, asking);
        self.next += 1;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// When the first of them has waited long enough.
    pub(super) fn due(&self) -> Option<Moment> {
        self.ends.first().map(|(until, _)| *until)
    }

    /// Answers those who have waited long enough.
    pub(super) fn expire(&mut self, now: Moment) {
        while let Some(end) = self.ends.first().copied().filter(|(until, _)| *until <= now) {
            self.ends.remove(&end);
            if let Some(asking) = self.waiting.remove(&end.1) {
                // Whoever has gone needs no answer.
                let _ = asking.reply.send(Ok(Work::Nothing));
            }
        }
    }

    /// Lets all who wait ask once more; those who get nothing go on waiting, in their order, and those who have gone are
    /// forgotten.
    pub(super) fn ask_again(&mut self, mut ask: impl FnMut(Asking) -> Option<Asking>) {
        let asking = std::mem::take(self);
        asking.waiting.into_values().filter_map(&mut ask).for_each(|asking| self.park(asking));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn asking(worker: &str, seconds: u64) -> (Asking, oneshot::Receiver<Result<Work, Refusal>>) {
        let (reply, answer) = oneshot::channel();
        (Asking { worker: WorkerId(worker.into()), until: Duration::from_secs(seconds), reply }, answer)
    }

    #[test]
    fn each_waits_for_its_own_time_and_keeps_its_place() {
        let mut parking = Parking::default();
        let mut answers = Vec::new();
        for (worker, seconds) in [("a", 30), ("b", 10), ("c", 20)] {
            let (asking, answer) = asking(worker, seconds);
            parking.park(asking);
            answers.push(answer);
        }
        assert_eq!(parking.due(), Some(Duration::from_secs(10)));
        parking.expire(Duration::from_secs(10));
        assert!(matches!(answers[1].try_recv(), Ok(Ok(Work::Nothing))));
        assert_eq!(parking.due(), Some(Duration::from_secs(20)));
        for _ in 0..2 {
            let mut order = Vec::new();
            parking.ask_again(|asking| {
                order.push(asking.worker.0.to_string());
                Some(asking)
            });
            assert_eq!(order, ["a", "c"]);
        }
        parking.ask_again(|asking| (&*asking.worker.0 == "a").then_some(asking));
        assert_eq!(parking.due(), Some(Duration::from_secs(30)));
        assert!(answers[2].try_recv().is_err(), "whoever was dropped is refused");
        parking.expire(Duration::from_secs(30));
        assert!(parking.is_empty() && parking.due().is_none());
    }
}
