//! Data for a person or the next program: stdout that may be closed early, and files that appear whole or not at all.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use super::failure::Failure;

/// Writes to stdout. A reader that has gone, as `head` does, is no failure.
pub(super) fn print(data: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(data).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::file("write to", Path::new("stdout"))(error))
        }
        _ => Ok(()),
    }
}

/// Prints one line.
pub(super) fn print_line(line: &str) -> Result<(), Failure> {
    print(format!("{line}\n").as_bytes())
}

/// Tells the person something, on stderr. That nobody listens any more is no failure.
pub(super) fn talk(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Writes a file under another name beside its place and moves it there when it is complete and on disk.
pub(super) fn write_file(path: &Path, data: &[u8]) -> Result<(), Failure> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let written = (|| {
        let mut file = File::create(&part)?;
        file.write_all(data)?;
        file.sync_all()?;
        std::fs::rename(&part, path)
    })();
    written.map_err(|error| {
        // Whatever was begun is of no use; that it cannot be removed either adds nothing.
        let _ = std::fs::remove_file(&part);
        Failure::file("write", path)(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_put_in_its_place_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cells.csv");
        std::fs::create_dir_all(path.join("in the way")).unwrap();
        let failure = write_file(&path, b"data").unwrap_err();
        assert!(failure.to_string().starts_with(&format!("cannot write {}: ", path.display())), "{failure}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cells.csv");
        write_file(&path, b"a long first version").unwrap();
        write_file(&path, b"second").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "second");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
