//! Defects that are put in on purpose, each of which the simulation must catch. They sit around the real parts, between
//! coordinator and disk or between workers and coordinator, and behave as the coordinator would if it had them.

use std::time::SystemTime;

use super::disk::Disk;
use crate::scheduler::snapshot::SweepSnapshot;
use crate::scheduler::{Change, Points};
use crate::store::{StoreError, Write};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bug {
    /// What a worker sends under a lease that ended is taken for what it sends under the one that followed.
    EpochUnchecked,
    /// A group is said to be durable when the next one is.
    AckBeforeCommit,
    /// A group that could not be written is said to be durable.
    FailureUnnoticed,
    /// After a failed commit nobody goes back to what is stored.
    NeverReloaded,
    /// After a restart epochs are counted from where they were three leases ago.
    EpochReused,
    /// After a restart leases that are alive are not known.
    LeasesForgotten,
    /// A lease covers a point that another one covers as well.
    LeasedTwice,
    /// After a restart points that were given back are taken for finished.
    ReturnedLost,
    /// After a restart each leased point has an attempt counted.
    AttemptNeverMade,
    /// The records of the last report before an end are not written.
    RecordsDropped,
    /// A report that comes twice is stored twice.
    DuplicateStored,
    /// Groups are written one write at a time, and the last is left out where the disk fails.
    GroupTorn,
    /// After a report that was refused those behind it on the same stream are taken.
    StreamGoesOn,
    /// Every lost lease counts an attempt of all its points.
    AllCharged,
    /// What a worker reclaims from another is not taken from that one.
    HolderNotEnded,
    /// The records of a lost lease do not count for the one in its place.
    NothingInherited,
    /// What another sweep has begun to compute is taken for its result.
    RecalledUnfinished,
}

fn is_inheritance(write: &Write) -> bool {
    matches!(write, Write::Schedule(Change::Inherited { .. }))
}

impl Bug {
    pub(super) const ALL: [Self; 17] = [
        Self::EpochUnchecked,
        Self::AckBeforeCommit,
        Self::FailureUnnoticed,
        Self::NeverReloaded,
        Self::EpochReused,
        Self::LeasesForgotten,
        Self::LeasedTwice,
        Self::ReturnedLost,
        Self::AttemptNeverMade,
        Self::RecordsDropped,
        Self::DuplicateStored,
        Self::GroupTorn,
        Self::StreamGoesOn,
        Self::AllCharged,
        Self::HolderNotEnded,
        Self::NothingInherited,
        Self::RecalledUnfinished,
    ];

    /// A commit as the defect has it; `commit` is the disk's own.
    pub(super) fn commit(
        self,
        disk: &mut Disk,
        writes: &[Write],
        now: SystemTime,
        commit: impl Fn(&mut Disk, &[Write]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        match self {
            Self::AckBeforeCommit => {
                let owed = std::mem::replace(&mut disk.owed, writes.to_vec());
                if owed.is_empty() { Ok(()) } else { disk.write(&owed, now) }
            }
            Self::FailureUnnoticed => commit(disk, writes).or(Ok(())),
            Self::RecordsDropped => {
                let ends = writes.iter().any(|write| matches!(write, Write::Schedule(Change::Ended { .. })));
                let kept = |write: &&Write| !(ends && matches!(write, Write::Schedule(Change::Recorded { .. })));
                commit(disk, &writes.iter().filter(kept).cloned().collect::<Vec<_>>())
            }
            Self::HolderNotEnded if writes.iter().any(is_inheritance) => {
                let kept = |write: &&Write| !matches!(write, Write::Schedule(Change::Ended { finished, setbacks, .. }) if finished.is_empty() && setbacks.is_empty());
                commit(disk, &writes.iter().filter(kept).cloned().collect::<Vec<_>>())
            }
            Self::NothingInherited => {
                commit(disk, &writes.iter().filter(|write| !is_inheritance(write)).cloned().collect::<Vec<_>>())
            }
            Self::GroupTorn => {
                let (last, first) = writes.split_last().expect("a group");
                first.iter().try_for_each(|write| disk.write(std::slice::from_ref(write), now))?;
                commit(disk, std::slice::from_ref(last))
            }
            Self::LeasedTwice | Self::AllCharged => {
                let sweeps = disk.truth.sweeps();
                let leases = sweeps
                    .iter()
                    .flat_map(|sweep| sweep.leases.iter().map(|(epoch, lease)| (sweep.key, *epoch, lease)));
                let leased: Vec<_> = leases.collect();
                let mut changed = writes.to_vec();
                for write in &mut changed {
                    match write {
                        Write::Schedule(Change::Granted { points, .. }) if self == Self::LeasedTwice => {
                            *points |= leased.first().map(|(.., lease)| lease.remain.clone()).unwrap_or_default();
                        }
                        Write::Schedule(Change::Ended { lease, setbacks, remain, .. }) if self == Self::AllCharged => {
                            let charged =
                                setbacks.first().filter(|setback| setback.error.contains("fell silent")).cloned();
                            let of = |(sweep, epoch, _): &&(_, _, _)| (*sweep, *epoch) == (lease.sweep, lease.epoch);
                            let held = leased.iter().find(of);
                            if let (Some(like), Some((.., held)), true) = (charged, held, remain.is_empty()) {
                                let more: Points =
                                    &held.remain - &setbacks.iter().map(|setback| setback.point).collect();
                                setbacks.extend(
                                    more.iter().map(|point| crate::scheduler::Setback { point, ..like.clone() }),
                                );
                            }
                        }
                        _ => {}
                    }
                }
                commit(disk, &changed)
            }
            _ => commit(disk, writes),
        }
    }

    /// A sweep's state as the defect reads it back.
    pub(super) fn load(self, state: &mut SweepSnapshot) {
        match self {
            Self::EpochReused => state.epoch = state.epoch.saturating_sub(3),
            Self::LeasesForgotten => state.leases.clear(),
            Self::ReturnedLost => {
                let leased: Points = state.leases.values().flat_map(|lease| lease.remain.iter()).collect();
                let below: Points = (0..state.next).collect();
                state.finished |= &below - &leased - &state.failed;
            }
            Self::AttemptNeverMade => {
                for point in state.leases.values().flat_map(|lease| lease.remain.iter()) {
                    *state.attempts.entry(point).or_default() += 1;
                }
            }
            _ => {}
        }
    }
}
