//! Who may do what: tokens, their roles, and the workers that they registered.
//!
//! Pure: no network, no store, no clock; the time is an argument. The [`service`](crate::service) keeps one [`Book`] and
//! makes its [`Change`]s durable, `rpc/` asks it at the door.
//!
//! - [`Role`]: what a token is for;
//! - [`Secret`]: what its holder sends, [`Digest`]: what is kept of it;
//! - [`Token`]: what is known of one; [`Book`]: all of them, and who speaks for which worker.

mod book;
mod role;
mod secret;
mod token;

pub use book::{Book, Caller, Denied};
pub use role::Role;
pub use secret::{Digest, Secret, TokenId};
pub use token::{Change, LONGEST_LIFETIME, Token, TokenEntry};
