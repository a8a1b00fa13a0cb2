//! What must hold whatever bytes come in: one function a door, which panics where it does not.
//!
//! The bytes are made by proptest in `tests.rs`, a bounded number of them wherever tests run, and by libFuzzer in
//! `tests/fuzz`, for as long as one likes (`make fuzz`).

mod messages;
#[cfg(test)]
mod tests;
mod texts;

pub use crate::store::garbage::blob;
pub use messages::Doors;
pub use texts::{address, sweep_file, task};
