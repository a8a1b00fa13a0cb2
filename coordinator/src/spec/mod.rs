//! spec

mod phase_rule;

pub use phase_rule::{CullenThresholds, LiuThresholds, PhaseRule};
