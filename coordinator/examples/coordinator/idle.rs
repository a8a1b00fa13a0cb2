//! Very many workers that hold a lease each and send heartbeats, and others that wait for work: no lease may be lost.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use phasegrid_proto::v1;
use tokio::sync::Semaphore;

use crate::server::{Door, Server, Way};
use crate::worker::{self, Client};
use crate::{Result, bench, sweeps};

/// Workers that connect at the same time.
const JOINING: usize = 64;

/// What one worker saw.
#[derive(Default)]
struct Seen {
    lost: u64,
    latencies: Vec<Duration>,
}

pub(crate) async fn run(folder: &Path, workers: u64, waiting: u64, time: Duration) -> Result<()> {
    let (data, tls) = (tempfile::tempdir_in(folder)?, tempfile::tempdir_in(folder)?);
    let server = Server::start_behind(Door::Secured, data.path(), tls.path())?;
    let mut client = sweeps::client(&server.people).await?;
    let (id, _) = sweeps::submit(&mut client, 100 * workers).await?;
    let start = Instant::now();
    let gate = Arc::new(Semaphore::new(JOINING));
    let end = start + time;
    let way = || (server.workers.clone(), Arc::clone(&gate));
    let holding = (0..workers).map(|number| {
        let (way, gate) = way();
        tokio::spawn(hold(way, format!("w{number}"), gate, end))
    });
    let others = (0..waiting).map(|number| {
        let (way, gate) = way();
        tokio::spawn(wait(way, format!("v{number}"), gate, end))
    });
    let holding: Vec<_> = holding.chain(others).collect();
    let mut seen = Vec::new();
    for worker in holding {
        seen.push(worker.await??);
    }
    let share = server.processor()? / start.elapsed().as_secs_f64();
    let mut latencies: Vec<_> = seen.iter().flat_map(|seen| seen.latencies.iter().copied()).collect();
    latencies.sort_unstable();
    let at = |share: f64| latencies.get((share * (latencies.len() - 1) as f64) as usize).copied().unwrap_or_default();
    let leased = sweeps::progress(&mut client, &id).await?.leased;
    let beside = if waiting > 0 { format!("_and_{waiting}_waiting") } else { String::new() };
    let name = format!("idle_workers_{workers}{beside}");
    bench(&format!("{name}_leases_lost"), seen.iter().map(|seen| seen.lost).sum::<u64>() as f64, "leases");
    bench(&format!("{name}_points_leased_at_the_end"), leased as f64, "points");
    bench(&format!("{name}_heartbeats"), latencies.len() as f64 / time.as_secs_f64(), "/s");
    bench(&format!("{name}_heartbeat_median"), at(0.5).as_secs_f64() * 1e3, "ms");
    bench(&format!("{name}_heartbeat_99"), at(0.99).as_secs_f64() * 1e3, "ms");
    bench(&format!("{name}_heartbeat_longest"), at(1.0).as_secs_f64() * 1e3, "ms");
    bench(&format!("{name}_coordinator_processor"), share * 100.0, "%");
    bench(&format!("{name}_coordinator_memory"), server.peak_memory()?, "MB");
    server.stop()
}

/// Takes a lease and keeps it until the end.
async fn hold(way: Way, worker_id: String, gate: Arc<Semaphore>, end: Instant) -> Result<Seen> {
    let joining = gate.acquire().await?;
    let (mut client, terms) = worker::join(&way, &worker_id).await?;
    let request = v1::LeaseRequest { worker_id: worker_id.clone(), wait: None };
    let lease = client.lease(request).await?.into_inner().lease.ok_or("no lease")?;
    drop(joining);
    let held = v1::HeldLease { token: lease.token, running: Vec::new() };
    beat(client, worker_id, vec![held], &terms, end).await
}

/// Sends heartbeats until the end.
async fn beat(
    mut client: Client,
    worker_id: String,
    leases: Vec<v1::HeldLease>,
    terms: &v1::RegisterResponse,
    end: Instant,
) -> Result<Seen> {
    let interval = Duration::try_from(terms.heartbeat_interval.ok_or("no interval")?)?;
    let mut seen = Seen::default();
    let mut beats = tokio::time::interval(interval);
    while Instant::now() < end {
        beats.tick().await;
        let start = Instant::now();
        let request = v1::HeartbeatRequest { worker_id: worker_id.clone(), leases: leases.clone() };
        let answer = client.heartbeat(request).await?.into_inner();
        seen.latencies.push(start.elapsed());
        seen.lost += answer.dropped_tokens.len() as u64;
    }
    Ok(seen)
}

/// Waits for work that its device does not suit, until the end.
async fn wait(way: Way, worker_id: String, gate: Arc<Semaphore>, end: Instant) -> Result<Seen> {
    let joining = gate.acquire().await?;
    let (client, terms) = worker::join_with(&way, &worker_id, "cuda:0").await?;
    drop(joining);
    let (mut asking, id) = (client.clone(), worker_id.clone());
    let asking = tokio::spawn(async move {
        while Instant::now() < end {
            let left = end.saturating_duration_since(Instant::now()).min(Duration::from_secs(30));
            let request = v1::LeaseRequest { worker_id: id.clone(), wait: left.try_into().ok() };
            if asking.lease(request).await?.into_inner().lease.is_some() {
                return Err("there was to be no work".into());
            }
        }
        Result::Ok(())
    });
    let seen = beat(client, worker_id, Vec::new(), &terms, end).await;
    asking.await??;
    seen
}
