//! A process under test: its streams in files, its group under control.

use std::fs::{self, File};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::wait::{self, DEADLINE};

/// A running process. Dropping it kills it with everything that it started; if the test is failing, its streams are shown.
pub struct Process {
    name: String,
    child: Child,
    streams: [PathBuf; 2],
    /// What the process was told, for the reader of a failure.
    pub(crate) command: String,
}

impl Process {
    /// Starts the command in a process group of its own, with its streams in `folder/NAME.stdout` and `.stderr`.
    /// Settings of whoever runs the tests do not reach it.
    pub(crate) fn start(mut command: Command, name: &str, folder: &Path) -> Self {
        let streams = ["stdout", "stderr"].map(|stream| folder.join(format!("{name}.{stream}")));
        let [stdout, stderr] =
            streams.each_ref().map(|path| File::create(path).expect("the test's folder is writable"));
        for (key, _) in std::env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("PHASEGRID_")) {
            if !command.get_envs().any(|(set, _)| set == key) {
                command.env_remove(key);
            }
        }
        command.stdin(Stdio::null()).stdout(stdout).stderr(stderr).process_group(0);
        let text = format!("{command:?}").replace('"', "");
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {text}: {error}"));
        Self { name: name.to_owned(), child, streams, command: text }
    }

    /// What the process has written to stdout so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        read(&self.streams[0])
    }

    /// What the process has written to stderr so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        read(&self.streams[1])
    }

    /// Whether the process has not ended yet.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("the process is ours to wait for").is_none()
    }

    /// Asks the process to leave, as an engine does: SIGTERM.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ctrl-C in a terminal: SIGINT to the process and everything that it started.
    pub fn interrupt(&self) {
        kill_process_group(self.pid(), Signal::INT).expect("the group is ours to signal");
    }

    /// Ends the process at once, with no chance to say anything: SIGKILL. What it started lives on.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.wait();
    }

    /// Lets the process do nothing until it is thawed, without its knowing: SIGSTOP.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets a frozen process go on, as if no time had passed.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Waits for the process to end by itself.
    ///
    /// # Panics
    /// If it does not within the deadline.
    pub fn wait(&mut self) -> ExitStatus {
        let what = format!("{} ends", self.command);
        let child = &mut self.child;
        wait::until(&what, || child.try_wait().expect("the process is ours to wait for"))
    }

    /// Waits for the process to end by itself, and returns its exit code.
    ///
    /// # Panics
    /// If it does not within the deadline, or if a signal ended it.
    pub fn exit_code(&mut self) -> i32 {
        let status = self.wait();
        status.code().unwrap_or_else(|| panic!("{} was ended by signal {:?}", self.command, status.signal()))
    }

    /// The ids of the processes that this one has started and that have not ended.
    ///
    /// # Panics
    /// If there is no `/proc` to read them from.
    #[must_use]
    pub fn children(&self) -> Vec<u32> {
        children(self.child.id())
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the process is ours to signal");
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails where nobody is left in the group, which is as well.
        let _ = kill_process_group(self.pid(), Signal::KILL);
        let child = &mut self.child;
        wait::within(DEADLINE, || child.try_wait().ok().flatten());
        if std::thread::panicking() {
            eprintln!("---- {}: {}", self.name, self.command);
            for (stream, text) in [("stdout", self.stdout()), ("stderr", self.stderr())] {
                let lines: Vec<&str> = text.lines().collect();
                let shown = lines.len().saturating_sub(60);
                lines[shown..].iter().for_each(|line| eprintln!("{stream} | {line}"));
            }
        }
    }
}

/// The processes that one has started and that have not ended.
pub(crate) fn children(id: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").expect("processes are listed in /proc").flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|child| parent(*child) == Some(id)).collect()
}

/// The id of a process's parent; `None` if the process has ended.
fn parent(id: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // ID (NAME) STATE PARENT …, where the name may hold anything.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let ended = fields.next()? == "Z";
    fields.next()?.parse().ok().filter(|_| !ended)
}

/// Whether the process with this id has not ended.
#[must_use]
pub fn lives(id: u32) -> bool {
    parent(id).is_some()
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}
