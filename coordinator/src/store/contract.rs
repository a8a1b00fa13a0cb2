//! What every backend promises, as a suite that each instantiates: `store_contract_suite!(Backend)`.

mod segments;
mod tokens;

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use phasegrid_proto::v1;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use prost::Message;

use super::{History, PastAttempt, Reader, Store, StoreError, StoredSweep, SweepEntry, Write};
use crate::results::TaskState;
use crate::scheduler::snapshot::{Reported, SweepSnapshot};
use crate::scheduler::tests::random;
use crate::scheduler::{Change, Finish, LeaseKey, Measurement, Points, Setback, SweepKey, SweepState};

/// A way to open the same data again.
pub(crate) trait Backend {
    type Store: Store;
    type Reader: Reader;
    fn open(folder: &Path) -> (Self::Store, Self::Reader);
}

macro_rules! store_contract_suite {
    ($backend:ty: $($claim:ident),+ $(,)?) => { $(
        #[test]
        fn $claim() {
            let folder = tempfile::tempdir().unwrap();
            crate::store::contract::$claim::<$backend>(folder.path());
        }
    )+ };
    ($backend:ty) => {
        store_contract_suite!($backend:
            what_is_committed_is_there_after_opening_again,
            a_request_creates_one_sweep,
            a_lease_that_ended_writes_nothing,
            an_epoch_is_granted_once,
            a_sweep_that_ended_grants_nothing,
            a_paused_sweep_grants_nothing_and_says_why,
            a_priority_is_kept,
            a_point_finishes_once,
            a_group_is_written_whole_or_not_at_all,
            records_of_other_attempts_are_gone_once_a_point_ended,
            records_are_inherited_point_by_point_or_not_at_all,
            results_come_in_pages_in_the_order_of_points,
            failures_are_listed_until_they_are_retried,
            it_is_known_which_lease_ended_a_point,
            all_that_became_of_a_point_is_remembered,
            the_first_baseline_stays,
            a_result_is_found_where_a_point_of_its_digest_finished,
            sealed_records_are_rows_no_more_and_their_segment_is_named,
            what_has_not_finished_cannot_be_sealed,
            a_segment_is_named_once,
            what_can_be_sealed_comes_in_bites_of_whole_points,
            a_page_of_results_looks_no_further_than_its_end,
            tokens_are_there_as_they_were_made,
            a_token_is_used_as_often_as_it_may,
            a_revoked_token_is_used_no_more_and_speaks_for_nobody,
            a_worker_has_one_token,
            any_schedule_loads_as_it_was_decided,
        );
    };
}
pub(crate) use segments::*;
pub(crate) use store_contract_suite;
pub(crate) use tokens::*;

pub(crate) const SWEEP: SweepKey = SweepKey(1);
const NOW: SystemTime = UNIX_EPOCH;

pub(crate) fn entry(key: SweepKey, size: u64) -> SweepEntry {
    SweepEntry {
        key,
        id: format!("map-{}", key.0),
        request_id: format!("wish {}", key.0),
        name: "map".into(),
        source: "name = \"map\"".into(),
        size,
        created: UNIX_EPOCH + Duration::from_micros(1_234_567_890),
        user: "ann".into(),
    }
}

pub(crate) fn lease(epoch: u64) -> LeaseKey {
    LeaseKey { sweep: SWEEP, epoch }
}

pub(crate) fn grant(epoch: u64, points: impl IntoIterator<Item = u64>) -> Write {
    let points: Points = points.into_iter().collect();
    let next = points.max().map_or(0, |last| last + 1);
    Write::Schedule(Change::Granted { lease: lease(epoch), worker: "w".into(), slots: 2, points, next })
}

pub(crate) fn finish(
    epoch: u64,
    points: impl IntoIterator<Item = u64>,
    remain: impl IntoIterator<Item = u64>,
) -> Write {
    let finished = points.into_iter().map(|point| Finish { point, attempts: 1 }).collect();
    let (setbacks, remain) = (Vec::new(), remain.into_iter().collect());
    Write::Schedule(Change::Ended { lease: lease(epoch), finished, setbacks, remain })
}

/// A point is set aside with this error.
pub(crate) fn set_back_saying(epoch: u64, point: u64, error: &str) -> Write {
    let setbacks = vec![Setback { point, attempts: 3, error: error.to_owned(), set_aside: true }];
    let (finished, remain) = (Vec::new(), Points::new());
    Write::Schedule(Change::Ended { lease: lease(epoch), finished, setbacks, remain })
}

fn set_back(epoch: u64, point: u64, attempts: u32, set_aside: bool) -> Write {
    let setbacks = vec![Setback { point, attempts, error: format!("failure {attempts}"), set_aside }];
    let (finished, remain) = (Vec::new(), Points::new());
    Write::Schedule(Change::Ended { lease: lease(epoch), finished, setbacks, remain })
}

pub(crate) fn record(epoch: u64, point: u64, step: u64) -> Write {
    let payload = v1::Record { step, train_loss: Some(0.5), ..Default::default() }.encode_to_vec();
    Write::Schedule(Change::Recorded { lease: lease(epoch), records: vec![Measurement { point, step, payload }] })
}

fn moved(from: SweepState, to: SweepState) -> Write {
    Write::Schedule(Change::Moved { sweep: SWEEP, from, to, reason: None })
}

/// A store with one sweep of ten points.
fn open<B: Backend>(folder: &Path) -> (B::Store, B::Reader) {
    let (mut store, reader) = B::open(folder);
    store.commit(&[Write::Create(entry(SWEEP, 10))], NOW).unwrap();
    (store, reader)
}

fn state(reader: &mut impl Reader) -> SweepSnapshot {
    reader.sweeps().unwrap().swap_remove(0).state
}

/// What `sql/older.sql` of each backend writes, with the tables of the first release: point 0 is finished, 1 is leased
/// and has a record, 2 failed once (and is not among the results: it has none), 3 is set aside.
pub(crate) fn assert_is_the_older_sweep(reader: &mut impl Reader) {
    let stored = reader.sweeps().unwrap();
    assert_eq!(stored.len(), 1);
    let StoredSweep { entry: stored, state } = &stored[0];
    assert_eq!(*stored, SweepEntry { user: String::new(), ..entry(SWEEP, 10) });
    assert_eq!((state.state, state.epoch, state.next), (SweepState::Running, 4, 4));
    assert_eq!((state.priority, state.tripped, &state.pause_reason), (0, false, &None));
    assert_eq!((&state.finished, &state.failed), (&Points::from_iter([0]), &Points::from_iter([3])));
    assert_eq!(state.attempts.iter().collect::<Vec<_>>(), [(&2, &1)]);
    let held = &state.leases[&4];
    assert_eq!((held.worker.to_string(), held.slots, &held.remain), ("w".to_owned(), 2, &Points::from_iter([1])));
    assert_eq!(held.reported[&1].last_step, 0);
    let results = reader.results(SWEEP, 0, 10).unwrap();
    let seen: Vec<_> = results.iter().map(|r| (r.point, r.state, r.attempts, r.records.len())).collect();
    let expected = [(0, TaskState::Finished, 1, 1), (1, TaskState::Leased, 1, 1), (3, TaskState::Failed, 3, 0)];
    assert_eq!(seen, expected);
    assert_eq!(
        reader.history(SWEEP, 1, Some(lease(4))).unwrap(),
        History::default(),
        "nobody noted when it was granted"
    );
    assert_eq!(reader.baseline("digest").unwrap(), Some(vec![1]));
    assert_eq!((reader.tokens().unwrap(), reader.contents(&["digest"]).unwrap()), (vec![], vec![None]));
}

fn assert_conflict(outcome: Result<(), StoreError>) {
    assert!(matches!(outcome, Err(StoreError::Conflict(_))), "{outcome:?}");
}

pub(crate) fn what_is_committed_is_there_after_opening_again<B: Backend>(folder: &Path) {
    let (mut store, mut reader) = open::<B>(folder);
    let groups: [&[Write]; 3] =
        [&[grant(1, 0..3), grant(2, 3..6)], &[record(1, 0, 0), record(1, 0, 7)], &[finish(1, [1], [0, 2])]];
    groups.iter().for_each(|group| store.commit(group, NOW).unwrap());
    let before = reader.sweeps().unwrap();
    let StoredSweep { entry: stored, state } = &before[0];
    assert_eq!(*stored, entry(SWEEP, 10));
    assert_eq!((state.epoch, state.next, state.leases.len()), (2, 6, 2));
    assert_eq!(state.finished, Points::from_iter([1]));
    let reported = state.leases[&1].reported[&0];
    assert_eq!((reported.records, reported.last_step), (2, 7));
    drop((store, reader));
    assert_eq!(B::open(folder).1.sweeps().unwrap(), before);
}

pub(crate) fn a_request_creates_one_sweep<B: Backend>(folder: &Path) {
    let (mut store, mut reader) = open::<B>(folder);
    let again = SweepEntry { key: SweepKey(2), id: "other".into(), ..entry(SWEEP, 99) };
    assert_conflict(store.commit(&[Write::Create(again)], NOW));
    assert_eq!(reader.sweeps().unwrap().len(), 1);
}

pub(crate) fn a_lease_that_ended_writes_nothing<B: Backend>(folder: &Path) {
    let (mut store, mut reader) = open::<B>(folder);
    store.commit(&[grant(1, 0..2), finish(1, [], []), grant(2, 0..2)], NOW).unwrap();
    let before = state(&mut reader);
    assert_conflict(store.commit(&[record(1, 0, 0)], NOW));
    assert_conflict(store.commit(&[finish(1, [0], [1])], NOW));
    assert_conflict(store.commit(&[record(3, 0, 0)], NOW));
    assert_eq!(state(&mut reader), before);
    store.commit(&[record(2, 0, 0), finish(2, [0], [1])], NOW).unwrap();
}

pub(crate) fn an_epoch_is_granted_once<B: Backend>(folder: &Path) {
    let (mut store, mut reader) = open::<B>(folder);
    store.commit(&[grant(1, 0..2)], NOW).unwrap();
    assert_conflict(store.commit(&[grant(1, 2..4)], NOW));
    assert_conflict(store.commit(&[grant(3, 2..4)], NOW));
    assert_eq!(state(&mut reader).next, 2);
}

pub(crate) fn a_sweep_that_ended_grants_nothing<B: Backend>(folder: &Path) {
    let (mut store, _) = open::<B>(folder);
    store.commit(&[moved(SweepState::Running, SweepState::Cancelled)], NOW).unwrap();
    assert_conflict(store.commit(&[grant(1, 0..2)], NOW));
    assert_conflict(store.commit(&[moved(SweepState::Running, SweepState::Completed)], NOW));
}

pub(crate) fn a_paused_sweep_grants_nothing_and_says_why<B: Backend>(folder: &Path) {
    let (mut store, mut reader) = open::<B>(folder);
    let (from, to) = (SweepState::Running, SweepState::Paused);
    let paused = Change::Moved { sweep: SWEEP, from, to, reason: Some("most of it failed".into()) };
    store.commit(&[grant(1, 0..2), Write::Schedule(paused)], NOW).unwrap();
    let before = state(&mut reader);
    assert_eq!((before.state, before.pause_reason.as_deref()), (SweepState::Paused, Some("most of it failed")));
    assert_conflict(store.commit(&[grant(2, 2..4)], NOW));
    assert_conflict(store.commit(&[moved(SweepState::Running, SweepState::Paused)], NOW));
    store
        .commit(&[finish(1, [0, 1], []), moved(SweepState::Paused, SweepState::Running), grant(2, 2..4)], NOW)
        .unwrap();
    assert_eq!((state(&mut reader).pause_reason, state(&mut reader).tripped), (None, true));
    store.commit(&[Write::Schedule(Change::Retried { sweep: SWEEP })], NOW).unwrap();
    assert!(!state(&mut reader).tripped);
}

pub(crate) fn a_priority_is_kept<B: Backend>(folder: &Path) {
    let (mut store, mut reader) = open::<B>(folder);
    assert_eq!(state(&mut reader).priority, 0);
    let prioritised = |sweep| Write::Schedule(Change::Prioritised { sweep, priority: -7 });
    store.commit(&[prioritised(SWEEP)], NOW).unwrap();
    assert_eq!(state(&mut reader).priority, -7);
    assert_conflict(store.commit(&[prioritised(SweepKey(2))], NOW));
}

pub(crate) fn a_point_finishes_once<B: Backend>(folder: &Path) {
    let (mut store, mut reader) = open::<B>(folder);
    store.commit(&[grant(1, 0..2), grant(2, 0..2), finish(1, [0, 1], [])], NOW).unwrap();
    assert_conflict(store.commit(&[finish(2, [1], [0])], NOW));
    assert_eq!(state(&mut reader).finished.len(), 2);
}

pub(crate) fn a_group_is_written_whole_or_not_at_all<B: Backend>(folder: &Path) {
    let (mut store, mut reader) = open::<B>(folder);
    let before = state(&mut reader);
    let group = [grant(1, 0..2), record(1, 0, 0), finish(1, [0], [1]), record(9, 0, 0)];
    assert_conflict(store.commit(&group, NOW));
    assert_eq!(state(&mut reader), before);
    assert_eq!(reader.results(SWEEP, 0, 10).unwrap(), []);
    store.commit(&group[..3], NOW).unwrap();
}

pub(crate) fn records_of_other_attempts_are_gone_once_a_point_ended<B: Backend>(folder: &Path) {
    let (mut store, mut reader) = open::<B>(folder);
    store.commit(&[grant(1, 0..2), record(1, 0, 0), record(1, 0, 5), finish(1, [], [])], NOW).unwrap();
    store.commit(&[grant(2, 0..2)], NOW).unwrap();
    assert_eq!(reader.results(SWEEP, 0, 1).unwrap()[0].records.len(), 2, "the last that is known of the point");
    store.commit(&[record(2, 0, 0), finish(2, [0], [1])], NOW).unwrap();
    let results = reader.results(SWEEP, 0, 1).unwrap();
    assert_eq!(results[0].records.iter().map(|record| record.step).collect::<Vec<_>>(), [0]);
    assert_eq!(results[0].state, TaskState::Finished);
}

pub(crate) fn records_are_inherited_point_by_point_or_not_at_all<B: Backend>(folder: &Path) {
    let (mut store, mut reader) = open::<B>(folder);
    store.commit(&[grant(1, 0..3), record(1, 0, 0), record(1, 0, 5), record(1, 1, 0), finish(1, [], [])], NOW).unwrap();
    let inherited = |records: &[(u64, u64)]| {
        let reported = |(point, records): &(u64, u64)| (*point, Reported { records: *records, last_step: 5 });
        let reported = records.iter().map(reported).collect();
        Write::Schedule(Change::Inherited { lease: lease(2), from: 1, reported })
    };
    store.commit(&[grant(2, 0..3)], NOW).unwrap();
    let counts = |reader: &mut B::Reader, epoch| {
        let points = Points::from_iter(0..3);
        let reported = reader.reported(lease(epoch), &points).unwrap();
        reported.into_iter().map(|(point, reported)| (point, reported.records)).collect::<Vec<_>>()
    };
    // As many in all, and not of each.
    for refused in [&[(0, 1), (1, 2)][..], &[(0, 2), (1, 0), (2, 1)], &[(0, 2), (2, 1)], &[(0, 1)]] {
        assert_conflict(store.commit(&[inherited(refused)], NOW));
        assert_eq!((counts(&mut reader, 1), counts(&mut reader, 2)), (vec![(0, 2), (1, 1)], vec![]), "{refused:?}");
    }
    store.commit(&[inherited(&[(0, 2), (1, 1)])], NOW).unwrap();
    assert_eq!((counts(&mut reader, 1), counts(&mut reader, 2)), (vec![], vec![(0, 2), (1, 1)]));
}

pub(crate) fn results_come_in_pages_in_the_order_of_points<B: Backend>(folder: &Path) {
    let (mut store, mut reader) = open::<B>(folder);
    // 0 finished, 1 failed once and leased again, 2 leased, 3 set aside, 4 given back with a record; 5.. pending.
    store.commit(&[grant(1, 0..1), record(1, 0, 0), finish(1, [0], [])], NOW).unwrap();
    store.commit(&[grant(2, 1..2), set_back(2, 1, 1, false), grant(3, 1..3), record(3, 2, 0)], NOW).unwrap();
    store.commit(&[grant(4, 3..4), record(4, 3, 8), set_back(4, 3, 1, true)], NOW).unwrap();
    store.commit(&[grant(5, 4..5), record(5, 4, 0), finish(5, [], [])], NOW).unwrap();
    let all = reader.results(SWEEP, 0, 100).unwrap();
    let seen: Vec<_> = all.iter().map(|r| (r.point, r.state, r.attempts, r.error.is_some(), r.records.len())).collect();
    let expected = [
        (0, TaskState::Finished, 1, false, 1),
        (1, TaskState::Leased, 2, true, 0),
        (2, TaskState::Leased, 1, false, 1),
        (3, TaskState::Failed, 1, true, 1),
        (4, TaskState::Unfinished, 1, false, 1),
    ];
    assert_eq!(seen, expected);
    assert!(all[..4].iter().all(|result| result.worker == "w"));
    let mut paged = Vec::new();
    while let Some(last) = reader.results(SWEEP, paged.len() as u64, 2).ok().filter(|page| !page.is_empty()) {
        paged.extend(last);
    }
    assert_eq!(paged, all);
}

pub(crate) fn failures_are_listed_until_they_are_retried<B: Backend>(folder: &Path) {
    let (mut store, mut reader) = open::<B>(folder);
    store.commit(&[grant(1, 0..1), set_back(1, 0, 1, false), grant(2, 4..5), set_back(2, 4, 3, true)], NOW).unwrap();
    let failures = reader.failures(SWEEP, 100).unwrap();
    assert_eq!(failures, [Setback { point: 4, attempts: 3, error: "failure 3".into(), set_aside: true }]);
    assert_eq!(state(&mut reader).failed, Points::from_iter([4]));
    // In one group with another failure: what that touched in memory is cleared as well.
    let retried = Write::Schedule(Change::Retried { sweep: SWEEP });
    store.commit(&[grant(3, 7..8), set_back(3, 7, 1, true), retried], NOW).unwrap();
    let state = state(&mut reader);
    assert!(state.failed.is_empty());
    assert_eq!(state.attempts.into_iter().collect::<Vec<_>>(), [(0, 1)], "what was not set aside stays counted");
    assert_eq!(reader.failures(SWEEP, 100).unwrap(), []);
}

pub(crate) fn it_is_known_which_lease_ended_a_point<B: Backend>(folder: &Path) {
    let (mut store, mut reader) = open::<B>(folder);
    store.commit(&[grant(1, 0..2), finish(1, [0], [1]), set_back(1, 1, 1, false), grant(2, 1..2)], NOW).unwrap();
    assert!(reader.ended_under(lease(1), &[0], &[1]).unwrap());
    assert!(!reader.ended_under(lease(1), &[0, 1], &[]).unwrap(), "1 did not finish");
    assert!(!reader.ended_under(lease(2), &[0], &[]).unwrap());
    assert!(!reader.ended_under(lease(1), &[0, 5], &[]).unwrap());
}

pub(crate) fn all_that_became_of_a_point_is_remembered<B: Backend>(folder: &Path) {
    let (mut store, mut reader) = open::<B>(folder);
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    assert_eq!(reader.history(SWEEP, 0, None).unwrap(), History::default());
    store.commit(&[grant(1, 0..1), set_back(1, 0, 1, false)], at(1)).unwrap();
    store.commit(&[grant(2, 0..1), set_back(2, 0, 2, true)], at(2)).unwrap();
    store.commit(&[Write::Schedule(Change::Retried { sweep: SWEEP }), grant(3, 0..2)], at(3)).unwrap();
    let attempt = |attempt, set_aside, ended| PastAttempt {
        attempt,
        worker: "w".into(),
        error: format!("failure {attempt}"),
        set_aside,
        ended,
    };
    let attempts = vec![attempt(1, false, at(1)), attempt(2, true, at(2))];
    let expected = History { attempts, finish: None, granted: Some(at(3)) };
    assert_eq!(reader.history(SWEEP, 0, Some(lease(3))).unwrap(), expected);
    store.commit(&[finish(3, [0], [1])], at(4)).unwrap();
    let finished = PastAttempt { error: String::new(), ..attempt(1, false, at(4)) };
    let expected = History { finish: Some(finished), granted: None, ..expected };
    assert_eq!(reader.history(SWEEP, 0, None).unwrap(), expected);
}

pub(crate) fn the_first_baseline_stays<B: Backend>(folder: &Path) {
    let (mut store, mut reader) = open::<B>(folder);
    assert_eq!(reader.baseline("a").unwrap(), None);
    for estimate in [vec![1], vec![2]] {
        store.commit(&[Write::Baseline { digest: "a".into(), estimate }], NOW).unwrap();
    }
    assert_eq!(reader.baseline("a").unwrap(), Some(vec![1]));
}

pub(crate) fn a_result_is_found_where_a_point_of_its_digest_finished<B: Backend>(folder: &Path) {
    let (mut store, mut reader) = open::<B>(folder);
    let content = |digest: &str, point| Write::Content { digest: digest.into(), sweep: SWEEP, point };
    store.commit(&[grant(1, 0..4), content("a", 0), content("b", 1), content("a", 2)], NOW).unwrap();
    assert_eq!(reader.contents(&["a", "b", "c"]).unwrap(), [None, None, None], "nothing has finished");
    store.commit(&[finish(1, [2, 1], [0, 3])], NOW).unwrap();
    assert_eq!(reader.contents(&["a", "c", "b"]).unwrap(), [Some((SWEEP, 2)), None, Some((SWEEP, 1))]);
    // A point that never finishes hides nobody's result.
    store.commit(&[content("a", 3), content("a", 3)], NOW).unwrap();
    assert_eq!(reader.contents(&["a"]).unwrap(), [Some((SWEEP, 2))]);
}

pub(crate) fn any_schedule_loads_as_it_was_decided<B: Backend>(folder: &Path) {
    let mut runner = TestRunner::deterministic();
    for case in 0..8 {
        let folder = folder.join(case.to_string());
        let (mut store, mut reader) = B::open(&folder);
        let mut writes = vec![Write::Create(entry(SWEEP, 23)), Write::Create(entry(SweepKey(2), 200))];
        let events = random::events().new_tree(&mut runner).unwrap().current();
        let cluster = random::play(events, |cluster| {
            writes.extend(cluster.ledger.take_changes().into_iter().map(Write::Schedule));
            // Records of a schedule carry nothing; what matters is that they count.
            if writes.len() > 10 {
                store.commit(&std::mem::take(&mut writes), NOW).unwrap();
            }
        });
        store.commit(&writes, NOW).unwrap();
        let loaded: Vec<_> = reader.sweeps().unwrap().into_iter().map(|sweep| sweep.state).collect();
        assert_eq!(loaded, cluster.ledger.snapshot());
    }
}
