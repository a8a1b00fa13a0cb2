//! The worker of phasegrid: trains networks and estimates their local learning coefficients, on libtorch.
//!
//! The modules stand in the order in which work flows: the [`process`] is what `main` starts, [`config`] says where the
//! coordinator is ([`identity`], [`cuda`] and [`telemetry`] settle who speaks, on which device and where it logs),
//! [`client`] talks to it, the [`runner`] turns leases into ensembles on slots and keeps [`snapshots`] of long tasks,
//! the [`engine`] runs an ensemble. Below the engine there is no network and no clock, only numerics: [`data`] and
//! [`models`] make an [`objective`], which is minimised ([`train`], [`optimizer`], [`metrics`]), sampled ([`sampler`],
//! [`estimate`], [`llc`]) and looked at closely ([`geometry`]). Numerics tell and ask through [`surroundings`] and
//! compute with [`permits`]; all chance comes from [`random`]; `host` lends tensors' memory to plain loops, and `panics`
//! reads what was caught.

pub mod process;

pub mod config;

pub mod identity;

pub mod cuda;

pub mod telemetry;

pub mod client;

pub mod runner;

pub mod snapshots;

pub mod engine;

pub mod data;

pub mod models;

pub mod objective;

pub mod optimizer;

pub mod train;

pub mod metrics;

mod sampler;

pub mod estimate;

pub mod llc;

pub mod geometry;

pub mod permits;

pub mod surroundings;

pub mod random;

pub mod host;

pub mod device_memory;
mod panics;

mod mkl;
