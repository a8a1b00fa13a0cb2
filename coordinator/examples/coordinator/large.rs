//! A sweep far larger than any list: submitted, half finished by ranges, and the coordinator killed and started again.

use std::path::Path;
use std::time::{Duration, Instant};

use phasegrid_coordinator::scheduler::{Change, Finish, LeaseKey, SweepKey};
use phasegrid_coordinator::store::sqlite::SqliteStore;
use phasegrid_coordinator::store::{Store, Write};

use crate::server::Server;
use crate::{Result, bench, sweeps};

/// Points that one lease covers here: there are none so large, but what they leave behind is the same.
const RANGE: u64 = 1 << 18;

pub(crate) async fn run(folder: &Path, points: u64) -> Result<()> {
    let data = tempfile::tempdir_in(folder)?;
    let server = Server::start(data.path())?;
    let mut client = sweeps::client(&server.people).await?;
    let start = Instant::now();
    let (id, points) = sweeps::submit(&mut client, points).await?;
    bench(&format!("submit_{points}_points"), start.elapsed().as_secs_f64(), "s");
    drop(client);
    server.stop()?;
    eprintln!("bench: finishing half of {points} points");
    finish(data.path(), points / 2)?;

    let server = Server::start(data.path())?;
    server.kill()?;
    let start = Instant::now();
    let server = Server::start(data.path())?;
    let mut client = sweeps::client(&server.people).await?;
    let progress = sweeps::progress(&mut client, &id).await?;
    bench(&format!("restart_{points}_points"), start.elapsed().as_secs_f64(), "s");
    bench(&format!("restart_{points}_points_memory"), server.peak_memory()?, "MB");
    if progress.finished != points / 2 {
        return Err(format!("{} points are finished, not {}", progress.finished, points / 2).into());
    }
    server.stop()
}

/// Finishes the first so many points as leases would, straight into the store. They have no records: a restart reads none.
fn finish(data: &Path, count: u64) -> Result<()> {
    let mut store = SqliteStore::open(data)?;
    for (epoch, first) in (1..).zip((0..count).step_by(usize::try_from(RANGE)?)) {
        let end = count.min(first + RANGE);
        let lease = LeaseKey { sweep: SweepKey(1), epoch };
        let granted =
            Change::Granted { lease, worker: "bench".into(), slots: 2, points: (first..end).collect(), next: end };
        let finished = (first..end).map(|point| Finish { point, attempts: 1 }).collect();
        let ended = Change::Ended { lease, finished, setbacks: Vec::new(), remain: (0..0).collect() };
        let time = std::time::UNIX_EPOCH + Duration::from_secs(epoch);
        store.commit(&[Write::Schedule(granted), Write::Schedule(ended)], time)?;
    }
    Ok(())
}
