//! Trivial tasks through the whole of the coordinator: leased, reported with one record each, finished; and their table.

use std::path::Path;
use std::time::Instant;

use crate::server::Server;
use crate::{Result, bench, disk, sweeps, worker};

/// So many workers do so many tasks; `table` reads the result as well.
pub(crate) async fn run(folder: &Path, workers: u64, tasks: u64, table: bool) -> Result<()> {
    let data = tempfile::tempdir_in(folder)?;
    let server = Server::start(data.path())?;
    let mut client = sweeps::client(&server.url).await?;
    let (id, tasks) = sweeps::submit(&mut client, tasks).await?;
    let (start, processor) = (Instant::now(), server.processor()?);
    let workers_at_work: Vec<_> =
        (0..workers).map(|number| tokio::spawn(worker::work(server.url.clone(), format!("w{number}")))).collect();
    let mut finished = 0;
    for worker in workers_at_work {
        finished += worker.await??;
    }
    let (seconds, processor) = (start.elapsed().as_secs_f64(), server.processor()? - processor);
    let progress = sweeps::progress(&mut client, &id).await?;
    if (finished, progress.finished) != (tasks, tasks) {
        return Err(format!("{finished} of {tasks} tasks were finished, and {} are stored", progress.finished).into());
    }
    let name = format!("trivial_workers_{workers}");
    let count = tasks as f64;
    bench(&name, count / seconds, "tasks/s");
    bench(&format!("{name}_coordinator_processor"), processor / count * 1e6, "us/task");
    bench(&format!("{name}_coordinator_memory"), server.peak_memory()?, "MB");
    if table {
        read_table(&server, &id, tasks).await?;
    }
    drop(client);
    server.stop()?;
    bench(&format!("{name}_disk"), disk::bytes(data.path())? as f64 / count, "B/task");
    Ok(())
}

async fn read_table(server: &Server, id: &str, tasks: u64) -> Result<()> {
    let mut client = sweeps::client(&server.url).await?;
    let start = Instant::now();
    let rows = sweeps::cells(&mut client, id).await?;
    bench(&format!("table_{tasks}_tasks_{rows}_cells"), start.elapsed().as_secs_f64(), "s");
    Ok(())
}
