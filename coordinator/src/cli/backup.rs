//! `backup`: a copy of a data folder, also while a coordinator works on it.

use std::path::PathBuf;

use clap::Args;
use phasegrid_proto::place::{PLACES, Place};

use crate::service::ARCHIVE;
use crate::store::sqlite::backup;

use super::failure::Failure;
use super::output::talk;

/// Copy a data folder, also while a coordinator works on it
///
/// The copy is of one moment and on the disk when the command ends: everything acknowledged before it began is in it, records
/// that were sealed included. Sealed records in S3 need no copy (--archive none): let the copy's coordinator name that place.
/// Snapshots of tasks under way are not copied; without them such tasks begin anew. A PostgreSQL database is copied
/// with pg_dump.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  phasegrid backup --data ~/phasegrid --to /backup/phasegrid-monday\n  \
    phasegrid serve --data /backup/phasegrid-monday        goes on from there")]
pub(super) struct Backup {
    /// The data folder
    #[arg(long, value_name = "DIR", env = "PHASEGRID_DATA")]
    data: PathBuf,
    /// The folder with the sealed records, or none if they lie in S3 [default: archive in the data folder]
    #[arg(long, value_name = "PLACE", env = "PHASEGRID_ARCHIVE", value_parser = place)]
    archive: Option<Place>,
    /// The folder for the copy: a new one, or one that is empty
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,
}

impl Backup {
    pub(super) fn run(self) -> Result<(), Failure> {
        let place = self.archive.unwrap_or_else(|| Place::folder(&self.data.join(ARCHIVE)));
        let archive = match &place {
            Place::Folder(folder) => Some(folder.as_path()),
            Place::S3 { .. } | Place::Nowhere => None,
        };
        let segments = backup(&self.data, archive, &self.to)?;
        let with = if segments == 0 { String::new() } else { format!(", with {segments} files of sealed records") };
        let there = if archive.is_some() { String::new() } else { format!(" --archive {place}") };
        let to = self.to.display();
        talk(&format!("copied{with}; `phasegrid serve --data {to}{there}` goes on from there"));
        Ok(())
    }
}

fn place(text: &str) -> Result<Place, String> {
    text.parse().map_err(|()| format!("it takes {PLACES}"))
}
