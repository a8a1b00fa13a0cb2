//! Parquet: flat optional columns, written without Arrow.

use std::io::Write;
use std::sync::Arc;

use ::parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use ::parquet::column::writer::ColumnWriter;
use ::parquet::data_type::ByteArray;
use ::parquet::errors::ParquetError;
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::types::{Type, TypePtr};

use super::WriteError;
use crate::results::table::{Cell, Column, Kind, Table};

/// Rows of a row group: large enough to compress well, small enough to be read in parts.
const GROUP: usize = 100_000;

pub(super) fn write(table: &Table, out: &mut (dyn Write + Send)) -> Result<(), WriteError> {
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut writer = SerializedFileWriter::new(out, schema(&table.columns)?, Arc::new(properties))?;
    for rows in table.rows.chunks(GROUP) {
        let mut group = writer.next_row_group()?;
        for index in 0..table.columns.len() {
            let Some(mut column) = group.next_column()? else { break };
            write_column(column.untyped(), rows.iter().map(|row| &row[index]))?;
            column.close()?;
        }
        group.close()?;
    }
    writer.close()?;
    Ok(())
}

fn schema(columns: &[Column]) -> Result<TypePtr, ParquetError> {
    let field = |column: &Column| {
        let (physical, logical) = match column.kind {
            Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            Kind::Integer => (Physical::INT64, None),
            Kind::Real => (Physical::DOUBLE, None),
        };
        let field = Type::primitive_type_builder(&column.name, physical)
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(logical);
        field.build().map(Arc::new)
    };
    let fields = columns.iter().map(field).collect::<Result<_, _>>()?;
    Type::group_type_builder("table").with_fields(fields).build().map(Arc::new)
}

/// The values that are there, and for every row a definition level: 1 where there is one, 0 where it is missing.
fn write_column<'a>(
    column: &mut ColumnWriter<'_>,
    cells: impl Iterator<Item = &'a Cell> + Clone,
) -> Result<usize, ParquetError> {
    fn split<'a, T>(
        cells: impl Iterator<Item = &'a Cell>,
        value: impl Fn(&'a Cell) -> Option<T>,
    ) -> (Vec<T>, Vec<i16>) {
        let cells: Vec<Option<T>> = cells.map(value).collect();
        let levels = cells.iter().map(|cell| i16::from(cell.is_some())).collect();
        (cells.into_iter().flatten().collect(), levels)
    }
    match column {
        ColumnWriter::Int64ColumnWriter(writer) => {
            let (values, levels) = split(cells, |cell| match cell {
                Cell::Integer(value) => Some(*value),
                _ => None,
            });
            writer.write_batch(&values, Some(&levels), None)
        }
        ColumnWriter::DoubleColumnWriter(writer) => {
            let (values, levels) = split(cells, Cell::number);
            writer.write_batch(&values, Some(&levels), None)
        }
        ColumnWriter::ByteArrayColumnWriter(writer) => {
            let (values, levels) = split(cells, |cell| match cell {
                Cell::Text(text) => Some(ByteArray::from(text.as_str())),
                _ => None,
            });
            writer.write_batch(&values, Some(&levels), None)
        }
        _ => unreachable!("the schema has no other physical type"),
    }
}

#[cfg(test)]
mod tests {
    use ::parquet::file::reader::{FileReader, SerializedFileReader};
    use ::parquet::record::Field;
    use prost::bytes::Bytes;

    use super::super::fixture::awkward;
    use super::*;

    fn written(table: &Table) -> SerializedFileReader<Bytes> {
        let mut out = Vec::new();
        write(table, &mut out).unwrap();
        SerializedFileReader::new(out.into()).unwrap()
    }

    fn rows(reader: &SerializedFileReader<Bytes>) -> Vec<Vec<Cell>> {
        let cell = |field: &Field| match field {
            Field::Null => Cell::Missing,
            Field::Long(value) => Cell::Integer(*value),
            Field::Double(value) => Cell::Real(*value),
            Field::Str(text) => Cell::Text(text.clone()),
            other => panic!("unexpected field {other:?}"),
        };
        let rows = reader.get_row_iter(None).unwrap();
        rows.map(|row| row.unwrap().get_column_iter().map(|(_, field)| cell(field)).collect()).collect()
    }

    #[test]
    fn what_is_written_reads_back_exactly() {
        let table = awkward();
        let reader = written(&table);
        assert_eq!(rows(&reader), table.rows);
        let schema = reader.metadata().file_metadata().schema();
        let names: Vec<_> = schema.get_fields().iter().map(|field| field.name().to_owned()).collect();
        assert_eq!(names, ["task", "train.weight_decay", "error"], "a dot in a name is no nesting");
    }

    #[test]
    fn long_tables_have_several_row_groups() {
        let columns = vec![Column::new("step", Kind::Integer)];
        let rows = (0..GROUP as i64 + 1).map(|step| vec![Cell::Integer(step)]).collect();
        let reader = written(&Table { columns, rows });
        let sizes: Vec<_> = reader.metadata().row_groups().iter().map(|group| group.num_rows()).collect();
        assert_eq!(sizes, [GROUP as i64, 1]);
    }

    #[test]
    fn a_table_without_rows_keeps_its_columns() {
        let reader = written(&Table { rows: vec![], ..awkward() });
        assert_eq!(reader.metadata().file_metadata().schema().get_fields().len(), 3);
        assert!(rows(&reader).is_empty());
    }
}
