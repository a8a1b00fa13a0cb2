//! What every backend promises of sealed records.

use super::*;
use crate::store::{Segment, Unsealed};

/// A segment of these points, as it might have been written.
fn segment(number: u64, points: impl IntoIterator<Item = u64>, rows: u64) -> Segment {
    let name = format!("map-1/{number}.parquet");
    let (points, digest) = (points.into_iter().collect(), "a digest".to_owned());
    Segment { sweep: SWEEP, number, name, points, rows, bytes: 1000, footer: 100, digest }
}

/// Points 0 to 5 are finished, with two records each; 6 is leased and has one, 7 is set aside and has one.
fn finished<B: Backend>(folder: &Path) -> (B::Store, B::Reader) {
    let (mut store, reader) = open::<B>(folder);
    store.commit(&[grant(1, 0..7)], NOW).unwrap();
    for point in 0..6 {
        store.commit(&[record(1, point, 0), record(1, point, 5)], NOW).unwrap();
    }
    store.commit(&[record(1, 6, 0), finish(1, 0..6, [6])], NOW).unwrap();
    store.commit(&[grant(2, 7..8), record(2, 7, 0), set_back(2, 7, 3, true)], NOW).unwrap();
    (store, reader)
}

fn counts(reader: &mut impl Reader) -> Vec<(u64, usize)> {
    reader.results(SWEEP, 0, 100).unwrap().iter().map(|result| (result.point, result.records.len())).collect()
}

fn points_of(unsealed: &Unsealed) -> Vec<(u64, u64)> {
    unsealed.records.iter().map(|record| (record.point, record.step)).collect()
}

pub(crate) fn sealed_records_are_rows_no_more_and_their_segment_is_named<B: Backend>(folder: &Path) {
    let (mut store, mut reader) = finished::<B>(folder);
    let (first, second) = (segment(1, [0, 1, 3], 6), segment(2, [4], 2));
    store.commit(&[Write::Sealed(first.clone()), Write::Sealed(second.clone())], NOW).unwrap();
    assert_eq!(counts(&mut reader), [(0, 0), (1, 0), (2, 2), (3, 0), (4, 0), (5, 2), (6, 1), (7, 1)]);
    assert_eq!(points_of(&reader.unsealed(SWEEP, 0, 100).unwrap()), [(2, 0), (2, 5), (5, 0), (5, 5)]);
    drop((store, reader));
    let (_, mut reader) = B::open(folder);
    assert_eq!(reader.segments(SWEEP, 0..=u64::MAX).unwrap(), [first.clone(), second.clone()]);
    assert_eq!(reader.segments(SWEEP, 2..=2).unwrap(), [first], "its points range over that one");
    assert_eq!(reader.segments(SWEEP, 4..=4).unwrap(), [second]);
    assert_eq!(reader.segments(SWEEP, 5..=9).unwrap(), []);
    assert_eq!(reader.segments(SweepKey(2), 0..=9).unwrap(), []);
    assert_eq!(reader.sweeps().unwrap()[0].state.finished, Points::from_iter(0..6));
}

pub(crate) fn what_has_not_finished_cannot_be_sealed<B: Backend>(folder: &Path) {
    let (mut store, mut reader) = finished::<B>(folder);
    let before = counts(&mut reader);
    for refused in
        [segment(1, [5, 6], 3), segment(1, [5, 7], 3), segment(1, [5], 1), segment(1, [5], 3), segment(1, [9], 1)]
    {
        let neighbour = grant(3, 8..9);
        assert_conflict(store.commit(&[neighbour, Write::Sealed(refused)], NOW));
    }
    assert_eq!((counts(&mut reader), reader.segments(SWEEP, 0..=9).unwrap()), (before, vec![]));
    assert_eq!(state(&mut reader).epoch, 2, "the group goes with it");
}

pub(crate) fn a_segment_is_named_once<B: Backend>(folder: &Path) {
    let (mut store, mut reader) = finished::<B>(folder);
    store.commit(&[Write::Sealed(segment(1, [0], 2))], NOW).unwrap();
    assert_conflict(store.commit(&[Write::Sealed(segment(1, [0], 2))], NOW));
    assert_conflict(store.commit(&[Write::Sealed(segment(1, [1], 2))], NOW));
    assert_conflict(store.commit(&[Write::Sealed(segment(2, [0], 2))], NOW));
    assert_eq!(counts(&mut reader)[..2], [(0, 0), (1, 2)]);
    store.commit(&[Write::Sealed(segment(2, [1], 2))], NOW).unwrap();
}

pub(crate) fn what_can_be_sealed_comes_in_bites_of_whole_points<B: Backend>(folder: &Path) {
    let (_, mut reader) = finished::<B>(folder);
    let all = reader.unsealed(SWEEP, 0, 100).unwrap();
    assert_eq!(points_of(&all), (0..6).flat_map(|point| [(point, 0), (point, 5)]).collect::<Vec<_>>());
    let payload = v1::Record { step: 5, train_loss: Some(0.5), ..Default::default() }.encode_to_vec();
    assert_eq!(all.records[1], Measurement { point: 0, step: 5, payload });
    assert_eq!(all.next, None);
    // Of seven records the last is in the middle of point 3.
    let first = reader.unsealed(SWEEP, 0, 7).unwrap();
    assert_eq!((first.records.len(), first.next), (8, Some(4)));
    let second = reader.unsealed(SWEEP, 4, 4).unwrap();
    assert_eq!((second.records.len(), second.next), (4, Some(7)), "one of the five is of a point under way");
    let third = reader.unsealed(SWEEP, 7, 4).unwrap();
    assert_eq!((third.records.len(), third.next), (0, None), "what failed is not sealed");
}

pub(crate) fn a_page_of_results_looks_no_further_than_its_end<B: Backend>(folder: &Path) {
    let (mut store, mut reader) = finished::<B>(folder);
    // Behind the page lies a record that nobody can decode: whoever looks at it fails.
    let records = vec![Measurement { point: 9, step: 0, payload: vec![0xff] }];
    let recorded = Write::Schedule(Change::Recorded { lease: lease(3), records });
    store.commit(&[grant(3, 9..10), recorded, Write::Sealed(segment(1, 0..5, 10))], NOW).unwrap();
    assert!(reader.results(SWEEP, 1, 10).is_err());
    let page = reader.results(SWEEP, 1, 4).unwrap();
    let seen: Vec<_> = page.iter().map(|result| (result.point, result.records.len())).collect();
    assert_eq!(seen, [(1, 0), (2, 0), (3, 0), (4, 0)]);
    let page = reader.results(SWEEP, 3, 3).unwrap();
    let seen: Vec<_> = page.iter().map(|result| (result.point, result.records.len())).collect();
    assert_eq!(seen, [(3, 0), (4, 0), (5, 2)]);
}
