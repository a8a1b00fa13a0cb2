//! The coordinator of phasegrid and its command line, without libtorch.
//!
//! The modules stand in the order in which data flows: a sweep file becomes a [`spec`], the spec a lazily indexed
//! [`space`]; the [`scheduler`] leases ranges of it, the [`store`] keeps what workers report and who has [`access`], the
//! [`archive`] what of it has become history; the [`service`] joins the
//! two, [`rpc`] opens them to the network. On reading, [`results`] turn records into cells and phases,
//! [`calibration`] those of a scan into a choice of sampler, and [`plot`] draws them. [`cli`] is how people get at it all.

pub mod spec;

pub mod space;

pub mod work;

pub mod scheduler;

pub mod access;

pub mod store;

pub mod archive;

pub mod service;

pub mod rpc;

pub mod certificates;

pub mod results;

pub mod calibration;

pub mod plot;

pub mod cli;

pub mod config;

pub mod clock;

pub mod telemetry;

pub mod metrics;

mod stopping;

#[cfg(test)]
mod simulation;

#[doc(hidden)]
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
