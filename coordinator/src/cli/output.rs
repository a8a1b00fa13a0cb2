//! Data for a person or the next program: stdout that may be closed early, and files that appear whole or not at all.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt as _;
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

/// Whether a stream is a terminal whose person has not asked for plain text.
pub(super) fn takes_colour(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Tells the person something, on stderr. That nobody listens any more is no failure.
pub(super) fn talk(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Writes a file under another name beside its place and moves it there when it is complete and on disk. What is no
/// ordinary file, such as /dev/null or a pipe, is written to as it is, and a link is followed.
pub(super) fn write_file(path: &Path, data: &[u8]) -> Result<(), Failure> {
    if std::fs::metadata(path).is_ok_and(|there| !there.is_file() && !there.is_dir()) {
        let into = File::options().write(true).open(path).and_then(|mut special| special.write_all(data));
        return into.map_err(Failure::file("write", path));
    }
    let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
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

/// Writes what only its owner may read into a file that is not there yet.
pub(super) fn write_secret(path: &Path, text: &str) -> Result<(), Failure> {
    let written = (|| {
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    })();
    written.map_err(Failure::file("write", path))
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
    fn what_is_no_ordinary_file_is_not_replaced_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("cells.csv"), folder.path().join("latest.csv"));
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write_file(&file, b"first").unwrap();
        write_file(&link, b"second").unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "second");
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        write_file(Path::new("/dev/null"), b"data").unwrap();
        assert!(!std::fs::metadata("/dev/null").unwrap().is_file());
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
