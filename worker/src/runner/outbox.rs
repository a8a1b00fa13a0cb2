//! Records on their way to the coordinator. Pure: no network, no clock.
//!
//! What has gathered for a lease leaves as one batch; a few batches may be on the way at once, and answers come in their
//! order. Nothing is forgotten before it is acknowledged: after a broken stream the unanswered batches leave again.

use std::collections::{BTreeMap, VecDeque};

use phasegrid_proto::v1;
use prost::Message as _;

use crate::client::{Token, Verdict};

/// Batches on the way at once. More records gather meanwhile, so that batches grow when the coordinator is slow.
const WINDOW: usize = 4;
/// Bytes of records after which a batch is full, well below gRPC's customary 4 MB a message.
const BATCH_BYTES: usize = 1 << 20;

/// All records that are not acknowledged.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Not in a batch yet, in the order of arrival.
    gathered: VecDeque<(Token, u64, v1::Record)>,
    /// Batches, oldest first; the first `sent` of them are on the way.
    batches: VecDeque<Batch>,
    sent: usize,
}

#[derive(Clone, Debug)]
struct Batch {
    token: Token,
    points: BTreeMap<u64, Vec<v1::Record>>,
}

/// What an answer said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answered {
    /// So many records of each of these points are durable.
    Durable(Token, Vec<(u64, u64)>),
    /// The lease has ended; its records are dropped.
    Stale(Token),
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.gathered.is_empty() && self.batches.is_empty()
    }

    pub(super) fn push(&mut self, token: Token, point: u64, record: v1::Record) {
        self.gathered.push_back((token, point, record));
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
        let request = self.batches[self.sent].request();
        self.sent += 1;
        Some(request)
    }

    /// The oldest batch on the way was answered; `None` if there was none.
    pub(super) fn answered(&mut self, verdict: Verdict) -> Option<Answered> {
        self.sent = self.sent.checked_sub(1)?;
        let Batch { token, points } = self.batches.pop_front()?;
        Some(match verdict {
            Verdict::Accepted => Answered::Durable(
                token,
                points.into_iter().map(|(point, records)| (point, records.len() as u64)).collect(),
            ),
            Verdict::Stale => {
                self.drop_lease(&token);
                Answered::Stale(token)
            }
        })
    }

    /// The stream broke: what is unanswered is to be sent again.
    pub(super) fn broken(&mut self) {
        self.sent = 0;
    }

    /// Forgets a lease, but for batches on the way, whose answers are still to come.
    pub(super) fn drop_lease(&mut self, token: &Token) {
        self.gathered.retain(|(of, ..)| of != token);
        let mut position = 0;
        self.batches.retain(|batch| {
            position += 1;
            position <= self.sent || batch.token != *token
        });
    }

    /// What has gathered for the lease of the oldest record.
    fn batch(&mut self) -> Option<Batch> {
        let (token, ..) = self.gathered.front()?;
        let mut batch = Batch { token: token.clone(), points: BTreeMap::new() };
        let mut bytes = 0;
        while bytes < BATCH_BYTES {
            let Some((_, point, record)) = self.gathered.pop_front_if(|(token, ..)| *token == batch.token) else {
                break;
            };
            bytes += record.encoded_len();
            batch.points.entry(point).or_default().push(record);
        }
        Some(batch)
    }
}

impl Batch {
    fn request(&self) -> v1::ReportRequest {
        let points = self.points.iter();
        let points = points.map(|(&point, records)| v1::PointRecords { point, records: records.clone() }).collect();
        v1::ReportRequest { token: self.token.to_string(), points }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(outbox: &mut Outbox, token: &str, point: u64, step: u64) {
        outbox.push(Token::new(token), point, v1::Record { step, ..Default::default() });
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
        let mut outbox = Outbox::default();
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
        let mut outbox = Outbox::default();
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
        let mut outbox = Outbox::default();
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
        let mut outbox = Outbox::default();
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
    fn a_stale_lease_is_forgotten_but_its_batches_on_the_way_are_still_matched() {
        let mut outbox = Outbox::default();
        push(&mut outbox, "a", 0, 0);
        outbox.next().unwrap();
        push(&mut outbox, "a", 1, 0);
        outbox.next().unwrap();
        push(&mut outbox, "a", 2, 0);
        push(&mut outbox, "b", 3, 0);
        assert_eq!(outbox.answered(Verdict::Stale), Some(Answered::Stale(Token::new("a"))));
        assert_eq!(outbox.answered(Verdict::Stale), Some(Answered::Stale(Token::new("a"))));
        assert_eq!(short(outbox.next()), Some(("b".into(), vec![(3, vec![0])])));
    }

    #[test]
    fn a_full_batch_leaves_room_under_the_message_limit() {
        let mut outbox = Outbox::default();
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
