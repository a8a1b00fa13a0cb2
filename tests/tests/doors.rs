//! A coordinator that other machines can reach: certificates, tokens, and who is let in with them, as a person sets it up.

use phasegrid_tests::{Call, Folder, Process, phasegrid, sweeps, wait};

/// A coordinator on all addresses of this machine, set up by the commands that it names itself.
struct Guarded {
    folder: Folder,
    // Ends with the test.
    coordinator: Process,
    url: String,
}

impl Guarded {
    fn start() -> Self {
        let folder = Folder::new();
        let tls = folder.at("tls");
        assert_eq!(phasegrid(["init-cluster", "--dir", &tls, "--host", "gpu-head"]).success(), "");
        let (certificate, key, data) = (tls.clone() + "/server.pem", tls + "/server.key", folder.at("data"));
        let serve = ["serve", "--listen", "0.0.0.0:0", "--data", &data];
        let serve = serve.into_iter().chain(["--tls-certificate", &certificate, "--tls-key", &key]);
        let mut coordinator = Call::new(serve).start(folder.path());
        let url = wait::until("the coordinator prints its URL", || {
            assert!(coordinator.is_running(), "{}", coordinator.stderr());
            coordinator.stdout().strip_suffix('\n').map(str::to_owned)
        });
        Self { folder, coordinator, url }
    }

    /// A call with these credentials; an empty token is none.
    fn with(&self, call: Call, token_file: &str) -> Call {
        let call = call.env("PHASEGRID_COORDINATOR", &self.url).env("PHASEGRID_CA", self.folder.at("tls/ca.pem"));
        if token_file.is_empty() { call } else { call.env("PHASEGRID_TOKEN_FILE", token_file) }
    }

    fn call(&self, arguments: &[&str], token_file: &str) -> Call {
        self.with(Call::new(arguments), token_file)
    }

    /// The file of a new token of this role.
    fn token(&self, role: &str) -> String {
        let created = self.call(&["token", "create", "--role", role], &self.folder.at("data/admin.token"));
        self.folder.file(&format!("{role}.token"), created.output().success())
    }

    fn worker(&self, token_file: &str) -> Call {
        self.with(Call::worker(["--device", "cpu", "--slots", "1"]), token_file)
    }
}

#[test]
fn an_address_that_others_can_reach_takes_certificates_and_says_how_to_make_them() {
    let folder = Folder::new();
    let serve = Call::new(["serve", "--listen", "0.0.0.0:0"]).current_dir(folder.path());
    serve.output().failure(7, &["0.0.0.0", "phasegrid init-cluster", "--tls-certificate", "--tls-key"]);
    assert!(!std::fs::exists(folder.at("phasegrid-data")).unwrap(), "nothing was touched");
}

#[test]
fn a_sweep_is_submitted_computed_and_read_with_a_token_for_each() {
    let guarded = Guarded::start();
    let sweep = guarded.folder.file("sweep.toml", sweeps::quadratic(80, 1));
    let [submit, read, work] = ["submit", "read", "worker"].map(|role| guarded.token(role));
    let id = guarded.call(&["submit", &sweep], &submit).output().success();
    let worker = guarded.worker(&work).start(guarded.folder.path());

    let watched = guarded.call(&["watch", id.trim_end()], &read).output();

    assert_eq!(watched.code, 0, "{}\n{}", watched.stderr, worker.stderr());
    let tasks = guarded.call(&["table", id.trim_end(), "--level", "tasks", "--format", "csv"], &read);
    assert_eq!(tasks.output().success().matches("finished").count(), 4);
    for token in [submit, read, work, guarded.folder.at("data/admin.token")] {
        let secret = phasegrid_tests::read(token);
        for log in [worker.stderr(), guarded.coordinator.stderr()] {
            assert!(!log.contains(secret.trim_end()), "a token is logged nowhere");
        }
    }
}

#[test]
fn who_has_no_token_or_another_role_is_turned_away_with_a_reason() {
    let guarded = Guarded::start();
    let (work, read) = (guarded.token("worker"), guarded.token("read"));
    guarded.call(&["list"], "").output().failure(11, &["--token-file", "PHASEGRID_TOKEN", "phasegrid token create"]);
    guarded.call(&["list"], &work).output().failure(11, &["role worker", "ListSweeps", "read"]);
    guarded.call(&["cancel", "ID"], &read).output().failure(11, &["role read", "submit or admin"]);
    guarded.call(&["token", "list"], &read).output().failure(11, &["role read", "admin"]);
    guarded.worker("").output().failure(3, &["token"]);
    guarded.worker(&read).output().failure(3, &["role read", "worker"]);
    let missing = guarded.folder.at("no.token");
    guarded.worker(&missing).output().failure(2, &["no.token"]);
    guarded.call(&["list"], &missing).output().failure(6, &["no.token"]);
}

#[test]
fn nobody_talks_to_a_coordinator_that_the_ca_does_not_vouch_for() {
    let guarded = Guarded::start();
    let other = guarded.folder.at("other");
    assert_eq!(phasegrid(["init-cluster", "--dir", &other]).success(), "");
    let ca = other + "/ca.pem";
    let (read, work) = (guarded.token("read"), guarded.token("worker"));
    guarded.call(&["list"], &read).env("PHASEGRID_CA", &ca).output().failure(11, &["cannot be trusted", "ca.pem"]);
    guarded.worker(&work).env("PHASEGRID_CA", &ca).output().failure(3, &["cannot be trusted", "ca.pem"]);
    let plain = guarded.url.replace("https", "http");
    // How the connection ends, and with it the exit code, is a matter of who is faster.
    guarded.call(&["list"], &read).env("PHASEGRID_COORDINATOR", &plain).output().complaint(&["use https://"]);
}
