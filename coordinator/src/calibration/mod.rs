//! Calibration of a sweep's sampler: which step size ε, localisation γ and inverse temperature nβ give an LLC that is the
//! network's and not the sampler's. Pure: no file, network, clock or chance.
//!
//! What is done by hand with plots of the LLC against ε for each nβ: one looks for the region in which chains neither
//! diverge nor leave, have mixed, and the estimate does not depend on ε, and takes a large ε in it.
//!
//! In the order in which data flows: a [`Scan`] makes a sweep of its own out of a few points and checkpoints of the sweep,
//! sampled with every setting of a [`Grid`]; [`Estimates`] are read from its records; a [`Map`] judges every setting by its
//! [`Verdict`], finds plateaus and makes the [`Choice`]; [`advice`] says what to try where there is none; [`calibrated`] is
//! the sweep file with the chosen sampler.

mod advice;
mod estimates;
mod file;
mod grid;
mod map;
mod scan;
#[cfg(test)]
mod tests;
mod verdict;

pub use advice::{advice, regions, short};
pub use estimates::{Estimate, Estimates, Site, judged};
pub use file::{Setting, calibrated, chosen, sampler_overrides};
pub use grid::{Grid, Level, Node, Values};
pub use map::{Choice, Map, Plateau};
pub use scan::{Request, Scan, ScanError};
pub use verdict::{Slope, Verdict};
