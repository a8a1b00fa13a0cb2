//! Sweeps through a coordinator: submitting them, and reading data from stdout.

use phasegrid_tests::tables::column;
use phasegrid_tests::{Cluster, Folder, Output, sweeps};

#[test]
fn the_same_request_id_creates_one_sweep_even_across_a_killed_coordinator() {
    let mut cluster = Cluster::start();
    let source = sweeps::quadratic(80, 1);
    let sweep = cluster.create_sweep("wish", &source);
    assert_eq!(cluster.create_sweep("wish", &source), sweep);

    cluster.coordinator().kill();
    cluster.restart_coordinator();

    assert_eq!(cluster.create_sweep("wish", &source), sweep);
    assert_ne!(cluster.create_sweep("another wish", &source), sweep);
}

#[test]
fn submit_prints_the_id_and_nothing_else() {
    let cluster = Cluster::start();
    let folder = Folder::new();
    let path = folder.file("sweep.toml", sweeps::quadratic(80, 1));
    let stdout = cluster.call(["submit", &path]).output().success();

    let id = stdout.strip_suffix('\n').expect("a line");
    assert!(!id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)), "{id:?}");
    assert!(cluster.call(["show", id]).output().success().contains(id));
    assert!(cluster.call(["list"]).output().success().contains(id));
}

#[test]
fn every_table_format_holds_the_same_rows_and_nothing_else_is_on_stdout() {
    let cluster = Cluster::start();
    let _worker = cluster.worker();
    let sweep = cluster.submit(&sweeps::quadratic(80, 1));
    let watched = cluster.call(["watch", &sweep]).output();
    assert_eq!(watched.code, 0, "{watched:?}");
    let table = |format| cluster.call(["table", &sweep, "--level", "tasks", "--format", format]).output().success();

    let csv = table("csv");
    assert_eq!(column(&csv, "task"), ["0", "1", "2", "3"]);
    assert_eq!(column(&csv, "data.train_fraction"), ["0.5", "0.5", "0.8", "0.8"]);

    let json: serde_json::Value = serde_json::from_str(&table("json")).expect("one JSON document");
    let rows = json.as_array().expect("a list of rows");
    assert_eq!(rows.len(), 4);
    assert_eq!(rows[3]["data.train_fraction"], 0.8);

    let markdown = table("markdown");
    assert_eq!(markdown.lines().count(), 2 + 4, "{markdown}");
    assert!(markdown.lines().all(|line| line.starts_with('|')), "{markdown}");
}

#[test]
fn a_plot_of_a_sweep_is_written_where_it_was_asked_for() {
    let cluster = Cluster::start();
    let _worker = cluster.worker();
    let sweep = cluster.submit(&sweeps::quadratic(80, 1));
    cluster.until_complete(&sweep);
    let folder = Folder::new();
    for (name, start) in [("map.svg", &b"<svg"[..]), ("map.png", b"\x89PNG")] {
        let path = folder.at(name);
        let stdout = cluster.call(["plot", &sweep, "--output", &path]).output().success();
        assert_eq!(stdout, "");
        let bytes = std::fs::read(path).unwrap();
        assert!(bytes.starts_with(start), "{name} starts with {:?}", &bytes[..16]);
    }
}

#[test]
fn logs_in_json_are_one_object_a_line_on_stderr() {
    let folder = Folder::new();
    let mut cluster = Cluster::start();
    cluster.coordinator().terminate();
    assert_eq!(cluster.coordinator().exit_code(), 0);
    let data = cluster.data();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--log-format", "json", "--data", &data];
    let process = cluster.call(serve).start(folder.path());
    let url = phasegrid_tests::wait::until("it listens", || process.stdout().strip_suffix('\n').map(str::to_owned));
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    process.terminate();
    let Output { code, stdout, stderr, .. } = Output::of(process);

    assert_eq!((code, stdout), (0, format!("{url}\n")));
    assert!(!stderr.is_empty());
    for line in stderr.lines() {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(entry["level"].is_string() && entry["timestamp"].is_string(), "{line}");
    }
}
