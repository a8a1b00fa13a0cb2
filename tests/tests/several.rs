//! Several coordinators on one PostgreSQL database, any of which may die, and the database too.

use phasegrid_tests::tables::{assert_holds, column};
use phasegrid_tests::{Call, Cluster, Folder, Postgres, Process, Tables, phasegrid, read, sweeps, wait};

/// Tasks long enough that a kill finds one running.
const STEPS: u64 = 4000;
const SEEDS: u64 = 8;
const POINTS: usize = 4 * SEEDS as usize;

/// Longer than another coordinator takes to take over on a busy machine.
const LEASE_TIME: &str = "15s";

fn sweep() -> String {
    sweeps::quadratic(STEPS, SEEDS)
}

/// The tables of the sweep when one worker computes it in peace, on the other store.
fn undisturbed() -> Tables {
    let cluster = Cluster::start();
    let _worker = cluster.worker();
    let sweep = cluster.submit(&sweep());
    cluster.until_complete(&sweep);
    Tables::of(&cluster, &sweep)
}

/// The sweep ends, and as if nothing had happened.
fn assert_undisturbed(cluster: &Cluster, sweep: &str) {
    cluster.until_complete(sweep);
    let states = column(&cluster.table(sweep, "tasks"), "state");
    assert_eq!(states, vec!["finished"; POINTS]);
    Tables::of(cluster, sweep).assert_equal(&undisturbed());
}

#[test]
fn another_coordinator_goes_on_where_the_leader_was_killed_and_no_number_changes() {
    let mut cluster = Cluster::of_two_on(&Postgres::shared().database("leaders"), LEASE_TIME);
    let mut worker = cluster.worker();
    let sweep = cluster.submit(&sweep());
    let mut watcher = cluster.call(["watch", &sweep]).start(cluster.folder().path());
    cluster.until_finished(&sweep, 2);

    cluster.leader().kill();
    cluster.until_finished(&sweep, 5);
    // Back again it stands by; then the second dies, and it leads once more.
    cluster.restart_coordinator();
    cluster.leader().kill();

    assert_undisturbed(&cluster, &sweep);
    assert!(worker.is_running());
    assert_eq!(watcher.exit_code(), 0, "{}", watcher.stderr());
    let attempts = column(&cluster.table(&sweep, "tasks"), "attempts");
    assert_eq!(attempts, vec!["1"; POINTS], "the worker kept its leases");
}

#[test]
fn a_killed_database_costs_no_point_and_changes_no_number() {
    let server = Postgres::new();
    let cluster = Cluster::of_two_on(&server.database("killed"), LEASE_TIME);
    let mut worker = cluster.worker();
    let sweep = cluster.submit(&sweep());
    cluster.until_finished(&sweep, 2);

    server.crash();
    wait::until("nobody answers", || cluster.progress(&sweep).is_none().then_some(()));
    server.start();

    assert_undisturbed(&cluster, &sweep);
    assert!(worker.is_running());
}

#[test]
fn what_was_shown_as_finished_survives_leader_and_database_being_killed_together() {
    let server = Postgres::new();
    let mut cluster = Cluster::of_two_on(&server.database("together"), LEASE_TIME);
    let mut worker = cluster.worker();
    let sweep = cluster.submit(&sweep());
    cluster.until_finished(&sweep, 5);

    worker.kill();
    let shown = cluster.table(&sweep, "records");
    cluster.leader().kill();
    server.crash();
    server.start();

    let _ = cluster.leader();
    assert_holds(&cluster.table(&sweep, "records"), &shown);
}

#[test]
fn a_coordinator_that_stands_by_says_who_leads_and_a_client_of_all_finds_that_one() {
    let cluster = Cluster::of_two_on(&Postgres::shared().database("standby"), LEASE_TIME);
    let urls: Vec<&str> = cluster.url().split(',').collect();
    wait::until("one leads, and the other says so", || {
        let ask = |url| cluster.call(["list"]).env("PHASEGRID_COORDINATOR", url).output();
        let [first, second] = [ask(urls[0]), ask(urls[1])];
        let says = |refused: &str, leader: &str| refused.contains("stands by") && refused.contains(leader);
        let one = first.code == 0 && second.code == 4 && says(&second.stderr, urls[0]);
        (one || second.code == 0 && first.code == 4 && says(&first.stderr, urls[1])).then_some(())
    });
    let backwards = format!("{},{}", urls[1], urls[0]);
    let _ = cluster.call(["list"]).env("PHASEGRID_COORDINATOR", backwards).output().success();
}

/// A coordinator on all addresses of this machine, with the certificate in `tls`, and its URL.
fn serve_guarded(folder: &Folder, name: &str, database: &str) -> (Process, String) {
    let files = ["tls/server.pem", "tls/server.key"].map(|file| folder.at(file));
    let ca = folder.at("tls/ca.pem");
    let serve = ["serve", "--listen", "0.0.0.0:0", "--store", database, "--store-ca", &ca];
    let serve = serve.into_iter().chain(["--tls-certificate", &files[0], "--tls-key", &files[1]]);
    let logs = folder.at(name);
    std::fs::create_dir(&logs).expect("the folder is new");
    let mut coordinator = Call::new(serve).current_dir(logs.as_ref()).start(logs.as_ref());
    let url = wait::until("the coordinator prints its URL", || {
        assert!(coordinator.is_running(), "{}", coordinator.stderr());
        coordinator.stdout().strip_suffix('\n').map(str::to_owned)
    });
    (coordinator, url)
}

#[test]
fn certificates_and_tokens_are_those_of_all_whoever_leads() {
    let (folder, server) = (Folder::new(), Postgres::new());
    let database = server.database("guarded");
    assert_eq!(phasegrid(["init-cluster", "--dir", &folder.at("tls")]).success(), "");
    server.encrypt(&read(folder.at("tls/server.pem")), &read(folder.at("tls/server.key")));
    let (mut first, first_url) = serve_guarded(&folder, "first", &database);
    let (_second, second_url) = serve_guarded(&folder, "second", &database);
    let urls = format!("{second_url},{first_url}");
    let with = |call: Call, token: &str| {
        let call = call.env("PHASEGRID_COORDINATOR", &urls).env("PHASEGRID_CA", folder.at("tls/ca.pem"));
        if token.is_empty() { call } else { call.env("PHASEGRID_TOKEN_FILE", token) }
    };
    let admin = folder.at("first/phasegrid-data/admin.token");
    assert!(!std::fs::exists(folder.at("second/phasegrid-data")).unwrap(), "the one that leads made the admin's");
    let created = with(Call::new(["token", "create", "--role", "worker"]), &admin).output().success();
    let work = folder.file("worker.token", created);
    let source = folder.file("sweep.toml", sweep());
    let id = with(Call::new(["submit", &source]), &admin).output().success();
    let worker = with(Call::worker(["--device", "cpu", "--slots", "1"]), &work).start(folder.path());
    wait::until("some points are finished", || {
        let tasks = with(Call::new(["table", id.trim_end(), "--level", "tasks", "--format", "csv"]), &admin);
        let tasks = tasks.output();
        (tasks.code == 0 && tasks.stdout.contains("finished")).then_some(())
    });

    first.kill();

    let watched = with(Call::new(["watch", id.trim_end()]), &admin).output();
    assert_eq!(watched.code, 0, "{}\n{}", watched.stderr, worker.stderr());
    with(Call::new(["list"]), "").output().failure(11, &["phasegrid token create"]);
    with(Call::new(["list"]), &work).output().failure(11, &["role worker"]);
}
