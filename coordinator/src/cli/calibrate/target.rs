//! Where the calibrated sweep file goes: beside the sweep file, never over it unless that is asked for.

use std::path::{Path, PathBuf};

use clap::Args;
use phasegrid_proto::task::Sampler;

use crate::calibration::{Node, Scan, Setting, calibrated, chosen, sampler_overrides};
use crate::spec::Spec;

use super::super::failure::Failure;
use super::super::input::SweepFile;
use super::super::output::{print, talk, write_file};

/// Where it goes.
#[derive(Debug, Args)]
pub(super) struct Target {
    /// The sweep file to write; "-" is stdout [default: SWEEP.calibrated.toml, or stdout for a sweep file on stdin]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Change the sweep file itself
    #[arg(long, conflicts_with = "output")]
    in_place: bool,
}

impl Target {
    /// Refuses what would not do in the end, before anything runs.
    pub(super) fn check(&self, file: &SweepFile) -> Result<(), Failure> {
        let Some(input) = file.path() else {
            let stdin = "--in-place has no file to change: the sweep file comes from stdin";
            return if self.in_place { Err(Failure::Usage(stdin.to_owned())) } else { Ok(()) };
        };
        let canonical = |path: &Path| std::fs::canonicalize(path).ok();
        let over = |output: &PathBuf| canonical(output).is_some_and(|output| Some(output) == canonical(input));
        if self.output.as_ref().is_some_and(over) {
            let output = "--output names the sweep file itself; accepted: another file, or --in-place to change it";
            return Err(Failure::Usage(output.to_owned()));
        }
        Ok(())
    }

    pub(super) fn is_stdout(&self, file: &SweepFile) -> bool {
        self.path(file).is_none()
    }

    /// Refuses, before anything runs, what could not be written in the end.
    pub(super) fn rehearse(&self, file: &SweepFile, source: &str, spec: &Spec, scan: &Scan) -> Result<(), Failure> {
        let first = Node { step_size: 0, localization: 0, nbeta: 0 };
        self.text(file, source, spec, scan, first)?;
        let Some(path) = self.path(file) else { return Ok(()) };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if folder.is_dir() {
            return Ok(());
        }
        Err(Failure::Usage(format!("--output: there is no folder {}; accepted: a file in one", folder.display())))
    }

    /// The sweep file with the sampler of this node, which then is one of those that were scanned.
    fn text(&self, file: &SweepFile, source: &str, spec: &Spec, scan: &Scan, node: Node) -> Result<String, Failure> {
        let mut settings = sampler_overrides(spec, &file.overrides);
        settings.extend(chosen(scan.grid.levels(node)));
        let text = calibrated(source, &settings).map_err(anyhow::Error::new)?;
        verify(file, &text, scan, &settings)?;
        Ok(text)
    }

    /// Writes the sweep file with the sampler of this node.
    pub(super) fn write(
        &self,
        file: &SweepFile,
        source: &str,
        spec: &Spec,
        scan: &Scan,
        node: Node,
    ) -> Result<(), Failure> {
        let text = self.text(file, source, spec, scan, node)?;
        let Some(path) = self.path(file) else { return print(text.as_bytes()) };
        if self.in_place && std::fs::read(&path).is_ok_and(|now| now != source.as_bytes()) {
            let path = path.display();
            return Err(Failure::Refused(format!(
                "{path} was changed while it was calibrated, and is left as it is: put the settings above in by hand"
            )));
        }
        write_file(&path, text.as_bytes())?;
        talk(&format!("{} has the chosen sampler: phasegrid run {0}", path.display()));
        Ok(())
    }

    /// The file to write; `None` is stdout.
    fn path(&self, file: &SweepFile) -> Option<PathBuf> {
        match (&self.output, file.path()) {
            (Some(output), _) => Some(output.clone()).filter(|output| output != Path::new("-")),
            (None, None) => None,
            (None, Some(input)) if self.in_place => Some(input.to_owned()),
            (None, Some(input)) => Some(beside(input)),
        }
    }
}

/// sweep.toml → sweep.calibrated.toml
fn beside(input: &Path) -> PathBuf {
    let stem = if input.extension().is_some_and(|extension| extension == "toml") { input.file_stem() } else { None };
    let mut name = stem.or(input.file_name()).unwrap_or_default().to_owned();
    name.push(".calibrated.toml");
    input.with_file_name(name)
}

/// Reads the new text as a sweep, to be sure that its samplers are those that were calibrated.
fn verify(file: &SweepFile, text: &str, scan: &Scan, settings: &[Setting]) -> Result<(), Failure> {
    let others: Vec<String> =
        file.overrides.iter().filter(|text| !text.trim().starts_with("task.llc")).cloned().collect();
    let spec =
        Spec::parse(text, &others).map_err(|error| anyhow::anyhow!("the calibrated file is not well: {error}"))?;
    let samplers = |spec: &Spec, point: u64| spec.task(point).ok().and_then(|task| task.llc).map(|llc| llc.samplers);
    for (index, point) in scan.points.iter().enumerate() {
        let scanned = samplers(&scan.spec, index as u64).unwrap_or_default();
        let written = samplers(&spec, *point).unwrap_or_default();
        let known = |sampler: &Sampler| {
            let sampler = Sampler { sensitivity: false, ..sampler.clone() };
            scanned.contains(&sampler)
        };
        if written.is_empty() || !written.iter().all(known) {
            let names: Vec<&str> = settings.iter().map(|(key, _)| key.as_str()).collect();
            return Err(Failure::Usage(format!(
                "--set: the file with {} set has another sampler than the file with the overrides; accepted: task.llc.KEY=VALUE, \
                 a key at a time",
                names.join(", ")
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_beside_the_sweep_file() {
        assert_eq!(beside(Path::new("sweeps/demo.toml")), Path::new("sweeps/demo.calibrated.toml"));
        assert_eq!(beside(Path::new("demo")), Path::new("demo.calibrated.toml"));
        assert_eq!(beside(Path::new("a.b")), Path::new("a.b.calibrated.toml"));
    }

    #[test]
    fn the_sweep_file_itself_is_written_only_if_that_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sweep.toml");
        std::fs::write(&path, "").unwrap();
        let file = SweepFile::at(&path);
        let target = |output: Option<&str>, in_place| Target {
            output: output.map(|output| folder.path().join(output)),
            in_place,
        };
        assert!(target(None, false).check(&file).is_ok() && target(None, true).check(&file).is_ok());
        assert!(target(Some("other.toml"), false).check(&file).is_ok());
        let failure = target(Some("./sweep.toml"), false).check(&file).unwrap_err();
        assert!(failure.to_string().contains("--in-place"), "{failure}");
        assert!(target(None, true).check(&SweepFile::at("-")).is_err());
    }
}
