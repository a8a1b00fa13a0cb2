//! What cannot be done is said in a sentence that helps, with the exit code that a script can tell by, and without a word
//! on stdout.

use phasegrid_tests::{Call, Cluster, Folder, phasegrid, sweeps};

const UNKNOWN: &str = "no-such-sweep";

#[test]
fn a_database_on_another_machine_is_not_talked_to_in_the_clear() {
    let serve = ["serve", "--listen", "127.0.0.1:0", "--store", "postgres://grid@db.invalid/sweeps"];
    phasegrid(serve).failure(3, &["in the clear", "--store-ca", "sslmode=disable"]);
    let nowhere = ["--store-ca", "nowhere.pem"];
    phasegrid(serve.into_iter().chain(nowhere)).failure(6, &["nowhere.pem"]);
    phasegrid(["serve", "--listen", "127.0.0.1:0", "--store-ca", "ca.pem"]).failure(3, &["store_ca", "no store"]);
}

#[test]
fn a_command_line_that_makes_no_sense_is_a_usage_error() {
    phasegrid(["serv"]).failure(2, &["serv", "serve"]);
    phasegrid(["table"]).failure(2, &["<ID>"]);
    phasegrid(["table", "ID", "--format", "xml"]).failure(2, &["xml", "csv", "json", "parquet", "markdown"]);
    phasegrid(["table", "ID", "--level", "all"]).failure(2, &["all", "cells", "tasks", "records"]);
    phasegrid(["plot", "ID"]).failure(2, &["--output"]);
    phasegrid(["list", "--coordinator", "not a url"]).failure(2, &["not a url", "http://127.0.0.1:7700"]);
    phasegrid(["run", "x.toml", "--workers", "0"]).failure(2, &["--workers"]);
    phasegrid(["list", "--log-format", "xml"]).failure(2, &["human", "json"]);
}

#[test]
fn a_coordinator_that_is_not_there_is_named_with_what_to_do() {
    let folder = Folder::new();
    let path = folder.file("sweep.toml", sweeps::quadratic(80, 1));
    // A port that was free a moment ago.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let commands: [&[&str]; 9] = [
        &["submit", &path],
        &["list"],
        &["show", "ID"],
        &["watch", "ID"],
        &["cancel", "ID"],
        &["table", "ID"],
        &["plot", "ID", "--output", "map.svg"],
        &["workers"],
        &["drain", "ID"],
    ];
    for command in commands {
        let call = Call::new(command).env("PHASEGRID_COORDINATOR", &url);
        call.output().failure(4, &[&url, "phasegrid serve", "--coordinator"]);
    }
}

#[test]
fn an_id_that_no_one_knows_is_refused_by_name() {
    let cluster = Cluster::start();
    let folder = Folder::new();
    let map = folder.at("map.svg");
    let commands: [&[&str]; 6] = [
        &["show", UNKNOWN],
        &["watch", UNKNOWN],
        &["cancel", UNKNOWN],
        &["retry", UNKNOWN],
        &["table", UNKNOWN],
        &["plot", UNKNOWN, "--output", &map],
    ];
    for command in commands {
        cluster.call(command.iter().copied()).output().failure(5, &[UNKNOWN]);
    }
    assert!(!std::fs::exists(&map).unwrap());
    cluster.call(["drain", "no-such-worker"]).output().failure(5, &["no-such-worker"]);
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    let cluster = Cluster::start();
    let sweep = cluster.submit(&sweeps::quadratic(80, 1));
    let folder = Folder::new();
    let blocker = folder.file("blocker", "a file, and no folder");
    let below = blocker.clone() + "/out.csv";
    cluster.call(["table", &sweep, "--output", &below]).output().failure(6, &[&below]);
    let below = below.replace(".csv", ".svg");
    cluster.call(["plot", &sweep, "--output", &below]).output().failure(6, &[&below]);
    let gif = below.replace(".svg", ".gif");
    cluster.call(["plot", &sweep, "--output", &gif]).output().failure(2, &["svg", "png"]);
    let path = folder.file("sweep.toml", sweeps::quadratic(80, 1));
    phasegrid(["run", &path, "--out", &blocker]).failure(6, &["blocker"]);
}

#[test]
fn a_table_that_does_not_fit_is_no_success() {
    let cluster = Cluster::start();
    let sweep = cluster.submit(&sweeps::quadratic(80, 1));
    let call = cluster.call(["table", &sweep, "--format", "csv"]).through("exec \"$@\" > /dev/full");
    call.output().failure(6, &["stdout", "No space left"]);
}

#[test]
fn a_worker_with_settings_that_make_no_sense_names_them_all() {
    let call = Call::worker(["--device", "gpu", "--slots", "0", "--coordinator", "nowhere"]);
    call.output().failure(
        2,
        &["device", "cuda:N", "slots", "1 to 65536", "coordinator", "http://HOST:PORT or https://HOST:PORT"],
    );
}
