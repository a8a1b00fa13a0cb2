//! The worker against a scripted coordinator: its client, its runner, and the process as a whole.

mod harness;

mod client;
mod process;
mod reclaim;
mod runner;
mod snapshots;
