//! `phasegrid run`: from a sweep file to tables and pictures, in one command.

use std::collections::HashSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use phasegrid_tests::tables::column;
use phasegrid_tests::{Call, Folder, Output, Process, Tables, lives, read, sweeps, wait};

fn run(sweep: &str, out: &str) -> Call {
    Call::new(["run", sweep, "--out", out, "--workers", "1"])
}

/// Waits for the line in which a run tells of the first point that ended.
fn until_under_way(run: &Process) {
    let told = |stderr: String| stderr.lines().any(|line| line.contains(" finished, ") && !line.contains(" 0/"));
    wait::until("the run has finished a point", || told(run.stderr()).then_some(()));
}

fn python(script: &str, argument: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
    let output = Command::new("python3").arg(script).arg(argument).output().expect("python3 is needed for this test");
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

#[test]
fn a_run_leaves_tables_that_pandas_opens_and_agrees_with() {
    let folder = Folder::new();
    let sweep = folder.file("sweep.toml", sweeps::quadratic(800, 3));
    let out = folder.at("out");
    let output = run(&sweep, &out).output();
    assert_eq!(output.code, 0, "{output:?}");

    python("pandas_check.py", &out);

    // The resolved file describes the same sweep.
    let again = folder.at("again");
    assert_eq!(run(&format!("{out}/sweep.toml"), &again).output().code, 0);
    Tables::in_folder(&again).assert_equal(&Tables::in_folder(&out));
}

#[test]
fn an_interrupted_run_goes_on_where_it_was_and_ends_with_the_same_tables() {
    let folder = Folder::new();
    let sweep = folder.file("sweep.toml", sweeps::quadratic(4000, 8));
    let [peaceful, interrupted] = ["peaceful", "interrupted"].map(|name| folder.at(name));
    assert_eq!(run(&sweep, &peaceful).output().code, 0);

    let process = run(&sweep, &interrupted).start(folder.path());
    until_under_way(&process);
    process.interrupt();
    let output = Output::of(process);
    assert_eq!(output.code, 130, "{output:?}");

    let output = run(&sweep, &interrupted).output();
    assert_eq!(output.code, 0, "{output:?}");
    Tables::in_folder(&interrupted).assert_equal(&Tables::in_folder(&peaceful));
    let tasks = read(interrupted + "/tasks.csv");
    let workers: HashSet<_> = column(&tasks, "worker").into_iter().collect();
    assert_eq!(workers.len(), 2, "what the first run finished is kept: {workers:?}");
}

#[test]
fn a_killed_run_leaves_no_worker_behind_and_goes_on_when_it_is_started_again() {
    let folder = Folder::new();
    let sweep = folder.file("sweep.toml", sweeps::quadratic(4000, 8));
    let [peaceful, killed] = ["peaceful", "killed"].map(|name| folder.at(name));
    assert_eq!(run(&sweep, &peaceful).output().code, 0);

    let mut process = run(&sweep, &killed).start(folder.path());
    until_under_way(&process);
    let workers = process.children();
    process.kill();
    assert!(!workers.is_empty());
    wait::until("its workers have ended", || (!workers.iter().any(|worker| lives(*worker))).then_some(()));

    let output = run(&sweep, &killed).output();
    assert_eq!(output.code, 0, "{output:?}");
    Tables::in_folder(&killed).assert_equal(&Tables::in_folder(&peaceful));
}

#[test]
fn two_runs_beside_each_other_do_not_disturb_each_other() {
    let folder = Folder::new();
    let sweep = folder.file("sweep.toml", sweeps::quadratic(800, 2));
    let folders = ["left", "right"].map(|name| folder.at(name));
    let processes = folders.each_ref().map(|out| {
        fs::create_dir(out).unwrap();
        run(&sweep, out).start(out.as_ref())
    });
    for process in processes {
        let output = Output::of(process);
        assert_eq!(output.code, 0, "{output:?}");
    }
    let [left, right] = folders.map(|out| Tables::in_folder(&out));
    left.assert_equal(&right);
}

#[test]
fn a_run_with_failed_points_says_which_and_why_and_keeps_the_others() {
    let folder = Folder::new();
    // One of the two learning rates drives the loss beyond what a float holds.
    let source = sweeps::quadratic(80, 1)
        .replace("\"adamw\"", "\"sgd\"")
        .replace("\"train.weight_decay\" = [0.0, 1.0]", "\"train.learning_rate\" = [1e-3, 1e30]");
    let sweep = folder.file("sweep.toml", source.replace("y = \"train.weight_decay\"", "y = \"train.learning_rate\""));
    let out = folder.at("out");
    let output = run(&sweep, &out).output();

    assert_eq!(output.code, 8, "{output:?}");
    assert!(output.stderr.contains("2 of 4 points failed"), "{output:?}");
    let tasks = read(out + "/tasks.csv");
    assert_eq!(column(&tasks, "state"), ["finished", "failed", "finished", "failed"]);
    assert_eq!(column(&tasks, "attempts"), ["1"; 4], "what would fail again is not tried again");
}

#[test]
fn a_missing_worker_binary_is_named_with_where_it_was_looked_for() {
    let folder = Folder::new();
    let sweep = folder.file("sweep.toml", sweeps::quadratic(80, 1));
    let call = run(&sweep, &folder.at("out")).of_a_copy_in(&folder).env("PATH", "/usr/bin:/bin");
    call.output().failure(9, &["phasegrid-worker", folder.name()]);
}

#[test]
fn workers_that_keep_dying_end_the_run_with_their_last_words() {
    let folder = Folder::new();
    let worker = folder.file("phasegrid-worker", "#!/bin/sh\necho 'no libtorch here' >&2\nexit 1\n");
    fs::set_permissions(&worker, Permissions::from_mode(0o755)).unwrap();
    let sweep = folder.file("sweep.toml", sweeps::quadratic(80, 1));
    run(&sweep, &folder.at("out")).of_a_copy_in(&folder).output().failure(9, &["no libtorch here"]);
}
