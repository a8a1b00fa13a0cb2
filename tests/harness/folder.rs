//! Temporary folders whose paths are text, as a command line wants them.

use std::path::Path;

use tempfile::TempDir;

/// A folder that is removed with its handle.
pub struct Folder(TempDir);

impl Folder {
    /// A new, empty folder.
    ///
    /// # Panics
    /// If none can be made.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "an empty folder is no default of anything")]
    pub fn new() -> Self {
        Self(TempDir::new().expect("temporary folders can be made"))
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The folder's own path.
    ///
    /// # Panics
    /// If it is not text.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path().to_str().expect("temporary folders have names of text")
    }

    /// The path of something in the folder.
    #[must_use]
    pub fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.name())
    }

    /// Writes a file in the folder, and returns its path.
    ///
    /// # Panics
    /// If the folder is not writable.
    #[must_use]
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.at(name);
        std::fs::write(&path, content).expect("the test's folder is writable");
        path
    }
}

/// The text of a file.
///
/// # Panics
/// If it cannot be read.
#[must_use]
pub fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
