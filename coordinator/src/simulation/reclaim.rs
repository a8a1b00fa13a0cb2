//! What a worker does about work that changes hands: it holds on to a lease that it lost until it knows what of it is still
//! wanted, and gives back what it has not started.

use super::calls::Request;
use super::worker::{Held, Kind, Work, Worker, records};
use crate::service::{Kept, ReclaimedLease};

impl Worker {
    /// A lease has ended without this worker's doing. What was started of it goes on, and its reports wait.
    pub(super) fn lose(&mut self, token: &str) {
        let Some(held) = self.held(token).filter(|held| held.lost.is_none()) else { return };
        held.points.retain(|_, work| !matches!(work, Work::Waits | Work::Failed(_) | Work::SentFailure));
        for (point, work) in &mut held.points {
            if *work == Work::Sent {
                *work = Work::Told(records(*point));
            }
        }
        held.lost = Some(Vec::new());
        // What is on the stream is answered there.
        let waiting = self.take_reports(token);
        if let Some(held) = self.held(token) {
            held.lost = Some(waiting);
        }
        self.forget_done();
    }

    /// The question for a lost lease, once nothing of it is on the way.
    pub(super) fn claim(&self, held: &Held) -> Option<Request> {
        let finishing =
            matches!(self.calls.get(&Kind::Finish), Some(Request::Finish { token, .. }) if *token == held.token);
        if held.lost.is_none() || finishing || self.has_reports(&held.token) {
            return None;
        }
        let kept = held.points.iter().filter_map(|(&point, work)| match *work {
            Work::Runs(_, acknowledged) => Some(Kept { point, acknowledged, computed: false }),
            Work::Told(acknowledged) => Some(Kept { point, acknowledged, computed: true }),
            _ => None,
        });
        Some(Request::Reclaim { worker: self.id.clone(), token: held.token.clone(), kept: kept.collect() })
    }

    /// What there is in the place of a lost lease.
    pub(super) fn regain(&mut self, token: &str, lease: Option<ReclaimedLease>) {
        let Some(ReclaimedLease { token: new, points }) = lease else {
            return self.drop_lease(token);
        };
        if self.held(token).is_none() {
            // It was given up meanwhile.
            return self.released.push_back(Request::Release { token: new });
        }
        // What was leased to this worker meanwhile it has twice.
        let sweep = |token: &str| token.rsplit_once('.').map(|(sweep, _)| sweep.to_owned());
        for other in self.leases.iter_mut().filter(|held| held.token != token && sweep(&held.token) == sweep(token)) {
            other.points.retain(|point, _| !points.contains(point));
        }
        if let Some(held) = self.held(token) {
            held.points.retain(|point, _| points.contains(point));
            let mut waiting = held.lost.take().unwrap_or_default();
            waiting.retain(|report| points.contains(&report.points[0].point));
            waiting.sort_by_key(|report| (report.points[0].point, report.points[0].records[0].step));
            held.token.clone_from(&new);
            for mut report in waiting {
                report.token.clone_from(&new);
                self.outbox.push_back(report);
            }
        }
        self.forget_done();
    }

    /// Gives back so many points that wait, the last.
    pub(super) fn cede(&mut self, token: &str, most: u64) {
        let Some(held) = self.held(token).filter(|held| held.lost.is_none()) else { return };
        let waiting = held.points.iter().rev().filter(|(_, work)| **work == Work::Waits).map(|(point, _)| *point);
        let points: Vec<_> = waiting.take(usize::try_from(most).expect("few")).collect();
        held.points.retain(|point, _| !points.contains(point));
        if !points.is_empty() {
            self.released.push_back(Request::Cede { token: token.to_owned(), points });
        }
        self.forget_done();
    }
}
