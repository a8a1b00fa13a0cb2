//! `table`: a sweep's results as a file or on stdout.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::results::format::{self, Format};
use crate::results::{self, Level};

use super::client::Remote;
use super::failure::Failure;
use super::output::{print, write_file};

/// Write a sweep's results so far as a table
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  phasegrid table $ID --level cells --format markdown\n  \
    phasegrid table $ID --level records --output records.parquet\n\n\
    A cell is a point of the phase diagram; a record is one checkpoint of one task. Missing is empty in CSV and null\n\
    elsewhere. Tables may be read while the sweep runs.")]
pub(super) struct Table {
    /// The sweep
    id: String,
    /// What a row is: cells, tasks or records
    #[arg(long, default_value = "tasks", value_parser = level)]
    level: Level,
    /// csv, json, parquet or markdown [default: as --output ends, else csv]
    #[arg(long)]
    format: Option<Format>,
    /// The file to write; it appears when it is complete [default: stdout]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    remote: Remote,
}

impl Table {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let format = self.format.or_else(|| format_of(self.output.as_deref()?)).unwrap_or(Format::Csv);
        if format == Format::Parquet && self.output.is_none() && std::io::stdout().is_terminal() {
            return Err(Failure::Usage("parquet is not for reading: write it to a file with --output".to_owned()));
        }
        let mut client = self.remote.connect().await?;
        let data = rendered(&client.table(&self.id, self.level).await?, format)?;
        self.output.as_deref().map_or_else(|| print(&data), |path| write_file(path, &data))
    }
}

/// The table in this format.
pub(super) fn rendered(table: &results::Table, format: Format) -> Result<Vec<u8>, Failure> {
    let mut data = Vec::new();
    format::write(table, format, &mut data).map_err(anyhow::Error::new)?;
    Ok(data)
}

fn format_of(path: &Path) -> Option<Format> {
    match path.extension()?.to_str()? {
        "md" => Some(Format::Markdown),
        extension => extension.parse().ok(),
    }
}

fn level(name: &str) -> Result<Level, String> {
    match name {
        "cells" => Ok(Level::Cells),
        "tasks" => Ok(Level::Tasks),
        "records" => Ok(Level::Records),
        _ => Err("cells, tasks and records are accepted".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_name_decides_the_format_where_nothing_else_does() {
        let format = |name: &str| format_of(Path::new(name));
        assert_eq!(format("out/records.parquet"), Some(Format::Parquet));
        assert_eq!(format("cells.md"), Some(Format::Markdown));
        assert_eq!(format("cells.txt"), None);
    }
}
