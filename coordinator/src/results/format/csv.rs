//! CSV: missing is empty, floats in their shortest form that reads back exactly.

use std::io::Write;

use super::WriteError;
use crate::results::table::{Cell, Table};

pub(super) fn write(table: &Table, out: &mut (dyn Write + Send)) -> Result<(), WriteError> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(table.columns.iter().map(|column| column.name.as_str()))?;
    for row in &table.rows {
        writer.write_record(row.iter().map(field))?;
    }
    Ok(writer.flush()?)
}

fn field(cell: &Cell) -> String {
    match cell {
        Cell::Missing => String::new(),
        Cell::Text(text) => text.clone(),
        Cell::Integer(value) => value.to_string(),
        // Debug is shortest like Display, but with an exponent where Display would print three hundred digits.
        Cell::Real(value) => format!("{value:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::awkward;
    use super::*;
    use crate::results::Kind;

    #[test]
    fn what_is_written_reads_back_exactly() {
        let table = awkward();
        let mut out = Vec::new();
        write(&table, &mut out).unwrap();
        let mut reader = csv::Reader::from_reader(out.as_slice());
        let names: Vec<_> = reader.headers().unwrap().iter().map(str::to_owned).collect();
        assert_eq!(names, ["task", "train.weight_decay", "error"]);
        let cell = |kind: Kind, field: &str| match kind {
            _ if field.is_empty() => Cell::Missing,
            Kind::Text => Cell::Text(field.to_owned()),
            Kind::Integer => Cell::Integer(field.parse().unwrap()),
            Kind::Real => Cell::Real(field.parse().unwrap()),
        };
        let kinds: Vec<Kind> = table.columns.iter().map(|column| column.kind).collect();
        let row = |record: csv::StringRecord| -> Vec<Cell> {
            record.iter().zip(&kinds).map(|(field, kind)| cell(*kind, field)).collect()
        };
        let rows: Vec<_> = reader.records().map(|record| row(record.unwrap())).collect();
        assert_eq!(rows, table.rows);
    }

    #[test]
    fn missing_is_empty_and_small_numbers_have_exponents() {
        assert_eq!(field(&Cell::Missing), "");
        assert_eq!(field(&Cell::Real(1e-6)), "1e-6");
        assert_eq!(field(&Cell::Real(0.25)), "0.25");
    }
}
