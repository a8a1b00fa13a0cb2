//! Writes the records of points as a segment: a Parquet file that says of each part what it must be.

use std::sync::Arc;

use ::parquet::basic::{Compression, Encoding};
use ::parquet::column::writer::ColumnWriter;
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::KeyValue;
use ::parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use ::parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use ::parquet::schema::types::ColumnPath;

use super::columns::{Column, ESTIMATE, IN_ESTIMATE, POINT, ROW, SETTINGS, Values, schema};
use super::footer::{DIGESTS, TRAILER, extent, footer_digest};
use super::{FormatError, Row, levels};
use crate::scheduler::Measurement;

/// Rows of a row group, which is read as a whole: some hundred points of ten records, a page of results.
pub(super) const GROUP: usize = 8192;

/// A segment that is to be put somewhere.
#[derive(Clone, Debug)]
pub(crate) struct Encoded {
    pub(crate) bytes: Vec<u8>,
    /// The bytes at the end that tell where everything is.
    pub(crate) footer: u64,
    /// Tells whether they are these.
    pub(crate) digest: String,
}

/// Encodes records that come in the order of points and steps. They are decoded a row group at a time, so that no more than
/// the segment itself is in memory.
pub(crate) fn encode(records: &[Measurement]) -> Result<Encoded, FormatError> {
    let mut writer = SerializedFileWriter::new(Vec::new(), schema()?, properties())?;
    let mut digests = Vec::new();
    for records in records.chunks(GROUP) {
        let mut rows = records.iter().map(Row::decode).collect::<Result<Vec<_>, _>>()?;
        let mut group = writer.next_row_group()?;
        write_rows(&mut rows, &mut group)?;
        let group = group.close()?;
        writer.flush().map_err(ParquetError::from)?;
        let bytes = writer.inner().get(extent(&group)).ok_or(FormatError::Inconsistent("a row group is not there"))?;
        digests.push(blake3::hash(bytes).to_hex().to_string());
    }
    writer.append_key_value_metadata(KeyValue::new(DIGESTS.to_owned(), digests.join(" ")));
    let bytes = writer.into_inner()?;
    let footer = footer_length(&bytes).ok_or(FormatError::Inconsistent("it has no footer"))?;
    let digest = footer_digest(&bytes[bytes.len() - footer..]);
    Ok(Encoded { footer: footer as u64, digest, bytes })
}

/// Parquet ends with the length of what tells where everything is, and a word of its own.
fn footer_length(bytes: &[u8]) -> Option<usize> {
    let (rest, trailer) = bytes.split_last_chunk::<TRAILER>()?;
    let length = u32::from_le_bytes(*trailer.first_chunk()?) as usize + TRAILER;
    (length <= rest.len()).then_some(length)
}

fn properties() -> WriterPropertiesPtr {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        // What is read is whole row groups, found by their points: anything finer would only make footers longer.
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true)
        .set_column_statistics_enabled(ColumnPath::from(POINT), EnabledStatistics::Chunk)
        .set_column_dictionary_enabled(ColumnPath::from(POINT), false)
        .set_column_encoding(ColumnPath::from(POINT), Encoding::DELTA_BINARY_PACKED);
    let measured = ROW.iter().filter(|column| column.is_optional()).map(|column| column.name.to_owned());
    let estimated = ESTIMATE.iter().filter(|column| column.is_optional());
    for path in measured.chain(estimated.map(|column| format!("{IN_ESTIMATE}{}", column.name))) {
        // What is measured is hardly ever the same twice.
        let path = ColumnPath::new(path.split('.').map(str::to_owned).collect());
        properties = properties.set_column_dictionary_enabled(path, false);
    }
    Arc::new(properties.build())
}

fn write_rows(rows: &mut [Row], group: &mut SerializedRowGroupWriter<'_, Vec<u8>>) -> Result<(), ParquetError> {
    for column in &ROW {
        write(group, &column_of(column, levels::rows(rows), levels::IN_ROW))?;
    }
    for column in &ESTIMATE {
        write(group, &column_of(column, levels::estimates(rows), levels::IN_ESTIMATE))?;
    }
    for column in &SETTINGS {
        write(group, &column_of(column, levels::settings(rows), levels::IN_SETTINGS))?;
    }
    Ok(())
}

/// A column as Parquet has it: the values that are there, and of every place how much of its path is there, and whether it
/// goes on with a list.
#[derive(Default)]
struct Written {
    values: Values,
    definitions: Vec<i16>,
    repetitions: Vec<i16>,
}

fn column_of<'a, T: 'a>(column: &Column<T>, slots: impl Iterator<Item = levels::Slot<'a, T>>, defined: i16) -> Written {
    let mut written = Written::default();
    for levels::Slot { repetition, of } in slots {
        written.repetitions.push(repetition);
        written.definitions.push(match of {
            Ok(of) => defined + i16::from(column.take(of, &mut written.values)),
            Err(missing) => missing,
        });
    }
    written
}

fn write(group: &mut SerializedRowGroupWriter<'_, Vec<u8>>, column: &Written) -> Result<(), ParquetError> {
    let Written { values, definitions, repetitions } = column;
    let missing = || ParquetError::General("the schema has fewer columns than there are".to_owned());
    let mut writer = group.next_column()?.ok_or_else(missing)?;
    let (definitions, repetitions) = (Some(&definitions[..]), Some(&repetitions[..]));
    match writer.untyped() {
        ColumnWriter::DoubleColumnWriter(writer) => writer.write_batch(&values.reals, definitions, repetitions),
        ColumnWriter::Int64ColumnWriter(writer) => writer.write_batch(&values.longs, definitions, repetitions),
        ColumnWriter::Int32ColumnWriter(writer) => writer.write_batch(&values.ints, definitions, repetitions),
        ColumnWriter::ByteArrayColumnWriter(writer) => writer.write_batch(&values.texts, definitions, repetitions),
        _ => unreachable!("the schema has no other physical type"),
    }?;
    writer.close()
}
