//! The peers: programs in Python that measure themselves and print their figures.

use std::path::Path;
use std::process::Command;

use crate::Result;

/// Runs a peer's program, if there is an interpreter for it.
pub(crate) fn run(python: Option<&Path>, program: &str) -> Result<()> {
    let Some(python) = python else { return Ok(()) };
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench").join(program);
    let status = Command::new(python).arg(&program).status()?;
    if status.success() { Ok(()) } else { Err(format!("{} ended with {status}", program.display()).into()) }
}
