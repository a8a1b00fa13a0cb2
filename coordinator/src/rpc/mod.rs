//! The edge: all gRPC services on one port, with health, reflection and metrics.
//!
//! A handler takes the message out, converts it to what the [`Coordinator`] understands, calls one method and converts
//! the answer. Wire types of requests and answers end here; nothing is decided here.
//!
//! - [`server`]: the listening socket, limits, and how the server stops;
//! - [`tls`]: the certificate; `authorisation`: the door that every call passes; `roles`: who may call what;
//! - `sweeps`, `workers`, `tokens`: the handlers of the services; `pages`: what plain HTTP is answered;
//! - `metering` counts calls, `streams` bounds them, `guests` bounds connections;
//! - `tables`: a table as a stream;
//! - `convert`: domain types to messages and back; `refusal`: the one map from our refusals to gRPC codes.
//!
//! [`Coordinator`]: crate::service::Coordinator

mod authorisation;
mod convert;
#[cfg(any(test, fuzzing))]
pub(crate) mod exchange;
mod explain;
mod guests;
mod metering;
mod pages;
mod refusal;
mod roles;
pub mod server;
mod streams;
mod sweeps;
pub(crate) mod tables;
#[cfg(test)]
mod tests;
pub mod tls;
pub(crate) mod tokens;
pub(crate) mod workers;

/// The largest message that either side takes, in bytes.
pub const MESSAGE_LIMIT: usize = 64 << 20;

/// A stream of answers.
type Answers<T> = std::pin::Pin<Box<dyn tokio_stream::Stream<Item = Result<T, tonic::Status>> + Send>>;
