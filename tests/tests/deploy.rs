//! What we ship for clusters is well-formed; whether an engine takes it is beyond a test without one.

use std::path::{Path, PathBuf};
use std::process::Command;

use phasegrid_tests::phasegrid;

fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

#[test]
fn the_slurm_script_is_bash() {
    let status = Command::new("bash").arg("-n").arg(at("deploy/workers.sbatch")).status().expect("bash is there");
    assert!(status.success());
}

#[test]
fn every_sweep_file_that_we_ship_can_be_planned() {
    let mut folders = vec![at("sweeps")];
    let mut planned = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "toml") {
                let _ = phasegrid(["plan".as_ref(), path.as_os_str()]).success();
                planned += 1;
            }
        }
    }
    assert!(planned >= 2);
}
