//! Reads a row group of a segment.

use std::sync::Arc;

use ::parquet::column::reader::{ColumnReader, get_column_reader};
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::RowGroupMetaData;
use ::parquet::file::reader::{ChunkReader, Length};
use ::parquet::file::serialized_reader::SerializedPageReader;
use phasegrid_proto::v1::{Estimate, SamplerSettings};
use prost::bytes::{Buf, Bytes};

use super::columns::{Column, ESTIMATE, IN_ESTIMATE, IN_SETTINGS, ROW, SETTINGS, Values};
use super::footer::{Footer, Group};
use super::{FormatError, Row, levels};

/// The rows of a row group, whose bytes these are.
pub(super) fn decode(footer: &Footer, number: usize, bytes: Bytes) -> Result<Vec<Row>, FormatError> {
    let Group { extent, digest, .. } = &footer.groups[number];
    if blake3::hash(&bytes).to_hex().as_str() != digest {
        return Err(FormatError::Inconsistent("what it holds is not what was written"));
    }
    let part = Part { metadata: footer.metadata.row_group(number), bytes: Arc::new(Lying { at: extent.start, bytes }) };
    part.rows()
}

/// A row group, and its bytes.
struct Part<'a> {
    metadata: &'a RowGroupMetaData,
    bytes: Arc<Lying>,
}

/// A column as Parquet has it.
#[derive(Default)]
struct Stored {
    values: Values,
    definitions: Vec<i16>,
    repetitions: Vec<i16>,
}

const TORN: FormatError = FormatError::Inconsistent("its columns do not fit together");

impl Part<'_> {
    fn rows(&self) -> Result<Vec<Row>, FormatError> {
        let count = usize::try_from(self.metadata.num_rows()).map_err(|_| TORN)?;
        let mut rows = vec![Row::default(); count];
        for column in &ROW {
            self.fill(column, "", levels::IN_ROW, || levels::rows(&mut rows))?;
        }
        if self.lay_out(&mut rows)? == 0 {
            return Ok(rows);
        }
        for column in &ESTIMATE {
            self.fill(column, IN_ESTIMATE, levels::IN_ESTIMATE, || levels::estimates(&mut rows))?;
        }
        for column in &SETTINGS {
            self.fill(column, IN_SETTINGS, levels::IN_SETTINGS, || levels::settings(&mut rows))?;
        }
        Ok(rows)
    }

    /// Makes the estimates, and the settings of those that have some. Returns how many estimates there are.
    fn lay_out(&self, rows: &mut [Row]) -> Result<usize, FormatError> {
        let first = |path: &str, name: &str| self.read(&format!("{path}{name}"))?.ok_or(TORN);
        let (samplers, settings) = (first(IN_ESTIMATE, ESTIMATE[0].name)?, first(IN_SETTINGS, SETTINGS[0].name)?);
        let mut rows = rows.iter_mut();
        let (mut row, mut estimates) = (None, 0);
        for ((repetition, sampler), settings) in
            samplers.repetitions.iter().zip(&samplers.definitions).zip(&settings.definitions)
        {
            if *repetition == 0 {
                row = rows.next();
            }
            let row: &mut &mut Row = row.as_mut().ok_or(TORN)?;
            if *sampler >= levels::IN_ESTIMATE {
                let settings = (*settings >= levels::IN_SETTINGS).then(SamplerSettings::default);
                row.record.estimates.push(Estimate { settings, ..Estimate::default() });
                estimates += 1;
            }
        }
        if rows.next().is_some() { Err(TORN) } else { Ok(estimates) }
    }

    /// Gives all places their values. What a segment of an earlier release does not have stays absent.
    fn fill<'a, T: 'a, S: Iterator<Item = levels::Slot<'a, T>>>(
        &self,
        column: &Column<T>,
        path: &str,
        defined: i16,
        slots: impl FnOnce() -> S,
    ) -> Result<(), FormatError> {
        let Some(Stored { mut values, definitions, .. }) = self.read(&format!("{path}{}", column.name))? else {
            return Ok(());
        };
        if column.is_optional() && values.is_empty() {
            // None of it is there.
            return Ok(());
        }
        // A column of what is always there has no levels.
        let mut definitions = definitions.into_iter();
        let leveled = defined > levels::IN_ROW || column.is_optional();
        for slot in slots() {
            let definition = if leveled { definitions.next().ok_or(TORN)? } else { defined };
            if let Ok(of) = slot.of {
                column.give(of, definition > defined, &mut values).ok_or(TORN)?;
            }
        }
        if definitions.next().is_some() { Err(TORN) } else { Ok(()) }
    }

    /// All of a column, its values from the end; `None` if there is no such column.
    fn read(&self, path: &str) -> Result<Option<Stored>, ParquetError> {
        let Some(column) = self.metadata.columns().iter().find(|column| column.column_path().string() == path) else {
            return Ok(None);
        };
        let rows = usize::try_from(self.metadata.num_rows())?;
        let pages = SerializedPageReader::new(Arc::clone(&self.bytes), column, rows, None)?;
        let Stored { mut values, mut definitions, mut repetitions } = Stored::default();
        let (d, r) = (Some(&mut definitions), Some(&mut repetitions));
        match get_column_reader(column.column_descr_ptr(), Box::new(pages)) {
            ColumnReader::DoubleColumnReader(mut reader) => reader.read_records(rows, d, r, &mut values.reals),
            ColumnReader::Int64ColumnReader(mut reader) => reader.read_records(rows, d, r, &mut values.longs),
            ColumnReader::Int32ColumnReader(mut reader) => reader.read_records(rows, d, r, &mut values.ints),
            ColumnReader::ByteArrayColumnReader(mut reader) => reader.read_records(rows, d, r, &mut values.texts),
            _ => return Err(ParquetError::General(format!("{path} is of an unknown kind"))),
        }?;
        values.reals.reverse();
        values.longs.reverse();
        values.ints.reverse();
        values.texts.reverse();
        Ok(Some(Stored { values, definitions, repetitions }))
    }
}

/// Bytes of a file that begin somewhere in it.
struct Lying {
    at: u64,
    bytes: Bytes,
}

impl Lying {
    fn from(&self, start: u64) -> Result<Bytes, ParquetError> {
        let outside = || ParquetError::EOF("a page lies outside of its row group".to_owned());
        let start = start.checked_sub(self.at).and_then(|start| usize::try_from(start).ok()).ok_or_else(outside)?;
        if start <= self.bytes.len() { Ok(self.bytes.slice(start..)) } else { Err(outside()) }
    }
}

impl Length for Lying {
    fn len(&self) -> u64 {
        self.at + self.bytes.len() as u64
    }
}

impl ChunkReader for Lying {
    type T = prost::bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let mut bytes = self.from(start)?;
        if length > bytes.len() {
            return Err(ParquetError::EOF("a page is longer than its row group".to_owned()));
        }
        bytes.truncate(length);
        Ok(bytes)
    }
}
