//! Figures: the phase diagram as SVG and PNG, and as text for a terminal. What is drawn comes from tables, so that a
//! client draws what it was sent; the [`Layout`](crate::results::Layout) says what the axes are.

mod calibration;
mod captions;
mod columns;
mod diagram;
mod line;
mod map;
mod palette;
mod png;
mod reading;
mod scale;
mod svg;
mod terminal;
mod trajectories;

pub use calibration::{Calibration, calibration_figure, calibration_text};
pub use diagram::{Drawing, diagram};
pub use png::png;
pub use terminal::terminal;

/// Height of the font of titles.
const LARGE: f64 = 16.0;
/// Height of the font of names.
const SMALL: f64 = 11.5;
/// Height of the font of ticks and explanations.
const TICK: f64 = 10.0;

/// Why there is no figure.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// The value is no numeric column of the cells' or the tasks' table.
    #[error("{name:?} is no value of a cell; accepted: {accepted}")]
    UnknownValue {
        /// What was asked for.
        name: String,
        /// What there is.
        accepted: String,
    },
    /// The picture would have no or too many pixels.
    #[error("a picture of {width} × {height} pixels cannot be drawn; accepted: 1 to 16384 pixels a side")]
    Size {
        /// Pixels from left to right.
        width: u32,
        /// Pixels from top to bottom.
        height: u32,
    },
    /// The PNG could not be made.
    #[error("could not draw the PNG: {0}")]
    Png(String),
}
