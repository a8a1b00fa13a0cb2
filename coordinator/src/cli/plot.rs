//! `plot`: a sweep's phase diagram as a picture.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::plot;
use crate::results::Level;

use super::Global;
use super::client::Client;
use super::failure::Failure;
use super::output::write_file;

/// The width of a PNG, in pixels.
pub(super) const WIDTH: u32 = 1600;

/// Draw a sweep's phase diagram
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  phasegrid plot $ID --output diagram.svg\n  phasegrid plot $ID --output llc.png --value llc"
)]
pub(super) struct Plot {
    /// The sweep
    id: String,
    /// The picture to write, FILE.svg or FILE.png
    #[arg(long, short, value_name = "FILE", value_parser = picture)]
    output: PathBuf,
    /// What colours the cells: phase, or a numeric column of the cells
    #[arg(long, default_value = "phase")]
    value: String,
}

impl Plot {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let mut client = Client::connect(&global.coordinator).await?;
        let spec = client.spec(&self.id).await?;
        let (cells, tasks) = (client.table(&self.id, Level::Cells).await?, client.table(&self.id, Level::Tasks).await?);
        let svg = plot::diagram(&spec, &cells, &tasks);
        let data = if is_png(&self.output) { plot::png(&svg, WIDTH) } else { svg.into_bytes() };
        write_file(&self.output, &data)
    }
}

fn is_png(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "png")
}

fn picture(name: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(name);
    let svg = path.extension().is_some_and(|extension| extension == "svg");
    if svg || is_png(&path) { Ok(path) } else { Err("FILE.svg and FILE.png are accepted".to_owned()) }
}
