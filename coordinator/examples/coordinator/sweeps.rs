//! The sweeps that are measured: trivial tasks, which say nothing about networks.

use phasegrid_proto::connection::Connection;
use phasegrid_proto::v1;
use phasegrid_proto::v1::sweep_service_client::SweepServiceClient;

use crate::Result;
use crate::server::Way;

pub(crate) type Client = SweepServiceClient<Connection>;

/// Cells of the diagram, 25 by 40.
pub(crate) const CELLS: u64 = 1000;

/// A client for people.
pub(crate) async fn client(way: &Way) -> Result<Client> {
    Ok(SweepServiceClient::new(way.connect().await?).max_decoding_message_size(64 << 20))
}

/// Submits a sweep of as many tasks, rounded up to whole cells. Returns its id and how many there are.
pub(crate) async fn submit(client: &mut Client, tasks: u64) -> Result<(String, u64)> {
    let seeds = tasks.div_ceil(CELLS);
    let rest = format!(
        r#"
        [task]
        checkpoints = [100]
        [resources]
        device = "cpu"
        [axes]
        "train.learning_rate" = {{ from = 1e-4, to = 1e-2, points = 25, scale = "log" }}
        "train.weight_decay" = {{ from = 1e-6, to = 1e-2, points = 40, scale = "log" }}
        seed = {{ from = 0, count = {seeds} }}
        [diagram]
        x = "train.learning_rate"
        y = "train.weight_decay"
        "#
    );
    let source = phasegrid_tests::sweeps::trivial("trivial", &rest);
    let request = v1::CreateSweepRequest { request_id: "bench".to_owned(), source, ..Default::default() };
    let sweep = client.create_sweep(request).await?.into_inner().sweep.ok_or("no sweep")?;
    Ok((sweep.id, seeds * CELLS))
}

/// How far a sweep is.
pub(crate) async fn progress(client: &mut Client, id: &str) -> Result<v1::Progress> {
    let answer = client.get_sweep(v1::GetSweepRequest { id: id.to_owned() }).await?.into_inner();
    Ok(answer.sweep.and_then(|sweep| sweep.progress).ok_or("no progress")?)
}

/// Reads the table of cells. Returns its rows.
pub(crate) async fn cells(client: &mut Client, id: &str) -> Result<u64> {
    let request = v1::ReadTableRequest { id: id.to_owned(), level: v1::TableLevel::Cells.into() };
    let mut parts = client.read_table(request).await?.into_inner();
    let mut rows = 0;
    while let Some(part) = parts.message().await? {
        rows += part.rows.len() as u64;
    }
    Ok(rows)
}
