//! A simulated worker: it speaks as `phasegrid-worker` does and computes nothing. While the records of one lease are on
//! their way to the disk the next is fetched, and points are finished when their records are acknowledged.

use phasegrid_proto::connection::Connection;
use phasegrid_proto::v1::worker_service_client::WorkerServiceClient;
use phasegrid_proto::{NUMERICS_VERSION, v1};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::Result;
use crate::server::Way;

pub(crate) type Client = WorkerServiceClient<Connection>;

/// Leases that are on their way from one of a worker's parts to the next.
const AHEAD: usize = 2;

/// Connects and registers a worker of two slots on a CPU.
pub(crate) async fn join(way: &Way, worker_id: &str) -> Result<(Client, v1::RegisterResponse)> {
    join_with(way, worker_id, "cpu").await
}

/// Connects and registers a worker of two slots on some device.
pub(crate) async fn join_with(way: &Way, worker_id: &str, device: &str) -> Result<(Client, v1::RegisterResponse)> {
    let mut client = WorkerServiceClient::new(way.connect().await?).max_decoding_message_size(64 << 20);
    let registration = v1::RegisterRequest {
        worker_id: worker_id.to_owned(),
        slots: 2,
        device: device.to_owned(),
        numerics_version: NUMERICS_VERSION,
        memory_bytes: 0,
    };
    let terms = client.register(registration).await?.into_inner();
    Ok((client, terms))
}

/// Works until there is nothing left, with so many records a message at most. Returns how many tasks it finished.
pub(crate) async fn work(way: Way, worker_id: String, at_most: usize) -> Result<u64> {
    let (client, _) = join(&way, &worker_id).await?;
    let (leased, to_report) = mpsc::channel(AHEAD);
    let (reported, to_finish) = mpsc::channel(AHEAD);
    let fetching = tokio::spawn(fetch(client.clone(), worker_id, leased));
    let reporting = tokio::spawn(report(client.clone(), at_most, to_report, reported));
    let finished = finish(client, to_finish).await;
    reporting.await??;
    fetching.await??;
    finished
}

/// Asks for one lease after the other, until none comes.
async fn fetch(mut client: Client, worker_id: String, leased: mpsc::Sender<v1::LeasedRange>) -> Result<()> {
    loop {
        let request = v1::LeaseRequest { worker_id: worker_id.clone(), wait: None };
        let Some(lease) = client.lease(request).await?.into_inner().lease else { return Ok(()) };
        leased.send(lease).await?;
    }
}

/// Reports one record of each point, over one stream, and passes on what is durable.
async fn report(
    mut client: Client,
    at_most: usize,
    mut leases: mpsc::Receiver<v1::LeasedRange>,
    reported: mpsc::Sender<(String, Vec<u64>)>,
) -> Result<()> {
    let Some(first) = leases.recv().await else { return Ok(()) };
    let (requests, stream) = mpsc::channel(AHEAD);
    let (sent, mut unanswered) = mpsc::channel(AHEAD);
    let sending = tokio::spawn(async move {
        let mut next = Some(first);
        while let Some(lease) = next {
            let points: Vec<u64> = lease.tasks.iter().map(|task| task.point).collect();
            let messages = points.len().div_ceil(at_most);
            for (number, part) in (1..).zip(points.chunks(at_most)) {
                let records = part.iter().map(|&point| v1::PointRecords { point, records: vec![record()] }).collect();
                requests.send(v1::ReportRequest { token: lease.token.clone(), points: records }).await?;
                // With the last of its messages all records of a lease are on their way.
                sent.send((number == messages).then(|| (lease.token.clone(), points.clone()))).await?;
            }
            next = leases.recv().await;
        }
        Result::Ok(())
    });
    let mut answers = client.report(ReceiverStream::new(stream)).await?.into_inner();
    while let Some(reported_whole) = unanswered.recv().await {
        let answer = answers.message().await?.ok_or("the stream of reports ended")?;
        accepted(answer.verdict())?;
        if let Some(lease) = reported_whole {
            reported.send(lease).await?;
        }
    }
    sending.await?
}

/// Ends the points whose records are durable. Returns how many.
async fn finish(mut client: Client, mut reported: mpsc::Receiver<(String, Vec<u64>)>) -> Result<u64> {
    let mut finished = 0;
    while let Some((token, points)) = reported.recv().await {
        finished += points.len() as u64;
        let completed =
            |point| v1::Outcome { point, outcome: Some(v1::outcome::Outcome::Completed(v1::Completed { records: 1 })) };
        let request = v1::FinishRequest { token, outcomes: points.into_iter().map(completed).collect() };
        accepted(client.finish(request).await?.into_inner().verdict())?;
    }
    Ok(finished)
}

fn record() -> v1::Record {
    v1::Record {
        step: 100,
        train_loss: Some(0.25),
        val_loss: Some(0.5),
        train_accuracy: Some(1.0),
        val_accuracy: Some(0.75),
        ..Default::default()
    }
}

pub(crate) fn accepted(verdict: v1::Verdict) -> Result<()> {
    if verdict == v1::Verdict::Accepted { Ok(()) } else { Err(format!("the coordinator answered {verdict:?}").into()) }
}
