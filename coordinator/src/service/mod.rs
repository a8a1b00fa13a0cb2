//! What the coordinator does for people and workers.
pub mod view;
