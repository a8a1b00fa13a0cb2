//! What must hold whatever stands in the cells of a database: it is called unreadable, or read as something with which a
//! scheduler goes on.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use phasegrid_proto::v1;
use prost::Message as _;
use roaring::RoaringBitmap;

use super::chunks::{Blobs, Chunks, Settled};
use super::encoding::{StoredToken, decode, decode_record, encode, encode_bitmap, role_number, sound};
use crate::access::Role;
use crate::scheduler::snapshot::{LeaseSnapshot, SweepSnapshot};
use crate::scheduler::{
    LeaseKey, Outcome, Points, Registration, Scheduler, Settings, Submission, SweepKey, SweepState, User, WorkerId,
    Workload,
};

const SWEEP: SweepKey = SweepKey(1);
/// The points of the sweep, and how many of them were leased.
const SIZE: u64 = 200_000;
const NEXT: u64 = 100_000;

/// A cell of one of the kinds that there are, which holds the first `keep` bytes of a good one, then garbage, and then in
/// the upper half of the kinds what stood behind it.
pub fn blob(kind: u8, keep: usize, garbage: &[u8]) {
    let spoilt = |good: Vec<u8>| {
        let rest = if kind >= 128 { good.get(keep.saturating_add(garbage.len())..) } else { None };
        [&good[..keep.min(good.len())], garbage, rest.unwrap_or_default()].concat()
    };
    match kind % 5 {
        0 => granted(&spoilt(encode(&Points::from_iter([3, 4, 5, 70_000])))),
        1 => chunk(&spoilt(encode_bitmap(&RoaringBitmap::from_iter(0..9))), true),
        2 => chunk(&spoilt(encode_bitmap(&RoaringBitmap::from_iter([7, 60_000]))), false),
        3 => record(&spoilt(v1::Record { step: 7, train_loss: Some(0.5), ..Default::default() }.encode_to_vec())),
        _ => token(&spoilt(b"0123456789abcdef".to_vec())),
    }
}

fn granted(bytes: &[u8]) {
    let Ok(points) = decode(bytes) else { return };
    let again = decode(&encode(&points)).expect("what was encoded can be read");
    assert_eq!(again, points);
    go_on(Points::from_iter([4]), Points::from_iter([5]), points);
}

fn chunk(bytes: &[u8], finished: bool) {
    let nothing = encode_bitmap(&RoaringBitmap::new());
    let [finished, failed] = if finished { [bytes, &nothing] } else { [&nothing, bytes] };
    let blobs = || Blobs { finished: finished.to_vec(), failed: failed.to_vec() };
    let mut chunks = Chunks::default();
    if chunks.insert((SWEEP, 1), &blobs()).is_err() {
        return;
    }
    let mut settled = Settled::default();
    for ((_, number), stored) in chunks.blobs() {
        settled.add(number, &stored).expect("what was encoded can be read");
    }
    let (finished, failed) = settled.points();
    go_on(finished, failed, Points::from_iter([3]));
}

fn record(bytes: &[u8]) {
    if let Ok(record) = decode_record(3, bytes) {
        let encoded = record.encode_to_vec();
        assert_eq!(decode_record(3, &encoded).expect("what was encoded can be read").encode_to_vec(), encoded);
    }
}

fn token(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let role = bytes.first().map_or_else(|| role_number(Role::Read), |byte| byte % 6);
    let stored = StoredToken {
        id: text.chars().take(16).collect(),
        role: role.into(),
        name: text.clone(),
        digest: bytes.iter().copied().cycle().take(32 * usize::from(!bytes.is_empty())).collect(),
        created: UNIX_EPOCH,
        expires: None,
        uses: Some(1),
        used: 2,
        revoked: None,
        workers: vec![text],
    };
    if let Ok(token) = stored.read() {
        assert_eq!(token.entry.id.as_str().len(), 16);
    }
}

/// A scheduler goes on from a sweep with these points, where they do not contradict each other, and leases of what is left.
fn go_on(finished: Points, failed: Points, granted: Points) {
    let holder = WorkerId("holder".into());
    let lease = LeaseSnapshot { worker: holder, slots: 2, remain: granted.clone(), granted, reported: BTreeMap::new() };
    let state = SweepSnapshot {
        key: SWEEP,
        size: SIZE,
        state: SweepState::Running,
        pause_reason: None,
        tripped: false,
        priority: 0,
        epoch: 1,
        next: NEXT,
        finished,
        failed,
        attempts: BTreeMap::new(),
        leases: BTreeMap::from([(1, lease)]),
    };
    let Ok(state) = sound(state) else { return };
    let ended = state.finished.len() + state.failed.len();
    let submission = Submission { workload: Workload::Equal, user: User("".into()), requirement: Default::default() };
    let now = Duration::from_secs(1);
    let mut scheduler = Scheduler::restore(Settings::default(), vec![(state, submission)], now);
    let worker = WorkerId("w".into());
    let registration = Registration { worker: worker.clone(), slots: 2, device: "cpu".to_owned(), memory: 0 };
    drop(scheduler.on_register(registration, now));
    drop(scheduler.on_lease_request(&worker, now).expect("the worker is known"));
    let lease = LeaseKey { sweep: SWEEP, epoch: 1 };
    drop(scheduler.on_finish(lease, vec![(3, Outcome::Failed { error: String::new(), permanent: true })], now));
    drop(scheduler.on_release(lease));
    drop(scheduler.on_tick(now + Settings::default().lease_time * 2));
    let progress = scheduler.progress(SWEEP, now).expect("the sweep is there");
    assert!(progress.finished + progress.failed >= ended && progress.size == SIZE, "{progress:?}");
}
