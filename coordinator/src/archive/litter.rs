//! What lies in a data folder's own archive and counts for nothing: segments that the database does not name, and drafts that
//! never became one. Elsewhere it is nobody's to touch.

use std::fs;
use std::io;

use phasegrid_proto::place::Place;

use super::Archive;
use crate::store::StoreError;

/// The folder in the archive for segments that the database does not name. No sweep has such an id: each ends in a digest.
const UNNAMED: &str = "unnamed";
const SEGMENT: &str = ".parquet";

/// What was found of a sweep, and what became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Litter {
    /// Segments without a name, which were moved.
    pub(crate) set_aside: usize,
    /// Files that were never complete, which are deleted.
    pub(crate) drafts: usize,
}

impl Archive {
    /// Where segments without a name go, with a folder for each sweep.
    pub(crate) fn unnamed(&self) -> String {
        format!("{}/{UNNAMED}", self.place.to_string().trim_end_matches('/'))
    }

    /// Moves the segments of a sweep that the database does not name out of the way, and deletes drafts. They may be what a
    /// crash left behind, or newer than a database that was restored: so nothing that is whole is ever deleted. Blocks.
    pub(crate) fn tidy(&self, sweep: &str, is_named: impl Fn(&str) -> bool) -> Result<Litter, StoreError> {
        let Place::Folder(folder) = &self.place else { return Ok(Litter::default()) };
        let (own, place) = (folder.join(sweep), folder.join(UNNAMED).join(sweep));
        let mut litter = Litter::default();
        let mut tidy = || -> io::Result<()> {
            let files = match fs::read_dir(&own) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                files => files?,
            };
            for file in files {
                let file = file?;
                let name = file.file_name();
                let Some(name) = name.to_str() else { continue };
                if is_draft(name) {
                    fs::remove_file(file.path())?;
                    litter.drafts += 1;
                } else if name.ends_with(SEGMENT) && !is_named(&format!("{sweep}/{name}")) {
                    fs::create_dir_all(&place)?;
                    fs::rename(file.path(), place.join(name))?;
                    litter.set_aside += 1;
                }
            }
            Ok(())
        };
        match tidy() {
            Ok(()) => Ok(litter),
            Err(error) => Err(StoreError::Failed { place: own.display().to_string(), reason: error.to_string() }),
        }
    }
}

/// Whether it is what the object store writes to before a file gets its name: that with a number behind.
fn is_draft(name: &str) -> bool {
    let number = name.rsplit_once('#').filter(|(name, _)| name.ends_with(SEGMENT)).map(|(_, number)| number);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}
