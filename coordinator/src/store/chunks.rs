//! The chunks that a group of writes touches: read once, changed in memory, written once at its end. They are the same
//! for every backend, which reads and writes the blobs.

use std::collections::{BTreeMap, BTreeSet};

use roaring::RoaringBitmap;

use super::Write;
use super::encoding::{Unreadable, decode_bitmap, encode_bitmap};
use crate::scheduler::{Change, Points, SweepKey};

/// The points of a chunk have all but these bits in common.
const CHUNK_BITS: u32 = 16;

/// A chunk's sweep, and its number in it.
pub(super) type ChunkKey = (SweepKey, u64);

/// A chunk as it is stored: the finished and the failed of its points.
#[derive(Debug)]
pub(super) struct Blobs {
    pub(super) finished: Vec<u8>,
    pub(super) failed: Vec<u8>,
}

/// The state of some consecutive points, by the lower half of their index.
#[derive(Debug, Default)]
struct Chunk {
    finished: RoaringBitmap,
    failed: RoaringBitmap,
}

/// What a group of writes makes of the chunks that it touches.
#[derive(Debug, Default)]
pub(super) struct Chunks(BTreeMap<ChunkKey, Chunk>);

/// The chunks in which these writes end points.
pub(super) fn touched(writes: &[Write]) -> BTreeSet<ChunkKey> {
    let mut touched = BTreeSet::new();
    for write in writes {
        if let Write::Schedule(Change::Ended { lease, finished, setbacks, .. }) = write {
            let failed = setbacks.iter().filter(|setback| setback.set_aside).map(|setback| setback.point);
            let ended = finished.iter().map(|finish| finish.point).chain(failed);
            touched.extend(ended.map(|point| (lease.sweep, point >> CHUNK_BITS)));
        }
    }
    touched
}

/// A point's place within its chunk.
#[expect(clippy::cast_possible_truncation, reason = "the upper half is the same for all points of a chunk")]
fn place(point: u64) -> u32 {
    point as u32
}

impl Chunks {
    /// Takes a chunk as it is stored before the writes; one that is not stored is empty.
    pub(super) fn insert(&mut self, key: ChunkKey, stored: &Blobs) -> Result<(), Unreadable> {
        let (finished, failed) = (decode_bitmap(&stored.finished)?, decode_bitmap(&stored.failed)?);
        self.0.insert(key, Chunk { finished, failed });
        Ok(())
    }

    /// Applies the writes, in their order.
    pub(super) fn apply(&mut self, writes: &[Write]) {
        for write in writes {
            match write {
                Write::Schedule(Change::Ended { lease, finished, setbacks, .. }) => {
                    for finish in finished {
                        self.of(lease.sweep, finish.point).finished.insert(place(finish.point));
                    }
                    for setback in setbacks.iter().filter(|setback| setback.set_aside) {
                        self.of(lease.sweep, setback.point).failed.insert(place(setback.point));
                    }
                }
                Write::Schedule(Change::Retried { sweep }) => {
                    for (_, chunk) in self.0.range_mut((*sweep, 0)..=(*sweep, u64::MAX)) {
                        chunk.failed.clear();
                    }
                }
                _ => {}
            }
        }
    }

    fn of(&mut self, sweep: SweepKey, point: u64) -> &mut Chunk {
        self.0.entry((sweep, point >> CHUNK_BITS)).or_default()
    }

    /// What is to be stored.
    pub(super) fn blobs(&self) -> impl Iterator<Item = (ChunkKey, Blobs)> {
        self.0.iter().map(|(key, chunk)| {
            (*key, Blobs { finished: encode_bitmap(&chunk.finished), failed: encode_bitmap(&chunk.failed) })
        })
    }
}

/// A set of no points, as it is stored.
pub(super) fn nothing() -> Vec<u8> {
    encode_bitmap(&RoaringBitmap::new())
}

/// The finished and the failed points of a sweep, put together from all its chunks.
#[derive(Debug, Default)]
pub(super) struct Settled {
    finished: BTreeMap<u32, RoaringBitmap>,
    failed: BTreeMap<u32, RoaringBitmap>,
}

impl Settled {
    /// Adds the chunk of a number.
    pub(super) fn add(&mut self, number: u64, stored: &Blobs) -> Result<(), Unreadable> {
        let too_large = |_| Unreadable(format!("there is no chunk {number} in any sweep"));
        let upper_half = u32::try_from(number >> (u32::BITS - CHUNK_BITS)).map_err(too_large)?;
        *self.finished.entry(upper_half).or_default() |= decode_bitmap(&stored.finished)?;
        *self.failed.entry(upper_half).or_default() |= decode_bitmap(&stored.failed)?;
        Ok(())
    }

    /// The finished points, and the failed.
    pub(super) fn points(self) -> (Points, Points) {
        (Points::from_bitmaps(self.finished), Points::from_bitmaps(self.failed))
    }
}
