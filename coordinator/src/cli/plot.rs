//! `plot`: a sweep's phase diagram as a picture.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::plot::{self, Drawing, PlotError};
use crate::results::{Layout, Level};

use super::client::Remote;
use super::failure::Failure;
use super::output::write_file;

/// The width of a PNG, in pixels.
const WIDTH: u32 = 1600;
/// The largest sweep whose records are fetched for the sake of a few trajectories.
const TRAJECTORIES: u64 = 10_000;

/// Draw a sweep's phase diagram
///
/// Where the sweep is not too large, trajectories of typical tasks are drawn below.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  phasegrid plot $ID --output diagram.svg\n  \
    phasegrid plot $ID --output delay.png --value delay_90")]
pub(super) struct Plot {
    /// The sweep
    id: String,
    /// The picture to write, FILE.svg or FILE.png
    #[arg(long, short, value_name = "FILE", value_parser = picture)]
    output: PathBuf,
    /// What is drawn beside the phases: a numeric column of the tasks or cells, or "phase" for the phases alone
    /// [default: the LLC, else the validation accuracy]
    #[arg(long, value_name = "COLUMN")]
    value: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

impl Plot {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let mut client = self.remote.connect().await?;
        let spec = client.spec(&self.id).await?;
        let (cells, tasks) = (client.table(&self.id, Level::Cells).await?, client.table(&self.id, Level::Tasks).await?);
        let records =
            if spec.size() > TRAJECTORIES { None } else { Some(client.table(&self.id, Level::Records).await?) };
        let (layout, value) = (&Layout::of(&spec), self.value.as_deref());
        let svg = drawn(&Drawing { layout, cells: &cells, tasks: &tasks, records: records.as_ref(), value })?;
        let data = if is_png(&self.output) { png(&svg)? } else { svg.into_bytes() };
        write_file(&self.output, &data)
    }
}

/// The diagram as SVG.
pub(super) fn drawn(drawing: &Drawing<'_>) -> Result<String, Failure> {
    plot::diagram(drawing).map_err(|error| match error {
        PlotError::UnknownValue { .. } => Failure::Usage(format!("--value: {error}")),
        PlotError::Size { .. } | PlotError::Png(_) => anyhow::Error::new(error).into(),
    })
}

/// The diagram as PNG.
pub(super) fn png(svg: &str) -> Result<Vec<u8>, Failure> {
    Ok(plot::png(svg, WIDTH).map_err(anyhow::Error::new)?)
}

fn is_png(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "png")
}

fn picture(name: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(name);
    let svg = path.extension().is_some_and(|extension| extension == "svg");
    if svg || is_png(&path) { Ok(path) } else { Err("FILE.svg and FILE.png are accepted".to_owned()) }
}
