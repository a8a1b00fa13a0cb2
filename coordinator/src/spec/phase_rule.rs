//! Which rule turns a task's curves into a phase, and with which thresholds. The rules themselves are in
//! [`crate::results::phases`].

/// A rule with its thresholds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PhaseRule {
    /// Liu et al. 2022 (arXiv 2205.10343).
    Liu2022(LiuThresholds),
    /// Cullen et al. 2026 (arXiv 2603.01192).
    Cullen2026(CullenThresholds),
}

/// Thresholds of [`PhaseRule::Liu2022`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LiuThresholds {
    /// The accuracy that counts as reached.
    pub accuracy: f64,
    /// The last step at which reaching it counts.
    pub within: u64,
    /// Steps between train and validation accuracy from which on it is grokking.
    pub delay: u64,
}

/// Thresholds of [`PhaseRule::Cullen2026`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CullenThresholds {
    /// Final validation accuracy below which a task did not generalise.
    pub generalised: f64,
    /// Largest gap between train and validation accuracy below which generalisation was immediate.
    pub gap: f64,
}

impl Default for LiuThresholds {
    fn default() -> Self {
        Self { accuracy: 0.9, within: 100_000, delay: 1000 }
    }
}

impl Default for CullenThresholds {
    fn default() -> Self {
        Self { generalised: 0.90, gap: 0.15 }
    }
}
