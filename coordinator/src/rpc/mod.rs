//! The edge: both gRPC services on one port.
//!
//! A handler takes the message out, converts it to what the [`Coordinator`] understands, calls one method and converts
//! the answer. Wire types of requests and answers end here; nothing is decided here.
//!
//! - [`server`]: the listening socket, limits, and how the server stops;
//! - `sweeps`, `workers`: the handlers of the two services;
//! - `tables`: a table as a stream;
//! - `convert`: domain types to messages and back; `refusal`: the one map from our refusals to gRPC codes.
//!
//! [`Coordinator`]: crate::service::Coordinator

mod convert;
mod refusal;
pub mod server;
mod sweeps;
pub(crate) mod tables;
#[cfg(test)]
mod tests;
pub(crate) mod workers;

/// The largest message that either side takes, in bytes.
pub const MESSAGE_LIMIT: usize = 64 << 20;

/// A stream of answers.
type Answers<T> = std::pin::Pin<Box<dyn tokio_stream::Stream<Item = Result<T, tonic::Status>> + Send>>;
