//! A table as a stream: the columns first, then rows, built page by page so that it is never held whole.

use futures_util::{Stream, StreamExt, stream};
use phasegrid_proto::task::TaskConfig;
use phasegrid_proto::v1;
use tokio::task::JoinHandle;
use tonic::Status;

use crate::results::{Cell, Column, Kind, Layout, Level, Table, TableBuilder, TaskResult};
use crate::service::{Coordinator, Refusal};
use crate::spec::Spec;

/// Rows of one message.
const ROWS: usize = 500;
/// Tasks whose records are read at once, at most: enough that a page costs more than asking for it.
const PAGE: usize = 1000;
/// Estimates that are read at once, about: two pages are in memory, of any sweep.
const PAGE_ESTIMATES: usize = 20_000;
/// Tasks that are looked at to see how many estimates each has, along all axes.
const SPECIMENS: u32 = 16;

/// The level that a request names.
pub(super) fn level(level: v1::TableLevel) -> Result<Level, Status> {
    match level {
        v1::TableLevel::Cells => Ok(Level::Cells),
        v1::TableLevel::Tasks => Ok(Level::Tasks),
        v1::TableLevel::Records => Ok(Level::Records),
        v1::TableLevel::Unspecified => Err(Status::invalid_argument("level: cells, tasks and records are accepted")),
    }
}

/// The level for a request.
#[must_use]
pub(crate) fn level_to_wire(level: Level) -> v1::TableLevel {
    match level {
        Level::Cells => v1::TableLevel::Cells,
        Level::Tasks => v1::TableLevel::Tasks,
        Level::Records => v1::TableLevel::Records,
    }
}

/// The sweep's table in parts.
pub(super) async fn read(
    coordinator: Coordinator,
    id: String,
    level: Level,
) -> Result<impl Stream<Item = Result<v1::ReadTableResponse, Status>>, Status> {
    let spec = coordinator.spec(&id).await?;
    let page = tokio::task::spawn_blocking({
        let spec = spec.clone();
        move || tasks_of_a_page(&spec)
    });
    let page = page.await.map_err(|_| Refusal::unreachable())?;
    let builder = TableBuilder::new(Layout::of(&spec), level);
    let columns = builder.columns().iter().map(column_to_wire).collect();
    let head = v1::ReadTableResponse { columns, rows: vec![] };
    let ahead = read_page(&coordinator, &id, 0, page);
    let reader = Reader { coordinator, id, page, ahead, builder: Some(builder), rows: vec![].into_iter() };
    let parts = stream::try_unfold(reader, |mut reader| async {
        let part = reader.part().await?;
        Ok(part.map(|part| (part, reader)))
    });
    Ok(stream::once(async { Ok(head) }).chain(parts))
}

/// How many tasks a page has, so that it takes about as much memory whatever they record.
fn tasks_of_a_page(spec: &Spec) -> usize {
    let shares = (0..=SPECIMENS).map(|part| f64::from(part) / f64::from(SPECIMENS));
    let heaviest = shares.filter_map(|share| spec.task(spec.along(share)).ok()).map(|task| estimates(&task)).max();
    (PAGE_ESTIMATES / heaviest.unwrap_or(1)).clamp(1, PAGE)
}

/// The estimates of a task over all its shards; a record without any counts as one.
fn estimates(task: &TaskConfig) -> usize {
    let mut whole = task.clone();
    whole.llc.iter_mut().for_each(|llc| llc.shard = None);
    let samplers = whole.llc.as_ref().map_or(0, |llc| llc.samplers.len());
    (whole.record_steps().len() + whole.llc_steps().len() * samplers).max(1)
}

/// Begins to read a page of results.
fn read_page(
    coordinator: &Coordinator,
    id: &str,
    from: u64,
    tasks: usize,
) -> JoinHandle<Result<Vec<TaskResult>, Refusal>> {
    let (coordinator, id) = (coordinator.clone(), id.to_owned());
    tokio::spawn(async move { coordinator.results(&id, from, tasks).await })
}

/// A table that is being read.
struct Reader {
    coordinator: Coordinator,
    id: String,
    /// Tasks of a page.
    page: usize,
    /// The page after those that the builder has: one is read while the one before it is put into the table.
    ahead: JoinHandle<Result<Vec<TaskResult>, Refusal>>,
    /// Gone when all points are read.
    builder: Option<TableBuilder>,
    /// Rows not yet sent.
    rows: std::vec::IntoIter<Vec<Cell>>,
}

impl Reader {
    /// The next rows, until there are none.
    async fn part(&mut self) -> Result<Option<v1::ReadTableResponse>, Status> {
        loop {
            if let Some(part) = part(&mut self.rows) {
                return Ok(Some(part));
            }
            let Some(mut builder) = self.builder.take() else { return Ok(None) };
            let page = (&mut self.ahead).await.map_err(|_| Refusal::unreachable())??;
            let rows = if let Some(last) = page.last() {
                self.ahead = read_page(&self.coordinator, &self.id, last.point + 1, self.page);
                page.iter().for_each(|result| builder.push(result));
                self.builder.insert(builder).take_rows()
            } else {
                builder.finish().rows
            };
            self.rows = rows.into_iter();
        }
    }
}

/// The first of these rows as a message; none if there are none.
fn part(rows: &mut std::vec::IntoIter<Vec<Cell>>) -> Option<v1::ReadTableResponse> {
    let rows: Vec<_> = rows.by_ref().take(ROWS).map(row_to_wire).collect();
    if rows.is_empty() { None } else { Some(v1::ReadTableResponse { columns: vec![], rows }) }
}

/// Adds a part of a stream to the table that it is part of. Rows that do not fit the columns are cut or filled up.
pub(crate) fn append(table: &mut Table, part: v1::ReadTableResponse) {
    table.columns.extend(part.columns.into_iter().map(column_from_wire));
    let width = table.columns.len();
    table.rows.extend(part.rows.into_iter().map(|row| {
        let mut cells: Vec<_> = row.cells.into_iter().map(cell_from_wire).collect();
        cells.resize(width, Cell::Missing);
        cells
    }));
}

fn column_to_wire(column: &Column) -> v1::Column {
    let kind = match column.kind {
        Kind::Text => v1::ColumnType::Text,
        Kind::Integer => v1::ColumnType::Integer,
        Kind::Real => v1::ColumnType::Real,
    };
    v1::Column { name: column.name.clone(), r#type: kind.into() }
}

fn column_from_wire(column: v1::Column) -> Column {
    let kind = match column.r#type() {
        v1::ColumnType::Integer => Kind::Integer,
        v1::ColumnType::Real => Kind::Real,
        v1::ColumnType::Text | v1::ColumnType::Unspecified => Kind::Text,
    };
    Column { name: column.name, kind }
}

fn row_to_wire(row: Vec<Cell>) -> v1::Row {
    use v1::cell::Value;
    let cell = |cell| match cell {
        Cell::Missing => None,
        Cell::Text(text) => Some(Value::Text(text)),
        Cell::Integer(integer) => Some(Value::Integer(integer)),
        Cell::Real(real) => Some(Value::Real(real)),
    };
    v1::Row { cells: row.into_iter().map(|value| v1::Cell { value: cell(value) }).collect() }
}

fn cell_from_wire(cell: v1::Cell) -> Cell {
    use v1::cell::Value;
    match cell.value {
        None => Cell::Missing,
        Some(Value::Text(text)) => Cell::Text(text),
        Some(Value::Integer(integer)) => Cell::Integer(integer),
        Some(Value::Real(real)) => Cell::real(real),
    }
}

#[cfg(test)]
mod tests {
    use phasegrid_tests::sweeps;

    use super::*;

    #[test]
    fn a_page_has_fewer_tasks_the_more_each_records() {
        let page = |rest: &str| tasks_of_a_page(&Spec::parse(&sweeps::trivial("map", rest), &[]).unwrap());
        let llc = "[task.llc]\npreset = \"authors_code\"\nbatch_size = 4\n";
        let seeds = "[axes]\nseed = { from = 0, count = 9 }\n";
        let every = |steps: u32| format!("[task.checkpoints]\nevery = {steps}\n");
        assert_eq!(page(&(every(50) + seeds)), 1000);
        let settings = |count: u32| format!("\"llc.localization\" = {{ from = 1, to = 5, points = {count} }}\n");
        // Step 0 and a hundred more, each with one record and a thousand estimates.
        assert_eq!(page(&(every(1) + llc + seeds + &settings(1000))), 1);
        assert_eq!(page(&(every(1) + llc + seeds + &settings(10))), 20_000 / (101 * 11));
        // The last values of the axes have the most steps.
        let steps = "train.steps = [1, 100]\n";
        assert_eq!(page(&(every(1) + llc + seeds + steps + &settings(10))), 20_000 / (101 * 11));
        assert_eq!(page(&(every(1) + llc + "shards = 4\n" + seeds + &settings(10))), 20_000 / (101 * 11));
    }

    #[test]
    fn a_table_arrives_as_it_was_sent_in_parts_of_at_most_500_rows() {
        let columns = [("task", Kind::Integer), ("state", Kind::Text), ("llc", Kind::Real)];
        let columns: Vec<_> = columns.map(|(name, kind)| Column { name: name.to_owned(), kind }).into();
        let row =
            |task| vec![Cell::Integer(task), Cell::Text("finished".to_owned()), Cell::real((task > 0).then_some(0.5))];
        let sent = Table { columns, rows: (0..1001).map(row).collect() };
        let mut received = Table::default();
        let columns = sent.columns.iter().map(column_to_wire).collect();
        append(&mut received, v1::ReadTableResponse { columns, rows: vec![] });
        let mut rows = sent.rows.clone().into_iter();
        let mut sizes = vec![];
        while let Some(part) = part(&mut rows) {
            sizes.push(part.rows.len());
            append(&mut received, part);
        }
        assert_eq!(sizes, [500, 500, 1]);
        assert_eq!(received, sent);
    }
}
