//! A coordinator that cannot have its address or its data folder says so and ends; it never starts half.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use phasegrid_tests::{Call, Cluster, Folder, sweeps, wait};

fn serve(data: &str) -> Call {
    Call::new(["serve", "--listen", "127.0.0.1:0", "--data", data])
}

/// Whether this user may mount inside a namespace of its own; a reason is printed if not.
fn may_mount() -> bool {
    let status = Command::new("unshare").args(["--mount", "true"]).status();
    let may = status.is_ok_and(|status| status.success());
    if !may {
        println!("skipped: this user may not make a mount namespace");
    }
    may
}

#[test]
fn an_address_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = Folder::new();
    let data = folder.at("data");
    let call = Call::new(["serve", "--listen", &address, "--data", &data]);
    call.output().failure(7, &[&address, "in use", "--listen"]);
}

#[test]
fn an_address_that_others_can_reach_is_refused() {
    let folder = Folder::new();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:7700"] {
        let call = Call::new(["serve", "--listen", address, "--data", folder.name()]);
        call.output().failure(7, &[address, "TLS", "127.0.0.1"]);
    }
}

#[test]
fn settings_that_make_no_sense_are_all_named_at_once() {
    let folder = Folder::new();
    let config = folder.file("coordinator.toml", "lisen = \"127.0.0.1:0\"\nmax_attempts = 0");
    let call = Call::new(["serve", "--config", &config]);
    call.output().failure(3, &["coordinator.toml", "lisen", "listen", "max_attempts", "from 1"]);
    serve(folder.name()).env("PHASEGRID_LEASE_TIME", "soon").output().failure(3, &["lease_time", "soon", "30s"]);
}

#[test]
fn a_data_folder_that_cannot_be_made_is_named() {
    let folder = Folder::new();
    let data = folder.file("blocker", "a file, and no folder") + "/data";
    serve(&data).output().failure(6, &[&data]);
    serve("/proc/phasegrid").output().failure(6, &["/proc/phasegrid"]);
}

#[test]
fn a_data_folder_that_cannot_be_written_is_named() {
    if may_mount() {
        let folder = Folder::new();
        let data = folder.name();
        // Root may write anywhere but on a read-only mount.
        let script = format!("mount --bind {data} {data}; mount -o remount,ro,bind {data}");
        serve(folder.name()).after_mounting(&script).output().failure(6, &[data]);
    }
}

#[test]
fn a_full_data_folder_is_named() {
    if may_mount() {
        let folder = Folder::new();
        let data = folder.name();
        let script = format!("mount -t tmpfs -o size=16k tmpfs {data}");
        serve(folder.name()).after_mounting(&script).output().failure(6, &[data, "full"]);
    }
}

/// A data folder with a sweep in it, and the path of its database, with nothing left in the journal beside it: what is
/// damaged then is damaged for good, and no journal heals it.
fn used_data_folder() -> (Cluster, String) {
    let mut cluster = Cluster::start();
    let _sweep = cluster.submit(&sweeps::quadratic(80, 50));
    cluster.coordinator().terminate();
    assert_eq!(cluster.coordinator().exit_code(), 0);
    let database = cluster.data() + "/phasegrid.db";
    let script = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('PRAGMA wal_checkpoint(TRUNCATE)').close()";
    let status = Command::new("python3").args(["-c", script, &database]).status();
    assert!(status.is_ok_and(|status| status.success()), "python3 is needed for this test");
    (cluster, database)
}

#[test]
fn a_truncated_database_is_refused_and_left_as_it_is() {
    let (cluster, database) = used_data_folder();
    let whole = fs::read(&database).unwrap();
    let half = &whole[..whole.len() / 2];
    fs::write(&database, half).unwrap();

    serve(&cluster.data()).output().failure(6, &[&database]);

    assert!(fs::read(&database).unwrap() == half, "a damaged database is evidence");
}

#[test]
fn a_database_that_is_none_is_refused_and_left_as_it_is() {
    let (cluster, database) = used_data_folder();
    fs::write(&database, "poetry, and quite a lot of it\n".repeat(1000)).unwrap();
    serve(&cluster.data()).output().failure(6, &[&database]);
    assert!(fs::read_to_string(&database).unwrap().starts_with("poetry"));
}

#[test]
fn a_data_folder_has_one_coordinator() {
    let cluster = Cluster::start();
    let data = cluster.data();
    serve(&data).output().failure(6, &[&data, "in use"]);
    assert!(cluster.call(["list"]).output().code == 0, "the first one is not disturbed");
}

#[test]
fn a_disk_that_fills_up_is_named_and_loses_nothing_that_was_acknowledged() {
    if may_mount() {
        let folder = Folder::new();
        let data = folder.at("data");
        fs::create_dir(&data).unwrap();
        let script = format!("mount -t tmpfs -o size=256k tmpfs {data}");
        let mut process = serve(&data).after_mounting(&script).start(folder.path());
        let url = wait::until("it listens", || process.stdout().strip_suffix('\n').map(str::to_owned));
        let call =
            |arguments: &[&str]| Call::new(arguments.iter().copied()).env("PHASEGRID_COORDINATOR", &url).output();
        let path = folder.file("sweep.toml", sweeps::quadratic(80, 50));
        let mut acknowledged = Vec::new();
        let refused = loop {
            let submitted = call(&["submit", &path]);
            if submitted.code != 0 {
                break submitted;
            }
            acknowledged.push(submitted.success().trim_end().to_owned());
        };
        refused.failure(4, &[&url, &data, "full"]);
        // It goes on with what it has, and ends in order.
        let listed = call(&["list", "--format", "csv"]).success();
        assert!(!acknowledged.is_empty());
        assert!(acknowledged.iter().all(|sweep| listed.contains(sweep.as_str())), "{listed}");
        assert_eq!(listed.lines().count(), 1 + acknowledged.len(), "nothing was created but what was acknowledged");
        process.terminate();
        assert_eq!(process.exit_code(), 0, "{}", process.stderr());
    }
}
