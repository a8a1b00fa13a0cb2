//! Writes a [`Table`] as a file: CSV, JSON, Parquet or Markdown. What is missing is an empty field in CSV and Markdown
//! and null elsewhere; numbers keep every digit, except in Markdown, which is for people.

mod csv;
mod json;
mod markdown;
mod parquet;

pub(crate) use markdown::significant;

use std::fmt;
use std::io::Write;
use std::str::FromStr;

use super::table::Table;

/// A file format of tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated, with a header line.
    Csv,
    /// An array of objects.
    Json,
    /// Parquet with Snappy compression.
    Parquet,
    /// A table for people, with four significant digits.
    Markdown,
}

/// Why a table was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The file or pipe behind the table.
    #[error("could not write the table")]
    Io(#[from] std::io::Error),
    /// The CSV writer.
    #[error("could not write the table as CSV")]
    Csv(#[from] ::csv::Error),
    /// The JSON writer.
    #[error("could not write the table as JSON")]
    Json(#[from] serde_json::Error),
    /// The Parquet writer.
    #[error("could not write the table as Parquet")]
    Parquet(#[from] ::parquet::errors::ParquetError),
}

/// A name that is no format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no table format; accepted: csv, json, parquet, markdown")]
pub struct UnknownFormat(String);

/// Writes the whole table.
///
/// # Errors
/// If `out` takes no more.
pub fn write(table: &Table, format: Format, out: &mut (dyn Write + Send)) -> Result<(), WriteError> {
    match format {
        Format::Csv => csv::write(table, out),
        Format::Json => json::write(table, out),
        Format::Parquet => parquet::write(table, out),
        Format::Markdown => markdown::write(table, out),
    }?;
    Ok(out.flush()?)
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        Ok(match name {
            "csv" => Self::Csv,
            "json" => Self::Json,
            "parquet" => Self::Parquet,
            "markdown" => Self::Markdown,
            _ => return Err(UnknownFormat(name.to_owned())),
        })
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Parquet => "parquet",
            Self::Markdown => "markdown",
        })
    }
}

#[cfg(test)]
mod fixture {
    use crate::results::{Cell, Column, Kind, Table};

    /// Every kind of cell, and the numbers and texts that formats get wrong.
    pub(super) fn awkward() -> Table {
        let columns = vec![
            Column::new("task", Kind::Integer),
            Column::new("train.weight_decay", Kind::Real),
            Column::new("error", Kind::Text),
        ];
        let row = |task: Cell, decay: Cell, error: &str| vec![task, decay, Cell::text(error)];
        let rows = vec![
            row(Cell::Integer(0), Cell::Real(0.1 + 0.2), "commas, \"quotes\"\nand lines"),
            row(Cell::Integer(i64::MAX), Cell::Real(1e-300), "äöü λ̂ | <b>&"),
            row(Cell::Missing, Cell::Missing, ""),
            row(Cell::Integer(-3), Cell::Real(-0.0), " "),
            row(Cell::Integer(4), Cell::Real(2.0), "NaN"),
        ];
        Table { columns, rows }
    }
}
