//! The folder of one `phasegrid run`: the database that makes it resumable, and the results.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::plot;
use crate::results::Table;
use crate::results::format::Format;
use crate::spec::Spec;

use super::super::failure::Failure;
use super::super::output::write_file;
use super::super::plot::WIDTH;
use super::super::table::rendered;

/// A folder that is ours as long as this lives.
pub(super) struct Folder {
    path: PathBuf,
    /// Locked. A folder's own lock leaves no file behind and ends with the process, however that ends.
    _lock: File,
}

/// All tables of a sweep.
pub(super) struct Tables {
    pub(super) cells: Table,
    pub(super) tasks: Table,
    pub(super) records: Table,
}

impl Folder {
    /// Takes the folder, which is made if it is not there.
    pub(super) fn open(path: PathBuf) -> Result<Self, Failure> {
        std::fs::create_dir_all(&path).map_err(Failure::file("create", &path))?;
        let lock = File::open(&path).map_err(Failure::file("open", &path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                let path = path.display();
                Err(Failure::Refused(format!(
                    "another `phasegrid run` is at work in {path}: wait for its end, or choose another folder with --out"
                )))
            }
            Err(TryLockError::Error(error)) => Err(Failure::file("lock", &path)(error)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the database is.
    pub(super) fn data(&self) -> PathBuf {
        self.path.join(".phasegrid")
    }

    /// Throws the database away.
    pub(super) fn clear(&self) -> Result<(), Failure> {
        match std::fs::remove_dir_all(self.data()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Failure::file("remove", &self.data())(error)),
            _ => Ok(()),
        }
    }

    /// Writes everything that a run leaves behind.
    pub(super) fn write(&self, spec: &Spec, tables: &Tables) -> Result<(), Failure> {
        let svg = plot::diagram(spec, &tables.cells, &tables.tasks);
        let files = [
            ("sweep.toml", spec.resolved_source().as_bytes().to_vec()),
            ("cells.csv", rendered(&tables.cells, Format::Csv)?),
            ("tasks.csv", rendered(&tables.tasks, Format::Csv)?),
            ("records.parquet", rendered(&tables.records, Format::Parquet)?),
            ("diagram.png", plot::png(&svg, WIDTH)),
            ("diagram.svg", svg.into_bytes()),
        ];
        files.iter().try_for_each(|(name, data)| write_file(&self.path.join(name), data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_belongs_to_one_run_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b");
        let first = Folder::open(path.clone()).unwrap();
        let failure = Folder::open(path.clone()).err().unwrap();
        assert!(failure.to_string().starts_with("another `phasegrid run` is at work in "), "{failure}");
        drop(first);
        Folder::open(path).unwrap();
    }
}
