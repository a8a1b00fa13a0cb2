//! `backup`: a copy of a data folder, also while a coordinator works on it.

use std::path::PathBuf;

use clap::Args;

use crate::store::sqlite::backup;

use super::failure::Failure;
use super::output::talk;

/// Copy a data folder's database, also while a coordinator works on it
///
/// The copy is of one moment and on the disk when the command ends: everything acknowledged before it began is in it.
/// Snapshots of tasks under way are not copied; without them such tasks begin anew. A PostgreSQL database is copied
/// with pg_dump.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  phasegrid backup --data ~/phasegrid --to /backup/phasegrid-monday\n  \
    phasegrid serve --data /backup/phasegrid-monday        goes on from there")]
pub(super) struct Backup {
    /// The data folder
    #[arg(long, value_name = "DIR", env = "PHASEGRID_DATA")]
    data: PathBuf,
    /// The folder for the copy: a new one, or one that is empty
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,
}

impl Backup {
    pub(super) fn run(self) -> Result<(), Failure> {
        backup(&self.data, &self.to)?;
        talk(&format!("copied; `phasegrid serve --data {}` goes on from there", self.to.display()));
        Ok(())
    }
}
