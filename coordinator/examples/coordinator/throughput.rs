//! Trivial tasks through the whole of the coordinator: leased, reported with one record each, finished; and their table.

use std::path::Path;
use std::time::Instant;

use crate::server::{Door, Server};
use crate::{Result, bench, disk, records, sweeps, worker};

/// A run.
pub(crate) struct Load {
    pub(crate) workers: u64,
    pub(crate) door: Door,
    /// Records of a message.
    pub(crate) at_most: usize,
    /// Whether the table of the results is read as well.
    pub(crate) table: bool,
}

impl Load {
    /// What it is called among the figures: what distinguishes it from a run over TLS with whole leases in a message.
    fn name(&self) -> String {
        let plain = if self.door == Door::Open { "_plain" } else { "" };
        let small =
            if self.at_most == usize::MAX { String::new() } else { format!("_{}_records_a_message", self.at_most) };
        format!("trivial_workers_{}{plain}{small}", self.workers)
    }

    /// The workers do so many tasks.
    pub(crate) async fn run(&self, folder: &Path, tasks: u64) -> Result<()> {
        let (data, tls) = (tempfile::tempdir_in(folder)?, tempfile::tempdir_in(folder)?);
        let server = Server::start_behind(self.door, data.path(), tls.path())?;
        let mut client = sweeps::client(&server.people).await?;
        let (id, tasks) = sweeps::submit(&mut client, tasks).await?;
        let (start, processor) = (Instant::now(), server.processor()?);
        let work = |number| tokio::spawn(worker::work(server.workers.clone(), format!("w{number}"), self.at_most));
        let workers_at_work: Vec<_> = (0..self.workers).map(work).collect();
        let mut finished = 0;
        for worker in workers_at_work {
            finished += worker.await??;
        }
        let (seconds, processor) = (start.elapsed().as_secs_f64(), server.processor()? - processor);
        let progress = sweeps::progress(&mut client, &id).await?;
        if (finished, progress.finished) != (tasks, tasks) {
            return Err(
                format!("{finished} of {tasks} tasks were finished, and {} are stored", progress.finished).into()
            );
        }
        let name = self.name();
        let count = tasks as f64;
        bench(&name, count / seconds, "tasks/s");
        bench(&format!("{name}_coordinator_processor"), processor / count * 1e6, "us/task");
        bench(&format!("{name}_coordinator_memory"), server.peak_memory()?, "MB");
        if self.table {
            // What is still being sealed would share the machine with it.
            records::sealed(data.path(), tasks).await?;
            read_table(&server, &id, tasks).await?;
        }
        drop(client);
        server.stop()?;
        bench(&format!("{name}_disk"), disk::bytes(data.path())? as f64 / count, "B/task");
        Ok(())
    }
}

async fn read_table(server: &Server, id: &str, tasks: u64) -> Result<()> {
    let mut client = sweeps::client(&server.people).await?;
    let (start, processor) = (Instant::now(), server.processor()?);
    let rows = sweeps::cells(&mut client, id).await?;
    let name = format!("table_{tasks}_tasks_{rows}_cells");
    bench(&name, start.elapsed().as_secs_f64(), "s");
    bench(&format!("{name}_coordinator_processor"), server.processor()? - processor, "s");
    Ok(())
}
