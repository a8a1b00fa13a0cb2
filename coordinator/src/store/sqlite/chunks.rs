//! The chunks that a group of writes touches: read once, changed in memory, written once at its end.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use roaring::RoaringBitmap;
use rusqlite::{Connection, OptionalExtension, params};

use super::Fault;
use super::points::{decode_bitmap, encode_bitmap};
use crate::scheduler::{Points, SweepKey};

/// The points of a chunk have all but these bits in common.
const CHUNK_BITS: u32 = 16;

/// The state of some consecutive points, by the lower half of their index.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) finished: RoaringBitmap,
    pub(super) failed: RoaringBitmap,
}

#[derive(Debug, Default)]
pub(super) struct Chunks(BTreeMap<(SweepKey, u64), Chunk>);

/// A point's place within its chunk.
#[expect(clippy::cast_possible_truncation, reason = "the upper half is the same for all points of a chunk")]
pub(super) fn place(point: u64) -> u32 {
    point as u32
}

impl Chunks {
    /// The chunk of a point.
    pub(super) fn of(&mut self, connection: &Connection, sweep: SweepKey, point: u64) -> Result<&mut Chunk, Fault> {
        let number = point >> CHUNK_BITS;
        match self.0.entry((sweep, number)) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let mut statement = connection.prepare_cached(include_str!("sql/read_chunk.sql"))?;
                let blobs: Option<(Vec<u8>, Vec<u8>)> =
                    statement.query_row(params![sweep.0, number], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
                let chunk = match blobs {
                    Some((finished, failed)) => {
                        Chunk { finished: decode_bitmap(&finished)?, failed: decode_bitmap(&failed)? }
                    }
                    None => Chunk::default(),
                };
                Ok(entry.insert(chunk))
            }
        }
    }

    /// Nothing of the sweep is set aside any more.
    pub(super) fn clear_failed(&mut self, connection: &Connection, sweep: SweepKey) -> Result<(), Fault> {
        for (_, chunk) in self.0.range_mut((sweep, 0)..=(sweep, u64::MAX)) {
            chunk.failed.clear();
        }
        let none = encode_bitmap(&RoaringBitmap::new());
        connection.prepare_cached(include_str!("sql/retry_chunks.sql"))?.execute(params![sweep.0, none])?;
        Ok(())
    }

    pub(super) fn write(&self, connection: &Connection) -> Result<(), Fault> {
        let mut statement = connection.prepare_cached(include_str!("sql/write_chunk.sql"))?;
        for ((sweep, number), chunk) in &self.0 {
            let (finished, failed) = (encode_bitmap(&chunk.finished), encode_bitmap(&chunk.failed));
            statement.execute(params![sweep.0, number, finished, failed])?;
        }
        Ok(())
    }
}

/// The finished and the failed points of a sweep.
pub(super) fn load(connection: &Connection, sweep: SweepKey) -> Result<(Points, Points), Fault> {
    let (mut finished, mut failed) = (BTreeMap::new(), BTreeMap::new());
    let mut statement = connection.prepare_cached(include_str!("sql/load_chunks.sql"))?;
    let mut rows = statement.query([sweep.0])?;
    while let Some(row) = rows.next()? {
        let upper_half = row.get::<_, u32>(0)? >> (u32::BITS - CHUNK_BITS);
        *finished.entry(upper_half).or_insert_with(RoaringBitmap::new) |= decode_bitmap(&row.get::<_, Vec<u8>>(1)?)?;
        *failed.entry(upper_half).or_insert_with(RoaringBitmap::new) |= decode_bitmap(&row.get::<_, Vec<u8>>(2)?)?;
    }
    Ok((Points::from_bitmaps(finished), Points::from_bitmaps(failed)))
}
