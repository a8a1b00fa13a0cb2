//! Tasks of ten checkpoints each: their records through the store into sealed Parquet, and a page of them back.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use phasegrid_coordinator::archive::{Archive, SealedReader};
use phasegrid_coordinator::scheduler::SweepKey;
use phasegrid_coordinator::store::Reader as _;
use phasegrid_coordinator::store::sqlite::SqliteStore;
use phasegrid_proto::place::Place;
use phasegrid_proto::v1;
use prost::Message as _;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::server::{Server, Way};
use crate::worker::{self, Client};
use crate::{Result, bench, sweeps};

/// Checkpoints of a task.
const CHECKPOINTS: u64 = 10;
/// Workers, each of which has a lease's records on their way while it ends the points of the one before.
const WORKERS: u64 = 16;
/// Points of a page, as the table's reader asks for them.
const PAGE: usize = 1000;
/// Of a sweep that has ended so many records stay rows at most.
const STAY: u64 = 4096;

/// So many tasks through a coordinator, and pages of their results.
pub(crate) async fn run(folder: &Path, tasks: u64) -> Result<()> {
    bench("disk_write", write_rate(folder)?, "MB/s");
    let data = tempfile::tempdir_in(folder)?;
    let server = Server::start(data.path())?;
    let mut client = sweeps::client(&server.people).await?;
    let (_, tasks) = sweeps::submit(&mut client, tasks).await?;
    let (start, processor) = (Instant::now(), server.processor()?);
    let workers: Vec<_> =
        (0..WORKERS).map(|number| tokio::spawn(work(server.workers.clone(), format!("r{number}")))).collect();
    let mut finished = 0;
    for worker in workers {
        finished += worker.await??;
    }
    if finished != tasks {
        return Err(format!("{finished} of {tasks} tasks were finished").into());
    }
    let records = (tasks * CHECKPOINTS) as f64;
    bench("records_durable", records / start.elapsed().as_secs_f64(), "records/s");
    let sealed = sealed(data.path(), tasks * CHECKPOINTS).await?;
    let seconds = start.elapsed().as_secs_f64();
    bench("records_sealed", sealed.rows as f64 / seconds, "records/s");
    bench("records_sealed_segments", sealed.segments as f64, "files");
    bench("records_sealed_size", sealed.bytes as f64 / sealed.rows as f64, "B/record");
    bench("records_message_size", record(1, 1).encoded_len() as f64, "B/record");
    bench("records_sealed_rate", sealed.bytes as f64 / seconds / 1e6, "MB/s");
    bench("records_coordinator_processor", (server.processor()? - processor) / records * 1e6, "us/record");
    bench("records_coordinator_memory", server.peak_memory()?, "MB");
    drop(client);
    server.stop()?;
    let database = std::fs::metadata(data.path().join("phasegrid.db"))?.len();
    bench("records_database", database as f64 / records, "B/record");
    let data = data.path().to_owned();
    tokio::task::spawn_blocking(move || read_pages(&data, tasks, &sealed)).await?
}

/// What lies in the archive.
pub(crate) struct Sealed {
    segments: u64,
    rows: u64,
    bytes: u64,
}

/// Waits until all but the rest that stays in the database is sealed.
pub(crate) async fn sealed(data: &Path, records: u64) -> Result<Sealed> {
    let database = Connection::open_with_flags(data.join("phasegrid.db"), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    loop {
        let sums = "SELECT count(*), coalesce(sum(row_count), 0), coalesce(sum(byte_count), 0) FROM segment";
        let sealed = database
            .query_row(sums, [], |row| Ok(Sealed { segments: row.get(0)?, rows: row.get(1)?, bytes: row.get(2)? }))?;
        let is_rest = sealed.rows + STAY > records;
        if is_rest && (sealed.rows > 0 || records < STAY) {
            return Ok(sealed);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Reads a page from the middle, the one behind it, and one point.
fn read_pages(data: &Path, tasks: u64, sealed: &Sealed) -> Result<()> {
    let store = SqliteStore::open(data)?;
    let archive = Archive::at(&Place::folder(&data.join("archive")))?;
    let mut reader = SealedReader::new(store.reader()?, archive);
    let middle = tasks / 2;
    for (name, from, limit) in [("first", middle, PAGE), ("next", middle + PAGE as u64, PAGE), ("point", middle + 3, 1)]
    {
        let (start, before) = (Instant::now(), bytes_read()?);
        let page = reader.results(SweepKey(1), from, limit)?;
        let seconds = start.elapsed().as_secs_f64();
        if page.len() != limit || page.iter().any(|result| result.records.len() as u64 != CHECKPOINTS) {
            return Err(format!("the {name} page is not whole").into());
        }
        bench(&format!("records_page_{name}"), seconds * 1e3, "ms");
        // What is read of the database is counted too.
        let share = (bytes_read()? - before) as f64 / sealed.bytes as f64;
        bench(&format!("records_page_{name}_read"), share * 1e6, "millionths of the archive");
    }
    Ok(())
}

/// Bytes that this process has read so far, from wherever.
fn bytes_read() -> Result<u64> {
    let io = std::fs::read_to_string("/proc/self/io")?;
    let line = io.lines().find_map(|line| line.strip_prefix("rchar: ")).ok_or("no rchar")?;
    Ok(line.parse()?)
}

/// What the disk takes of one long file, until it is durable.
fn write_rate(folder: &Path) -> Result<f64> {
    let (piece, pieces) = (vec![0xa5_u8; 4 << 20], 64);
    let mut file = tempfile::tempfile_in(folder)?;
    let start = Instant::now();
    (0..pieces).try_for_each(|_| file.write_all(&piece))?;
    file.sync_all()?;
    Ok((piece.len() * pieces) as f64 / start.elapsed().as_secs_f64() / 1e6)
}

/// Works until there is nothing left. Returns how many tasks it finished.
async fn work(way: Way, worker_id: String) -> Result<u64> {
    let (mut client, _) = worker::join(&way, &worker_id).await?;
    let (requests, stream) = mpsc::channel(1);
    let mut reports = client.clone();
    let answers =
        tokio::spawn(async move { Result::Ok(reports.report(ReceiverStream::new(stream)).await?.into_inner()) });
    let (sent, mut unfinished) = mpsc::channel(1);
    let fetching = tokio::spawn(fetch(client.clone(), worker_id, requests, sent));
    let (mut answers, mut finished) = (answers.await??, 0);
    while let Some((token, points)) = unfinished.recv().await {
        let answer = answers.message().await?.ok_or("the stream of reports ended")?;
        worker::accepted(answer.verdict())?;
        finished += points.len() as u64;
        let completed = v1::Completed { records: CHECKPOINTS };
        let outcome = |point| v1::Outcome { point, outcome: Some(v1::outcome::Outcome::Completed(completed)) };
        let request = v1::FinishRequest { token, outcomes: points.into_iter().map(outcome).collect() };
        worker::accepted(client.finish(request).await?.into_inner().verdict())?;
    }
    fetching.await??;
    Ok(finished)
}

/// Asks for one lease after the other, and reports all its records, until none comes.
async fn fetch(
    mut client: Client,
    worker_id: String,
    requests: mpsc::Sender<v1::ReportRequest>,
    sent: mpsc::Sender<(String, Vec<u64>)>,
) -> Result<()> {
    loop {
        let request = v1::LeaseRequest { worker_id: worker_id.clone(), wait: None };
        let Some(lease) = client.lease(request).await?.into_inner().lease else { return Ok(()) };
        let points: Vec<u64> = lease.tasks.iter().map(|task| task.point).collect();
        let records = |point| (1..=CHECKPOINTS).map(|step| record(point, step * 10)).collect();
        let reported = points.iter().map(|&point| v1::PointRecords { point, records: records(point) }).collect();
        requests.send(v1::ReportRequest { token: lease.token.clone(), points: reported }).await?;
        sent.send((lease.token, points)).await?;
    }
}

/// A record with all that a plain sweep measures: losses, accuracies, an estimate with its settings. Its numbers have as many
/// digits as measured ones.
fn record(point: u64, step: u64) -> v1::Record {
    let measured = |salt: u64| Some(((point.wrapping_mul(2_654_435_761) + step * 97 + salt) as f64).sin());
    let settings = v1::SamplerSettings {
        preset: String::new(),
        step_size: Some(5e-4),
        localization: 5.0,
        nbeta: 26.38,
        chains: 3,
        burn_in: 100,
        draws: 500,
        batch_size: 128,
        method: "sgld".to_owned(),
        layer: 0,
        initial_loss: "whole".to_owned(),
    };
    let estimate = v1::Estimate {
        llc: measured(1),
        llc_se: measured(2),
        r_hat: measured(3),
        ess: measured(4),
        drift: measured(5),
        below_initial: measured(6),
        distance: measured(7),
        initial_loss: measured(8),
        stiffness: measured(9),
        settings: Some(settings),
        health: v1::Health::Ok.into(),
        ..Default::default()
    };
    v1::Record {
        step,
        train_loss: measured(10),
        val_loss: measured(11),
        train_loss_reported: measured(12),
        val_loss_reported: measured(13),
        train_accuracy: measured(14),
        val_accuracy: measured(15),
        weight_norm: measured(16),
        ipr: measured(17),
        estimates: vec![estimate],
        ..Default::default()
    }
}
