//! The records of finished points, sealed into files that never change: Parquet in an object store, which is a folder or a
//! bucket.
//!
//! A file is a *segment*: all records of some finished points of one sweep, in the order of points and steps, a column for
//! each quantity. `columns` are these columns and `levels` the places of their values; `encode` writes a segment, `footer`
//! and `decode` read parts of it. The store knows which segments there are: a file that it does not name is none, and
//! one that it names is there; `litter` is what becomes of the others. [`SealedReader`] is a reader of the store that sees
//! sealed records as if they were rows.
//!
//! Nothing here decides when to seal; that is `service/sealing`.

mod columns;
mod decode;
mod encode;
mod footer;
mod levels;
mod litter;
mod reader;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use ::parquet::errors::ParquetError;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use phasegrid_proto::objects::{self, Keeping, Unusable};
use phasegrid_proto::place::Place;
use phasegrid_proto::v1;
use prost::Message as _;
use prost::bytes::Bytes;
use tokio::time::timeout;

use crate::scheduler::{Measurement, Points, SweepKey};
use crate::store::{Segment, StoreError};
use decode::decode;
use encode::Encoded;
use footer::Footer;
pub(crate) use litter::Litter;
pub use reader::SealedReader;

/// How long a read may take: whoever wants to stop the coordinator waits for it.
const PATIENCE: Duration = Duration::from_secs(30);

/// The segments at a place.
#[derive(Clone, Debug)]
pub struct Archive {
    store: Arc<dyn ObjectStore>,
    place: Place,
    patience: Duration,
}

/// A record, and whose it is.
#[derive(Clone, Debug, Default, PartialEq)]
struct Row {
    point: u64,
    record: v1::Record,
}

/// Why records cannot be written as a segment, or read from one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FormatError {
    #[error(transparent)]
    Parquet(#[from] ParquetError),
    #[error("a record of point {point} cannot be read: {source}")]
    Record { point: u64, source: prost::DecodeError },
    #[error("{0}")]
    Inconsistent(&'static str),
}

impl Row {
    fn decode(measured: &Measurement) -> Result<Self, FormatError> {
        let Measurement { point, payload, .. } = measured;
        let record = v1::Record::decode(&payload[..]);
        let record = record.map_err(|source| FormatError::Record { point: *point, source })?;
        Ok(Self { point: *point, record })
    }
}

/// A segment that was encoded and reads back as what it was made of.
#[derive(Debug)]
pub(crate) struct Draft {
    encoded: Encoded,
    points: Points,
    rows: u64,
}

impl Draft {
    /// Encodes records that come in the order of points and steps, and reads them back: what would not be read as before, to
    /// the bit, is not sealed.
    pub(crate) fn new(records: &[Measurement]) -> Result<Self, FormatError> {
        let encoded = encode::encode(records)?;
        let bytes = Bytes::from(encoded.bytes);
        let footer = Footer::read(&bytes[bytes.len() - encoded.footer as usize..], &encoded.digest)?;
        let mut expected = records.iter();
        for (number, group) in footer.groups.iter().enumerate() {
            let extent = group.extent.start as usize..group.extent.end as usize;
            for Row { point, record } in decode(&footer, number, bytes.slice(extent))? {
                if !expected.next().is_some_and(|measured| measured.point == point && is_same(measured, &record)) {
                    return Err(FormatError::Inconsistent("a record does not read back as it was written"));
                }
            }
        }
        if expected.next().is_some() {
            return Err(FormatError::Inconsistent("a record does not read back"));
        }
        let points = records.iter().map(|record| record.point).collect();
        Ok(Self { encoded: Encoded { bytes: bytes.into(), ..encoded }, points, rows: records.len() as u64 })
    }
}

/// Whether a record is what its row is read as. There, too, a field that this release does not know is passed over.
fn is_same(measured: &Measurement, record: &v1::Record) -> bool {
    let read = record.encode_to_vec();
    read == measured.payload || Row::decode(measured).is_ok_and(|row| row.record.encode_to_vec() == read)
}

impl Archive {
    /// That at a place; `None` is nowhere. A folder is made if need be, of S3 nothing is asked yet.
    ///
    /// # Errors
    /// If the folder cannot be made, or the environment says nothing sensible about S3.
    pub fn at(place: &Place) -> Result<Option<Self>, Unusable> {
        let store = objects::at(place, Keeping::Durably)?;
        Ok(store.map(|store| Self { store, place: place.clone(), patience: PATIENCE }))
    }

    /// The same with what `change` makes of its store.
    #[cfg(test)]
    pub(crate) fn over(self, change: impl FnOnce(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore>) -> Self {
        Self { store: change(self.store), ..self }
    }

    /// Writes a draft under a name that no file ever had. It is durable on return; it counts once the store names it.
    pub(crate) async fn put(&self, draft: Draft, sweep: (SweepKey, &str), number: u64) -> Result<Segment, StoreError> {
        let Draft { encoded: Encoded { bytes, footer, digest }, points, rows } = draft;
        let mut nonce = [0; 4];
        getrandom::fill(&mut nonce).map_err(|error| self.failed(&error))?;
        let nonce = u32::from_ne_bytes(nonce);
        let (key, id) = sweep;
        let name = format!("{id}/{number:08}-{nonce:08x}.parquet");
        let length = bytes.len() as u64;
        self.store.put(&Path::from(name.as_str()), bytes.into()).await.map_err(|error| self.failed(&error))?;
        Ok(Segment { sweep: key, number, name, points, rows, bytes: length, footer, digest })
    }

    /// Deletes a file that nobody names, nor ever will.
    pub(crate) async fn delete(&self, name: &str) -> Result<(), StoreError> {
        self.store.delete(&Path::from(name)).await.map_err(|error| self.failed(&error))
    }

    async fn footer(&self, segment: &Segment) -> Result<Footer, StoreError> {
        let start = segment.bytes.saturating_sub(segment.footer);
        let bytes = self.read(segment, std::slice::from_ref(&(start..segment.bytes))).await?;
        Footer::read(&bytes.concat(), &segment.digest).map_err(|error| self.damaged(segment, &error))
    }

    /// The rows of some row groups, each.
    async fn groups(&self, segment: &Segment, footer: &Footer, groups: &[usize]) -> Result<Vec<Vec<Row>>, StoreError> {
        let extents: Vec<_> = groups.iter().map(|group| footer.groups[*group].extent.clone()).collect();
        let parts = self.read(segment, &extents).await?;
        let decode = |(group, bytes): (&usize, Bytes)| decode(footer, *group, bytes);
        let rows: Result<_, FormatError> = groups.iter().zip(parts).map(decode).collect();
        rows.map_err(|error| self.damaged(segment, &error))
    }

    async fn read(&self, segment: &Segment, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, StoreError> {
        let path = Path::from(segment.name.as_str());
        let Ok(read) = timeout(self.patience, self.store.get_ranges(&path, ranges)).await else {
            let reason = format!("it does not answer within {} s", self.patience.as_secs());
            return Err(StoreError::Failed { place: self.path_of(segment), reason });
        };
        read.map_err(|error| match error {
            object_store::Error::NotFound { .. } => self.damaged(segment, &"it is not there"),
            error => StoreError::Failed { place: self.path_of(segment), reason: error.to_string() },
        })
    }

    fn path_of(&self, segment: &Segment) -> String {
        format!("{}/{}", self.place.to_string().trim_end_matches('/'), segment.name)
    }

    fn damaged(&self, segment: &Segment, reason: &dyn std::fmt::Display) -> StoreError {
        StoreError::Segment { file: self.path_of(segment), reason: reason.to_string() }
    }

    fn failed(&self, reason: &dyn std::fmt::Display) -> StoreError {
        StoreError::Failed { place: self.place.to_string(), reason: reason.to_string() }
    }
}
