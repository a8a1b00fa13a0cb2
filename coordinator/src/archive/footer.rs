//! What a segment's footer tells: where its row groups lie, which points they have, and what bytes they must be.

use std::ops::{Range, RangeInclusive};

use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use ::parquet::file::statistics::Statistics;

use super::FormatError;

/// The key under which the digests of the row groups stand.
pub(super) const DIGESTS: &str = "phasegrid.blake3";
/// The length of the footer, and Parquet's word.
pub(super) const TRAILER: usize = 8;

/// A footer, read.
#[derive(Debug)]
pub(super) struct Footer {
    pub(super) metadata: ParquetMetaData,
    pub(super) groups: Vec<Group>,
}

/// A row group.
#[derive(Debug)]
pub(super) struct Group {
    /// Its first and its last point.
    pub(super) points: RangeInclusive<u64>,
    /// Where it lies.
    pub(super) extent: Range<u64>,
    /// What it must be.
    pub(super) digest: String,
}

impl Footer {
    /// Reads a footer, which must have this digest.
    pub(super) fn read(bytes: &[u8], digest: &str) -> Result<Self, FormatError> {
        if footer_digest(bytes) != digest {
            return Err(FormatError::Inconsistent("its footer is not the one that was written"));
        }
        let (bytes, _) = bytes.split_last_chunk::<TRAILER>().ok_or(FormatError::Inconsistent("it is too short"))?;
        let metadata = ParquetMetaDataReader::decode_metadata(bytes)?;
        let digests = digests(&metadata).ok_or(FormatError::Inconsistent("it does not say what its parts must be"))?;
        let groups = metadata.row_groups().iter().zip(digests).map(|(group, digest)| Group::read(group, digest));
        let groups = groups.collect::<Result<Vec<_>, _>>()?;
        if groups.len() != metadata.num_row_groups() {
            return Err(FormatError::Inconsistent("it does not say of all parts what they must be"));
        }
        Ok(Self { metadata, groups })
    }
}

impl Group {
    fn read(group: &RowGroupMetaData, digest: &str) -> Result<Self, ParquetError> {
        let unknown = || ParquetError::General("a row group does not say which points it has".to_owned());
        let Some(Statistics::Int64(points)) = group.column(0).statistics() else { return Err(unknown()) };
        let (first, last) = points.min_opt().zip(points.max_opt()).ok_or_else(unknown)?;
        let extent = extent(group);
        let extent = extent.start as u64..extent.end as u64;
        Ok(Self { points: first.cast_unsigned()..=last.cast_unsigned(), extent, digest: digest.to_owned() })
    }
}

/// The bytes of all columns of a row group.
pub(super) fn extent(group: &RowGroupMetaData) -> Range<usize> {
    let ranges = || group.columns().iter().map(|column| column.byte_range());
    let start = ranges().map(|(start, _)| start).min().unwrap_or_default();
    let end = ranges().map(|(start, length)| start.saturating_add(length)).max().unwrap_or_default();
    let index = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
    index(start)..index(end)
}

pub(super) fn footer_digest(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

fn digests(metadata: &ParquetMetaData) -> Option<impl Iterator<Item = &str>> {
    let pairs = metadata.file_metadata().key_value_metadata()?;
    let digests = pairs.iter().find(|pair| pair.key == DIGESTS)?.value.as_deref()?;
    Some(digests.split(' '))
}
