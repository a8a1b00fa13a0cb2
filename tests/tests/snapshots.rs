//! Snapshots: what a killed worker has done of a long task is not done again, and nothing of the result shows it.

use std::path::Path;

use phasegrid_tests::{Call, Cluster, Folder, Output, Process, Tables, read, sweeps, wait};

/// Steps of a task that takes some seconds, and between two of its records.
const STEPS: u64 = 200_000;
const EVERY: u64 = STEPS / 8;

/// Long enough for a living worker's heartbeats on a busy machine, short enough to wait for.
const LEASE_TIME: &str = "2s";

/// A sweep of one long task.
fn sweep() -> String {
    sweeps::quadratic(STEPS, 1)
        .replace("\"data.train_fraction\" = [0.5, 0.8]", "\"data.train_fraction\" = [0.8]")
        .replace("\"train.weight_decay\" = [0.0, 1.0]", "\"train.weight_decay\" = [1.0]")
}

/// A worker that takes a snapshot at each record.
fn worker(cluster: &Cluster) -> Process {
    cluster.worker_with(["--snapshot-interval", "0"])
}

/// The steps of the snapshots in this folder and below it, which are named STEP-WRITER, and with a # while they are written.
fn kept(folder: &Path) -> Vec<u64> {
    let paths = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let whole = |path: &Path| path.file_name()?.to_str().filter(|name| !name.contains('#')).map(str::to_owned);
    let step = |path: &Path| whole(path)?.split_once('-')?.0.parse().ok();
    paths.flat_map(|path| if path.is_dir() { kept(&path) } else { step(&path).into_iter().collect() }).collect()
}

fn until_a_snapshot_of_some_training_is_kept(folder: &Path) {
    wait::until("a snapshot is kept", || kept(folder).into_iter().any(|step| step > 0).then_some(()));
}

/// The steps from which the worker with this log resumed the sweep's task.
fn resumed(log: &str) -> Vec<u64> {
    let lines = log.lines().filter(|line| line.contains(" resumed ") && line.contains("point=0"));
    let step = |line: &str| line.split_whitespace().find_map(|word| word.strip_prefix("step=")?.parse().ok());
    lines.map(|line| step(line).unwrap_or_else(|| panic!("no step in {line}"))).collect()
}

/// The task went on once, from one of its records.
fn assert_resumed(log: &str) {
    let [step] = resumed(log)[..] else { panic!("not resumed once: {log}") };
    assert!((EVERY..STEPS).contains(&step) && step % EVERY == 0, "resumed at step {step}");
}

#[test]
fn another_worker_goes_on_where_one_was_killed_and_no_number_changes() {
    let quiet = Cluster::start();
    let _undisturbed = quiet.worker();
    let undisturbed = quiet.submit(&sweep());

    let cluster = Cluster::with_lease_time(LEASE_TIME);
    let snapshots = cluster.data() + "/snapshots";
    let mut first = worker(&cluster);
    let sweep = cluster.submit(&sweep());
    until_a_snapshot_of_some_training_is_kept(snapshots.as_ref());
    first.kill();
    let second = worker(&cluster);
    cluster.until_complete(&sweep);
    quiet.until_complete(&undisturbed);

    assert!(resumed(&first.stderr()).is_empty());
    assert_resumed(&second.stderr());
    Tables::of(&cluster, &sweep).assert_equal(&Tables::of(&quiet, &undisturbed));
    wait::until("nothing is left of it", || kept(snapshots.as_ref()).is_empty().then_some(()));
}

#[test]
fn a_killed_run_goes_on_from_its_snapshots_and_keeps_none_when_it_is_complete() {
    let folder = Folder::new();
    let sweep = folder.file("sweep.toml", sweep());
    let run = |out: &str| {
        let call = Call::new(["run", &sweep, "--out", out, "--workers", "1"]);
        call.env("PHASEGRID_WORKER_SNAPSHOT_INTERVAL", "0").env("PHASEGRID_LEASE_TIME", LEASE_TIME)
    };
    let [peaceful, killed] = ["peaceful", "killed"].map(|name| folder.at(name));
    let snapshots = killed.clone() + "/.phasegrid/snapshots";

    let mut process = run(&killed).start(folder.path());
    until_a_snapshot_of_some_training_is_kept(snapshots.as_ref());
    process.kill();
    assert_eq!(run(&killed).output().code, 0);
    assert_resumed(&read(killed.clone() + "/worker-1.log"));
    assert!(!Path::new(&snapshots).exists());

    assert_eq!(run(&peaceful).output().code, 0);
    Tables::in_folder(&killed).assert_equal(&Tables::in_folder(&peaceful));
}

#[test]
fn snapshots_can_be_kept_elsewhere_or_nowhere() {
    let folder = Folder::new();
    let serve = |data: &str, place: &str| {
        let data = folder.at(data);
        Call::new(["serve", "--listen", "127.0.0.1:0", "--data", &data, "--snapshots", place]).start(folder.path())
    };
    for (data, place, made) in [("a", folder.at("elsewhere"), Some("elsewhere")), ("b", "none".to_owned(), None)] {
        let process = serve(data, &place);
        wait::until("it listens", || process.stdout().contains("http://").then_some(()));
        assert!(!Path::new(&folder.at(&format!("{data}/snapshots"))).exists());
        assert!(made.is_none_or(|made| Path::new(&folder.at(made)).is_dir()));
        process.terminate();
        assert_eq!(Output::of(process).code, 0);
    }
}

#[test]
fn a_place_for_snapshots_that_cannot_be_is_refused_before_anything_runs() {
    let folder = Folder::new();
    let (data, taken) = (folder.at("data"), folder.file("taken", ""));
    let serve =
        |place: &str| Call::new(["serve", "--listen", "127.0.0.1:0", "--data", &data, "--snapshots", place]).output();
    serve("gs://bucket").failure(3, &["snapshots: \"gs://bucket\"", "it takes a folder, file:///FOLDER, s3://BUCKET"]);
    assert!(!Path::new(&data).exists());
    serve(&taken).failure(6, &["the folder for snapshots", &taken, "cannot be made"]);
}
