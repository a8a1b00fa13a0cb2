//! Sweep files as a person names them: a path, or `-` for stdin.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::rpc::MESSAGE_LIMIT;
use crate::spec::Spec;

use super::failure::Failure;

/// A sweep file with overrides.
#[derive(Clone, Debug, Args)]
pub(super) struct SweepFile {
    /// The sweep file; "-" reads stdin
    #[arg(value_name = "SWEEP.toml")]
    path: PathBuf,
    /// Override a key of the file, as in task.train.steps=500 or name=other; may be given again
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub(super) overrides: Vec<String>,
}

impl SweepFile {
    #[cfg(test)]
    pub(super) fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), overrides: vec![] }
    }

    /// The same file with its overrides applied already.
    pub(super) fn without_overrides(&self) -> Self {
        Self { path: self.path.clone(), overrides: vec![] }
    }

    /// Where the file is; `None` for stdin.
    pub(super) fn path(&self) -> Option<&Path> {
        if self.is_stdin() { None } else { Some(&self.path) }
    }

    /// The file's name, for messages.
    pub(super) fn name(&self) -> String {
        if self.is_stdin() { "the sweep file on stdin".to_owned() } else { self.path.display().to_string() }
    }

    /// The file's text.
    pub(super) fn read(&self) -> Result<String, Failure> {
        let mut bytes = Vec::new();
        let read = if self.is_stdin() {
            io::stdin().lock().read_to_end(&mut bytes).map(|_| ())
        } else {
            std::fs::read(&self.path).map(|content| bytes = content)
        };
        read.map_err(Failure::file("read", Path::new(&self.name())))?;
        if bytes.len() > MESSAGE_LIMIT / 2 {
            let limit = MESSAGE_LIMIT / 2 / 1_000_000;
            return Err(self.failure(format!("it is larger than {limit} MB, which no coordinator takes")));
        }
        String::from_utf8(bytes).map_err(|error| {
            let line =
                error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
            self.failure(format!("line {}: it is not UTF-8 text, as TOML must be", line + 1))
        })
    }

    /// The sweep that the file describes.
    pub(super) fn parse(&self, source: &str) -> Result<Spec, Failure> {
        Spec::parse(source, &self.overrides).map_err(|error| self.failure(error.to_string()))
    }

    /// What is wrong with the file, one problem a line.
    pub(super) fn failure(&self, problems: String) -> Failure {
        Failure::Sweep { file: self.name(), problems }
    }

    fn is_stdin(&self) -> bool {
        self.path == Path::new("-")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::exit::Exit;

    #[test]
    fn a_file_that_is_not_text_is_refused_with_its_name_and_the_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"name = \"x\"\nseed = \xff").unwrap();
        let failure = SweepFile::at(file.path()).read().unwrap_err();
        assert_eq!(failure.exit(), Exit::Configuration);
        let name = file.path().display();
        assert_eq!(
            failure.to_string(),
            format!("{name} cannot run as it is:\n  line 2: it is not UTF-8 text, as TOML must be")
        );
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let failure = SweepFile::at("no/such.toml").read().unwrap_err();
        assert_eq!(failure.exit(), Exit::File);
        assert!(failure.to_string().starts_with("cannot read no/such.toml: "), "{failure}");
    }
}
