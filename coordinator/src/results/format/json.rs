//! JSON: an array of objects, one a line; every column in every object, null where missing.

use std::io::Write;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::WriteError;
use crate::results::table::{Cell, Column, Table};

pub(super) fn write(table: &Table, out: &mut (dyn Write + Send)) -> Result<(), WriteError> {
    out.write_all(b"[")?;
    for (index, row) in table.rows.iter().enumerate() {
        out.write_all(if index == 0 { b"\n" } else { b",\n" })?;
        serde_json::to_writer(&mut *out, &Row { columns: &table.columns, row })?;
    }
    Ok(out.write_all(b"\n]\n")?)
}

struct Row<'a> {
    columns: &'a [Column],
    row: &'a [Cell],
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.columns.len()))?;
        for (column, cell) in self.columns.iter().zip(self.row) {
            match cell {
                Cell::Missing => map.serialize_entry(&column.name, &())?,
                Cell::Text(text) => map.serialize_entry(&column.name, text)?,
                Cell::Integer(value) => map.serialize_entry(&column.name, value)?,
                Cell::Real(value) => map.serialize_entry(&column.name, value)?,
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::fixture::awkward;
    use super::*;

    fn written(table: &Table) -> Value {
        let mut out = Vec::new();
        write(table, &mut out).unwrap();
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn what_is_written_reads_back_exactly() {
        let table = awkward();
        let value = written(&table);
        let rows = value.as_array().unwrap();
        assert_eq!(rows.len(), table.rows.len());
        for (object, row) in rows.iter().zip(&table.rows) {
            let object = object.as_object().unwrap();
            assert_eq!(object.keys().collect::<Vec<_>>(), ["task", "train.weight_decay", "error"]);
            for (value, cell) in object.values().zip(row) {
                match cell {
                    Cell::Missing => assert!(value.is_null()),
                    Cell::Text(text) => assert_eq!(value.as_str(), Some(text.as_str())),
                    Cell::Integer(number) => assert_eq!(value.as_i64(), Some(*number)),
                    Cell::Real(number) => assert_eq!(value.as_f64(), Some(*number)),
                }
            }
        }
    }

    #[test]
    fn a_table_without_rows_is_an_empty_array() {
        assert_eq!(written(&Table { rows: vec![], ..awkward() }), serde_json::json!([]));
    }
}
