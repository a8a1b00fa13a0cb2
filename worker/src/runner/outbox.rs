//! Records on their way to the coordinator. Pure, but for the [`Spool`] that holds them: no network, no clock.
//!
//! What has gathered for a lease leaves as one batch; a few batches may be on the way at once, and answers come in their
//! order. Nothing is forgotten before it is acknowledged: after a broken stream the unanswered batches leave again. Records of
//! a lease that was lost wait until it is known whether they are of use under another.

use std::collections::{BTreeMap, HashMap, VecDeque};

use phasegrid_proto::v1;

use super::spool::{Spool, Waiting};
use crate::client::{Reclaimed, Token, Verdict};

/// Batches on the way at once. More records gather meanwhile, so that batches grow when the coordinator is slow.
const WINDOW: usize = 4;
/// Bytes of records after which a batch is full, well below gRPC's customary 4 MB a message.
const BATCH_BYTES: usize = 1 << 20;

/// All records that are not acknowledged.
#[derive(Debug)]
pub(super) struct Outbox {
    spool: Spool,
    /// Not in a batch yet, in the order of arrival.
    gathered: VecDeque<(Token, u64, Waiting)>,
    /// Batches, oldest first; the first `sent` of them are on the way.
    batches: VecDeque<Batch>,
    sent: usize,
    /// Records of lost leases.
    held_back: HashMap<Token, HeldBack>,
    /// Leases that were reclaimed. Records of points that they do not cover may still come, from tasks that are about to stop.
    reclaimed: HashMap<Token, Reclaimed>,
}

#[derive(Debug)]
struct Batch {
    token: Token,
    points: BTreeMap<u64, Vec<Waiting>>,
}

/// What waits of a lost lease.
#[derive(Debug, Default)]
struct HeldBack {
    records: Vec<(u64, Waiting)>,
    /// It was said that nothing of it is on the way any more.
    told: bool,
}

/// What an answer said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answered {
    /// So many records of each of these points are durable.
    Durable(Token, Vec<(u64, u64)>),
    /// The lease has ended; its records are held back.
    Stale(Token),
}

impl Outbox {
    pub(super) fn new(spool: Spool) -> Self {
        let (gathered, batches, held_back, reclaimed) = Default::default();
        Self { spool, gathered, batches, sent: 0, held_back, reclaimed }
    }

    /// Nothing is to be sent.
    pub(super) fn is_empty(&self) -> bool {
        self.gathered.is_empty() && self.batches.is_empty()
    }

    pub(super) fn push(&mut self, token: Token, point: u64, record: v1::Record) {
        let waiting = self.spool.keep(record);
        if let Some(lost) = self.held_back.get_mut(&token) {
            lost.records.push((point, waiting));
        } else if self.reclaimed.get(&token).is_some_and(|reclaimed| !reclaimed.points.contains(&point)) {
            self.spool.forget(waiting);
        } else {
            self.gathered.push_back((token, point, waiting));
        }
    }

    /// The next batch to send, if one may leave now.
    pub(super) fn next(&mut self) -> Option<v1::ReportRequest> {
        if self.sent == WINDOW {
            return None;
        }
        if self.sent == self.batches.len() {
            let batch = self.batch()?;
            self.batches.push_back(batch);
        }
        let request = self.request(&self.batches[self.sent]);
        self.sent += 1;
        Some(request)
    }

    /// The oldest batch on the way was answered; `None` if there was none.
    pub(super) fn answered(&mut self, verdict: Verdict) -> Option<Answered> {
        self.sent = self.sent.checked_sub(1)?;
        let Batch { token, points } = self.batches.pop_front()?;
        Some(match verdict {
            Verdict::Accepted => {
                let counts = points.iter().map(|(&point, records)| (point, records.len() as u64)).collect();
                points.into_values().flatten().for_each(|waiting| self.spool.forget(waiting));
                Answered::Durable(token, counts)
            }
            Verdict::Stale => {
                self.held_back.entry(token.clone()).or_default().records.extend(each(points));
                self.put_unsent_aside();
                Answered::Stale(token)
            }
        })
    }

    /// The stream broke: what is unanswered is to be sent again.
    pub(super) fn broken(&mut self) {
        self.sent = 0;
        self.put_unsent_aside();
    }

    /// A lease was lost: its records wait, but for batches on the way, whose answers are still to come.
    pub(super) fn hold_back(&mut self, token: &Token) {
        self.held_back.entry(token.clone()).or_default();
        self.put_unsent_aside();
    }

    /// Lost leases of which nothing is on the way any more. Each is told once.
    pub(super) fn settled(&mut self) -> Vec<Token> {
        let Self { batches, held_back, .. } = self;
        let is_on_the_way = |token: &Token| batches.iter().any(|batch| batch.token == *token);
        let news = held_back.iter_mut().filter(|(token, lost)| !lost.told && !is_on_the_way(token));
        let tell = |(token, lost): (&Token, &mut HeldBack)| {
            lost.told = true;
            token.clone()
        };
        news.map(tell).collect()
    }

    /// A lease took the place of the lost one. Records of points that it covers go out under its name.
    pub(super) fn regain(&mut self, token: Token, reclaimed: Reclaimed) {
        let mut records = self.held_back.remove(&token).unwrap_or_default().records;
        // What came back from the stream was told before what waited here.
        records.sort_by_key(|(point, waiting)| (*point, waiting.step));
        for (point, waiting) in records {
            if reclaimed.points.contains(&point) {
                self.gathered.push_back((token.clone(), point, waiting));
            } else {
                self.spool.forget(waiting);
            }
        }
        self.reclaimed.insert(token, reclaimed);
    }

    /// Forgets a lease, but for batches on the way, whose answers are still to come. One that says that the lease has ended
    /// is told, and the lease is to be dropped again.
    pub(super) fn drop_lease(&mut self, token: &Token) {
        self.held_back.entry(token.clone()).or_default();
        self.put_unsent_aside();
        let HeldBack { records, .. } = self.held_back.remove(token).unwrap_or_default();
        records.into_iter().for_each(|(_, waiting)| self.spool.forget(waiting));
        self.reclaimed.remove(token);
    }

    /// Whatever is of lost leases and not on the way waits from now on.
    fn put_unsent_aside(&mut self) {
        let Self { batches, sent, gathered, held_back, .. } = self;
        if held_back.is_empty() {
            return;
        }
        for Batch { token, points } in batches.split_off(*sent) {
            match held_back.get_mut(&token) {
                Some(lost) => lost.records.extend(each(points)),
                None => batches.push_back(Batch { token, points }),
            }
        }
        for (token, point, waiting) in std::mem::take(gathered) {
            match held_back.get_mut(&token) {
                Some(lost) => lost.records.push((point, waiting)),
                None => gathered.push_back((token, point, waiting)),
            }
        }
    }

    /// What has gathered for the lease of the oldest record.
    fn batch(&mut self) -> Option<Batch> {
        let (token, ..) = self.gathered.front()?;
        let mut batch = Batch { token: token.clone(), points: BTreeMap::new() };
        let mut bytes = 0;
        while bytes < BATCH_BYTES {
            let Some((_, point, waiting)) = self.gathered.pop_front_if(|(token, ..)| *token == batch.token) else {
                break;
            };
            bytes += waiting.bytes();
            batch.points.entry(point).or_default().push(waiting);
        }
        Some(batch)
    }

    fn name(&self, token: &Token) -> Token {
        self.reclaimed.get(token).map_or(token, |reclaimed| &reclaimed.known_as).clone()
    }

    fn request(&self, batch: &Batch) -> v1::ReportRequest {
        let read = |waiting: &Waiting| match self.spool.read(waiting) {
            Ok(record) => Some(record),
            Err(error) => {
                // The point is found to lack it when it is finished, and is computed again.
                tracing::error!(%error, step = waiting.step, "a record that waited cannot be read any more");
                None
            }
        };
        let points = batch.points.iter();
        let points = points
            .map(|(&point, records)| v1::PointRecords { point, records: records.iter().filter_map(read).collect() })
            .collect();
        v1::ReportRequest { token: self.name(&batch.token).to_string(), points }
    }
}

/// The records of a batch, one by one.
fn each(points: BTreeMap<u64, Vec<Waiting>>) -> impl Iterator<Item = (u64, Waiting)> {
    points.into_iter().flat_map(|(point, records)| records.into_iter().map(move |waiting| (point, waiting)))
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::super::spool::SpoolSettings;
    use super::*;

    fn outbox() -> Outbox {
        Outbox::new(Spool::new(SpoolSettings::default()))
    }

    fn push(outbox: &mut Outbox, token: &str, point: u64, step: u64) {
        outbox.push(Token::new(token), point, v1::Record { step, ..Default::default() });
    }

    fn reclaimed<const N: usize>(known_as: &str, points: [u64; N]) -> Reclaimed {
        Reclaimed { known_as: Token::new(known_as), points: points.into() }
    }

    /// A request in short: its lease, and the steps of each point.
    type Short = (String, Vec<(u64, Vec<u64>)>);

    fn short(request: Option<v1::ReportRequest>) -> Option<Short> {
        let steps = |records: Vec<v1::Record>| records.iter().map(|record| record.step).collect();
        request.map(|request| {
            (request.token, request.points.into_iter().map(|of| (of.point, steps(of.records))).collect())
        })
    }

    #[test]
    fn what_has_gathered_for_a_lease_leaves_as_one_batch_in_rising_steps() {
        let mut outbox = outbox();
        for (token, point, step) in [("a", 2, 0), ("a", 1, 0), ("a", 2, 5), ("b", 9, 0), ("a", 1, 5)] {
            push(&mut outbox, token, point, step);
        }
        assert_eq!(short(outbox.next()), Some(("a".into(), vec![(1, vec![0]), (2, vec![0, 5])])));
        assert_eq!(short(outbox.next()), Some(("b".into(), vec![(9, vec![0])])));
        assert_eq!(short(outbox.next()), Some(("a".into(), vec![(1, vec![5])])));
        assert_eq!(outbox.next(), None);
        assert!(!outbox.is_empty());
    }

    #[test]
    fn answers_match_batches_in_order() {
        let mut outbox = outbox();
        for point in 0..2 {
            push(&mut outbox, "a", point, 0);
            push(&mut outbox, "a", point, 1);
            outbox.next().unwrap();
        }
        let durable = |point| Some(Answered::Durable(Token::new("a"), vec![(point, 2)]));
        assert_eq!(outbox.answered(Verdict::Accepted), durable(0));
        assert_eq!(outbox.answered(Verdict::Accepted), durable(1));
        assert!(outbox.is_empty());
        assert_eq!(outbox.answered(Verdict::Accepted), None, "an answer to nothing");
    }

    #[test]
    fn only_a_window_of_batches_is_on_the_way() {
        let mut outbox = outbox();
        for point in 0..WINDOW as u64 {
            push(&mut outbox, "a", point, 0);
            outbox.next().unwrap();
        }
        push(&mut outbox, "a", 90, 0);
        push(&mut outbox, "a", 91, 0);
        assert_eq!(outbox.next(), None);
        outbox.answered(Verdict::Accepted).unwrap();
        assert_eq!(short(outbox.next()), Some(("a".into(), vec![(90, vec![0]), (91, vec![0])])));
    }

    #[test]
    fn a_broken_stream_sends_the_unanswered_again_and_in_order() {
        let mut outbox = outbox();
        for point in 0..3 {
            push(&mut outbox, "a", point, 0);
            outbox.next().unwrap();
        }
        outbox.answered(Verdict::Accepted).unwrap();
        push(&mut outbox, "a", 3, 0);
        outbox.broken();
        for point in 1..=3 {
            assert_eq!(short(outbox.next()), Some(("a".into(), vec![(point, vec![0])])));
        }
        assert_eq!(outbox.next(), None);
    }

    #[test]
    fn a_lost_lease_waits_while_others_go_on_and_is_settled_once_nothing_of_it_is_on_the_way() {
        let (mut outbox, a) = (outbox(), Token::new("a"));
        push(&mut outbox, "a", 0, 0);
        outbox.next().unwrap();
        push(&mut outbox, "a", 1, 0);
        outbox.next().unwrap();
        push(&mut outbox, "a", 2, 0);
        push(&mut outbox, "b", 3, 0);
        assert_eq!(outbox.answered(Verdict::Stale), Some(Answered::Stale(a.clone())));
        assert_eq!(outbox.settled(), [], "a batch is still to be answered");
        assert_eq!(outbox.answered(Verdict::Stale), Some(Answered::Stale(a.clone())));
        assert_eq!((outbox.settled(), outbox.settled()), (vec![a.clone()], vec![]));
        push(&mut outbox, "a", 0, 5);
        assert_eq!(short(outbox.next()), Some(("b".into(), vec![(3, vec![0])])));
        assert_eq!(outbox.next(), None);
        outbox.regain(a.clone(), reclaimed("c", [0, 2]));
        push(&mut outbox, "a", 1, 5);
        assert_eq!(short(outbox.next()), Some(("c".into(), vec![(0, vec![0, 5]), (2, vec![0])])));
        outbox.answered(Verdict::Accepted).unwrap();
        push(&mut outbox, "a", 0, 9);
        assert_eq!(short(outbox.next()), Some(("c".into(), vec![(0, vec![9])])), "it keeps its new name");
        outbox.answered(Verdict::Accepted).unwrap();
        assert_eq!(outbox.answered(Verdict::Stale), Some(Answered::Stale(a)), "and is lost under it");
    }

    #[test]
    fn what_was_on_a_broken_stream_of_a_lost_lease_waits_too() {
        let (mut outbox, a) = (outbox(), Token::new("a"));
        push(&mut outbox, "a", 0, 0);
        outbox.next().unwrap();
        push(&mut outbox, "a", 0, 1);
        outbox.hold_back(&a);
        assert_eq!(outbox.settled(), []);
        outbox.broken();
        assert_eq!((outbox.settled(), outbox.next()), (vec![a.clone()], None));
        outbox.regain(a, reclaimed("c", [0]));
        assert_eq!(short(outbox.next()), Some(("c".into(), vec![(0, vec![0, 1])])));
    }

    #[test]
    fn a_lease_that_was_dropped_is_forgotten_but_its_batches_on_the_way_are_still_matched() {
        let (mut outbox, a) = (outbox(), Token::new("a"));
        for point in 0..2 {
            push(&mut outbox, "a", point, 0);
            outbox.next().unwrap();
        }
        push(&mut outbox, "a", 2, 0);
        push(&mut outbox, "b", 3, 0);
        outbox.drop_lease(&a);
        for _ in 0..2 {
            assert_eq!(outbox.answered(Verdict::Stale), Some(Answered::Stale(a.clone())));
            outbox.drop_lease(&a);
        }
        assert_eq!(outbox.settled(), []);
        assert_eq!(short(outbox.next()), Some(("b".into(), vec![(3, vec![0])])));
    }

    #[test]
    fn a_lost_lease_that_is_dropped_leaves_nothing() {
        let (mut outbox, a) = (outbox(), Token::new("a"));
        push(&mut outbox, "a", 0, 0);
        outbox.hold_back(&a);
        push(&mut outbox, "a", 0, 1);
        outbox.drop_lease(&a);
        outbox.drop_lease(&a);
        assert!(outbox.is_empty() && outbox.held_back.is_empty() && outbox.settled().is_empty());
    }

    #[test]
    fn a_full_batch_leaves_room_under_the_message_limit() {
        let mut outbox = outbox();
        let estimate = v1::Estimate { health_reason: "x".repeat(1000), ..Default::default() };
        let record = v1::Record { estimates: vec![estimate; 20], ..Default::default() };
        for _ in 0..100 {
            outbox.push(Token::new("a"), 0, record.clone());
        }
        let sizes: Vec<usize> = std::iter::from_fn(|| outbox.next()).map(|request| request.encoded_len()).collect();
        assert_eq!(sizes.len(), 2, "{sizes:?}");
        assert!(sizes.iter().all(|size| *size < 2 * BATCH_BYTES), "{sizes:?}");
    }
}
