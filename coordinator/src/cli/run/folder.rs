//! The folder of one `phasegrid run`: the database that makes it resumable, and the results.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::config::SNAPSHOTS;
use crate::plot::Drawing;
use crate::results::format::Format;
use crate::results::{Layout, Table};
use crate::spec::Spec;

use super::super::failure::Failure;
use super::super::output::write_file;
use super::super::plot::{drawn, png};
use super::super::table::rendered;

/// A folder that is ours as long as this lives.
pub(in crate::cli) struct Folder {
    path: PathBuf,
    /// Locked. A folder's own lock leaves no file behind and ends with the process, however that ends.
    _lock: File,
}

/// Where the results of a sweep of this name go if nobody says otherwise: its letters, digits, dots, dashes and underscores
/// make the folder's name, and a dash what lies between.
pub(super) fn default_path(name: &str) -> PathBuf {
    let kept = |c: char| if c.is_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let name: String = name.trim_start_matches('.').chars().map(kept).collect();
    Path::new("phasegrid-out").join(if name.is_empty() { "sweep" } else { &name })
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
                    "another phasegrid is at work in {path}: wait for its end, or choose another folder with --out"
                )))
            }
            Err(TryLockError::Error(error)) => Err(Failure::file("lock", &path)(error)),
        }
    }

    pub(in crate::cli) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the database is.
    pub(super) fn data(&self) -> PathBuf {
        self.path.join(".phasegrid")
    }

    /// Throws the database away.
    pub(super) fn clear(&self) -> Result<(), Failure> {
        remove(&self.data())
    }

    /// Throws the snapshots away, of which a run that is complete needs none.
    pub(super) fn clear_snapshots(&self) -> Result<(), Failure> {
        remove(&self.data().join(SNAPSHOTS))
    }

    /// Writes everything that a run leaves behind.
    pub(super) fn write(&self, spec: &Spec, tables: &Tables) -> Result<(), Failure> {
        let Tables { cells, tasks, records } = tables;
        let drawing = Drawing { layout: &Layout::of(spec), cells, tasks, records: Some(records), value: None };
        let svg = drawn(&drawing)?;
        let files = [
            ("sweep.toml", spec.resolved_source().as_bytes().to_vec()),
            ("cells.csv", rendered(cells, Format::Csv)?),
            ("tasks.csv", rendered(tasks, Format::Csv)?),
            ("records.parquet", rendered(records, Format::Parquet)?),
            ("diagram.png", png(&svg)?),
            ("diagram.svg", svg.into_bytes()),
        ];
        files.iter().try_for_each(|(name, data)| write_file(&self.path.join(name), data))
    }
}

/// Removes a folder with all that is in it, if it is there.
fn remove(folder: &Path) -> Result<(), Failure> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Failure::file("remove", folder)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_of_the_results() {
        for (name, folder) in
            [("grokking map", "grokking-map"), ("../../etc", "-..-etc"), ("..", "sweep"), ("λ-1.5", "λ-1.5")]
        {
            assert_eq!(default_path(name), Path::new("phasegrid-out").join(folder));
        }
    }

    #[test]
    fn a_folder_belongs_to_one_run_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b");
        let first = Folder::open(path.clone()).unwrap();
        let failure = Folder::open(path.clone()).err().unwrap();
        assert!(failure.to_string().starts_with("another phasegrid is at work in "), "{failure}");
        drop(first);
        Folder::open(path).unwrap();
    }
}
