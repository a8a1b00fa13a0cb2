//! The tables of a sweep, for comparison.

use std::path::Path;

use crate::Cluster;

/// Columns that tell how the work went, not what came of it.
const CIRCUMSTANCES: [&str; 2] = ["worker", "attempts"];

/// What came of a sweep: its three tables as CSV, without the columns that tell who computed it and how often.
#[derive(Clone, PartialEq, Eq)]
pub struct Tables {
    tables: [(&'static str, String); 3],
}

impl Tables {
    /// The tables of a sweep of a cluster.
    #[must_use]
    pub fn of(cluster: &Cluster, sweep: &str) -> Self {
        Self { tables: ["tasks", "cells", "records"].map(|level| (level, results(&cluster.table(sweep, level)))) }
    }

    /// The tables in the output folder of a run, with the bytes of the records' Parquet file as their text.
    ///
    /// # Panics
    /// If one is missing.
    #[must_use]
    pub fn in_folder(folder: &str) -> Self {
        let read =
            |name: &str| std::fs::read(Path::new(folder).join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let csv = |name: &str| results(&String::from_utf8(read(name)).expect("CSV is UTF-8"));
        let bytes: String = read("records.parquet").iter().map(|byte| format!("{byte:02x}\n")).collect();
        Self { tables: [("tasks", csv("tasks.csv")), ("cells", csv("cells.csv")), ("records", bytes)] }
    }

    /// Asserts that every value is the same to the last digit.
    ///
    /// # Panics
    /// If one differs; the message shows the first row that does.
    pub fn assert_equal(&self, other: &Self) {
        for ((name, left), (_, right)) in self.tables.iter().zip(&other.tables) {
            for (number, (left, right)) in left.lines().zip(right.lines()).enumerate() {
                assert_eq!(left, right, "line {} of the table of {name} differs", number + 1);
            }
            assert_eq!(left.lines().count(), right.lines().count(), "one table of {name} is longer");
        }
    }
}

/// The CSV without the columns of [`CIRCUMSTANCES`].
fn results(csv: &str) -> String {
    let rows = rows(csv);
    let kept: Vec<usize> = (0..rows[0].len()).filter(|&i| !CIRCUMSTANCES.contains(&&*rows[0][i])).collect();
    rows.iter().map(|row| kept.iter().map(|&i| &*row[i]).collect::<Vec<_>>().join(",") + "\n").collect()
}

/// Asserts that a table still has every row that it had before. It may have more: what was on its way then has arrived.
///
/// # Panics
/// If a row is gone or differs.
pub fn assert_holds(table: &str, before: &str) {
    for line in before.lines() {
        assert!(table.lines().any(|other| other == line), "this row is gone: {line}");
    }
}

/// One column of a table in CSV.
///
/// # Panics
/// If there is no such column.
#[must_use]
pub fn column(csv: &str, name: &str) -> Vec<String> {
    let rows = rows(csv);
    let index = rows[0].iter().position(|column| column == name);
    let index = index.unwrap_or_else(|| panic!("no column {name} in {:?}", rows[0]));
    rows[1..].iter().map(|row| row[index].clone()).collect()
}

/// The header and the rows.
fn rows(csv: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(csv.as_bytes());
    let rows = reader.records().map(|row| row.expect("the table is CSV").iter().map(str::to_owned).collect());
    let rows: Vec<_> = rows.collect();
    assert!(!rows.is_empty(), "a table has a header");
    rows
}
