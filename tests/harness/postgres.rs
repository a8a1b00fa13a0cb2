//! A PostgreSQL server of the test's own: in a folder and on a port of its own, and gone with the test that started it,
//! however that ends.

use std::fs::Permissions;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::process::{children, lives};
use crate::{Link, wait};

/// PostgreSQL refuses to run as root; then it runs as the user whom no file belongs to.
const NOBODY: u32 = 65534;
const USER: &str = "phasegrid";

/// A running server. It stops with its handle, or with the process that holds it.
pub struct Postgres {
    binaries: PathBuf,
    folder: PathBuf,
    port: u16,
    warden: Child,
}

impl Postgres {
    /// Starts a server with nothing in it.
    ///
    /// # Panics
    /// If there is no PostgreSQL and none can be fetched.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a process is no default of anything")]
    pub fn new() -> Self {
        let binaries = binaries();
        let folder = TempDir::new().expect("temporary folders can be made").keep();
        if is_root() {
            chown(&folder, Some(NOBODY), Some(NOBODY)).expect("root gives away what it has made");
        }
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port is free").port();
        let warden = warden(&binaries, &folder);
        let server = Self { binaries, folder, port, warden };
        // Durable against a crash of the server, which is all that a test can bring about; not of the machine.
        server.run(
            "initdb",
            &["--pgdata=data", "--no-sync", "--auth=trust", "--no-locale", "--encoding=UTF8", "-U", USER],
        );
        server.start();
        server
    }

    /// One server for all tests of a process.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(Self::new)
    }

    /// Creates a database, and returns its URL.
    ///
    /// # Panics
    /// If it is there already.
    #[must_use]
    pub fn database(&self, name: &str) -> String {
        self.sql("postgres", &format!("CREATE DATABASE {name} STRATEGY file_copy"));
        self.url(name)
    }

    /// The URL of a database.
    #[must_use]
    pub fn url(&self, name: &str) -> String {
        format!("postgres://{USER}@{}/{name}", self.address())
    }

    /// The URL of a database that is reached through a link to [`Postgres::address`].
    #[must_use]
    pub fn url_through(&self, link: &Link, name: &str) -> String {
        format!("postgres://{USER}@{}/{name}", link.address())
    }

    /// Where the server listens.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Executes SQL, and returns what it answers: a line a row, columns parted by `|`.
    ///
    /// # Panics
    /// If it fails.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let url = self.url(database);
        let arguments =
            ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "-v", "ON_ERROR_STOP=1", "-c", sql, &url];
        self.run("psql", &arguments)
    }

    /// From now on the server shows this certificate, and talks to nobody in the clear.
    ///
    /// # Panics
    /// If it does not take it.
    pub fn encrypt(&self, certificate: &str, key: &str) {
        let data = self.folder.join("data");
        let rule = "hostssl all all 127.0.0.1/32 trust\n";
        for (name, content) in [("server.crt", certificate), ("server.key", key), ("pg_hba.conf", rule)] {
            let path = data.join(name);
            std::fs::write(&path, content).expect("the folder is ours");
            std::fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("so is what is in it");
            if is_root() {
                chown(&path, Some(NOBODY), Some(NOBODY)).expect("root gives away what it has made");
            }
        }
        self.sql("postgres", "ALTER SYSTEM SET ssl = on");
        self.run("pg_ctl", &["--pgdata=data", "reload"]);
        let on = || self.sql("postgres", "SHOW ssl").starts_with("on").then_some(());
        wait::until("the server has read its settings", on);
    }

    /// Starts the server, on the data and the port that it had.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(&self) {
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c port={} -c unix_socket_directories='' -c fsync=off -c max_connections=200",
            self.port
        );
        self.run("pg_ctl", &["--wait", "--pgdata=data", "--log=log", "-o", &options, "start"]);
    }

    /// Ends the server at once, as a crash does.
    ///
    /// # Panics
    /// If it does not run.
    pub fn crash(&self) {
        self.run("pg_ctl", &["--wait", "--pgdata=data", "-m", "immediate", "stop"]);
    }

    /// Kills the server with all its processes, none of which can say or tidy up anything: SIGKILL.
    ///
    /// # Panics
    /// If it does not run.
    pub fn kill(&self) {
        let lock = self.folder.join("data/postmaster.pid");
        let text = std::fs::read_to_string(&lock).expect("a running server has a lock file");
        let server: u32 = text.lines().next().and_then(|line| line.parse().ok()).expect("it names the process");
        // Frozen first, so that it starts no others meanwhile.
        signal(server, Signal::STOP);
        let processes: Vec<u32> = children(server).into_iter().chain([server]).collect();
        processes.iter().for_each(|id| signal(*id, Signal::KILL));
        wait::until("the server is gone", || (!processes.iter().any(|id| lives(*id))).then_some(()));
        // As long as nobody has waited for the process, another server would take it for one that runs.
        std::fs::remove_file(lock).expect("the folder is ours");
    }

    fn run(&self, program: &str, arguments: &[&str]) -> String {
        let mut command = command(&self.binaries, program, &self.folder);
        // The server that pg_ctl starts must not hold on to a pipe of ours: what it says goes to a file.
        let said = self.folder.join(format!("{program}.{:?}", std::thread::current().id()));
        let file = std::fs::File::create(&said).expect("the folder is there");
        let errors = file.try_clone().expect("a file has several handles");
        let status = command.args(arguments).stdout(file).stderr(errors).status();
        let status = status.unwrap_or_else(|error| panic!("cannot start {program}: {error}"));
        let said = std::fs::read_to_string(said).unwrap_or_default();
        assert!(status.success(), "{program} {arguments:?}: {said}");
        said
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.warden.stdin.take());
        // It has nothing to say.
        let _ = self.warden.wait();
    }
}

/// Waits until nobody holds the other end of its stdin, be it by the handle's end or by that of the process, and tidies up.
/// Ctrl-C at a terminal does not reach it.
fn warden(binaries: &Path, folder: &Path) -> Child {
    let script = "read _; \"$0/pg_ctl\" --pgdata=data -m immediate stop; cd / && rm -rf \"$1\"";
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(binaries).arg(folder).current_dir(folder).process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    as_nobody(&mut command);
    command.spawn().expect("there is a shell")
}

fn command(binaries: &Path, program: &str, folder: &Path) -> Command {
    let mut command = Command::new(binaries.join(program));
    // Unpacked rather than installed, it has its libraries beside it.
    let libraries = binaries.join("../../../x86_64-linux-gnu");
    command.current_dir(folder).env("LD_LIBRARY_PATH", libraries).env("HOME", folder).stdin(Stdio::null());
    as_nobody(&mut command);
    command
}

fn as_nobody(command: &mut Command) {
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn signal(id: u32, signal: Signal) {
    let id = i32::try_from(id).ok().and_then(Pid::from_raw).expect("processes have positive ids");
    // One that has just ended by itself is as good as killed.
    let _ = kill_process(id, signal);
}

/// Where PostgreSQL's binaries are.
fn binaries() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/postgresql.sh");
    let found = Command::new(script).stderr(Stdio::inherit()).output().expect("there is bash");
    assert!(found.status.success(), "these tests need PostgreSQL");
    String::from_utf8_lossy(&found.stdout).trim_end().into()
}
