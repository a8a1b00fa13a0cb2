//! Rules that label a task's curves with a phase. Pure functions: a phase is a view of what was recorded.

use super::curve::Curve;
use crate::spec::{CullenThresholds, LiuThresholds, PhaseRule};

/// A label of [`PhaseRule`]; each rule knows its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Liu: train and validation accuracy are reached with less than the delay between them.
    Comprehension,
    /// Liu: both are reached, validation at least the delay later. Cullen: generalised, after a gap.
    Grokking,
    /// Liu: the training accuracy alone is reached.
    Memorisation,
    /// Liu: neither is reached; also the case that has no name, validation without training.
    Confusion,
    /// Cullen: the final validation accuracy is too low.
    NoGeneralisation,
    /// Cullen: generalised, with validation never far behind.
    ImmediateGeneralisation,
}

impl Phase {
    /// The label in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Comprehension => "comprehension",
            Self::Grokking => "grokking",
            Self::Memorisation => "memorisation",
            Self::Confusion => "confusion",
            Self::NoGeneralisation => "no_generalisation",
            Self::ImmediateGeneralisation => "immediate_generalisation",
        }
    }
}

impl PhaseRule {
    /// The rule's name in a sweep file.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Liu2022(_) => "liu_2022",
            Self::Cullen2026(_) => "cullen_2026",
        }
    }

    /// The labels that the rule gives, in the order in which ties are settled.
    #[must_use]
    pub fn labels(&self) -> &'static [Phase] {
        match self {
            Self::Liu2022(_) => &[Phase::Comprehension, Phase::Grokking, Phase::Memorisation, Phase::Confusion],
            Self::Cullen2026(_) => &[Phase::NoGeneralisation, Phase::ImmediateGeneralisation, Phase::Grokking],
        }
    }

    /// The phase of a task's curves; `None` where the accuracies that the rule looks at were not measured.
    #[must_use]
    pub fn label(&self, curve: &Curve<'_>) -> Option<Phase> {
        match self {
            Self::Liu2022(thresholds) => liu_2022(curve, thresholds),
            Self::Cullen2026(thresholds) => cullen_2026(curve, thresholds),
        }
    }
}

/// Liu et al. 2022 (arXiv 2205.10343), section 4.
#[must_use]
pub fn liu_2022(curve: &Curve<'_>, thresholds: &LiuThresholds) -> Option<Phase> {
    if !curve.has_accuracies() {
        return None;
    }
    let in_time = |step: &u64| *step <= thresholds.within;
    let train = curve.train_reaches(thresholds.accuracy).filter(in_time);
    let val = curve.val_reaches(thresholds.accuracy).filter(in_time);
    Some(match (train, val) {
        (Some(train), Some(val)) if val.saturating_sub(train) < thresholds.delay => Phase::Comprehension,
        (Some(_), Some(_)) => Phase::Grokking,
        (Some(_), None) => Phase::Memorisation,
        (None, _) => Phase::Confusion,
    })
}

/// Cullen et al. 2026 (arXiv 2603.01192), figure 4.
#[must_use]
pub fn cullen_2026(curve: &Curve<'_>, thresholds: &CullenThresholds) -> Option<Phase> {
    let val = curve.last()?.val_accuracy?;
    let gap = curve.max_gap()?;
    Some(if val < thresholds.generalised {
        Phase::NoGeneralisation
    } else if gap < thresholds.gap {
        Phase::ImmediateGeneralisation
    } else {
        Phase::Grokking
    })
}

#[cfg(test)]
mod tests {
    use phasegrid_proto::v1::Record;

    use super::super::fixture::record;
    use super::*;

    fn liu(curve: &[(u64, f64, f64)]) -> Option<Phase> {
        liu_with(curve, LiuThresholds::default())
    }

    fn liu_with(curve: &[(u64, f64, f64)], thresholds: LiuThresholds) -> Option<Phase> {
        let records: Vec<Record> = curve.iter().map(|&(step, train, val)| record(step, train, val)).collect();
        liu_2022(&Curve::new(&records, None), &thresholds)
    }

    fn cullen(curve: &[(u64, f64, f64)]) -> Option<Phase> {
        let records: Vec<Record> = curve.iter().map(|&(step, train, val)| record(step, train, val)).collect();
        cullen_2026(&Curve::new(&records, None), &CullenThresholds::default())
    }

    #[test]
    fn liu_tells_comprehension_from_grokking_at_a_delay_of_exactly_a_thousand_steps() {
        assert_eq!(liu(&[(500, 0.9, 0.1), (1499, 1.0, 0.9)]), Some(Phase::Comprehension));
        assert_eq!(liu(&[(500, 0.9, 0.1), (1500, 1.0, 0.9)]), Some(Phase::Grokking));
    }

    #[test]
    fn liu_calls_validation_before_training_comprehension() {
        assert_eq!(liu(&[(0, 0.5, 0.95), (5000, 0.95, 0.95)]), Some(Phase::Comprehension));
    }

    #[test]
    fn liu_calls_training_alone_memorisation() {
        assert_eq!(liu(&[(500, 1.0, 0.1), (9000, 1.0, 0.89)]), Some(Phase::Memorisation));
    }

    #[test]
    fn liu_calls_neither_and_validation_without_training_confusion() {
        assert_eq!(liu(&[(500, 0.89, 0.1)]), Some(Phase::Confusion));
        assert_eq!(liu(&[(500, 0.89, 0.95)]), Some(Phase::Confusion));
    }

    #[test]
    fn liu_ignores_what_is_reached_too_late() {
        assert_eq!(liu(&[(500, 1.0, 0.1), (100_000, 1.0, 0.9)]), Some(Phase::Grokking));
        assert_eq!(liu(&[(500, 1.0, 0.1), (100_001, 1.0, 0.9)]), Some(Phase::Memorisation));
        assert_eq!(liu(&[(100_001, 1.0, 1.0)]), Some(Phase::Confusion));
    }

    #[test]
    fn liu_counts_what_was_reached_even_if_it_was_lost_again() {
        assert_eq!(liu(&[(10, 0.95, 0.95), (20, 0.1, 0.1)]), Some(Phase::Comprehension));
    }

    #[test]
    fn other_thresholds_give_other_phases_of_the_same_curve() {
        let curve = [(10, 0.92, 0.5), (60, 0.96, 0.93)];
        assert_eq!(liu(&curve), Some(Phase::Comprehension));
        let strict = LiuThresholds { delay: 50, ..LiuThresholds::default() };
        assert_eq!(liu_with(&curve, strict), Some(Phase::Grokking));
        let high = LiuThresholds { accuracy: 0.95, ..LiuThresholds::default() };
        assert_eq!(liu_with(&curve, high), Some(Phase::Memorisation));
    }

    #[test]
    fn without_accuracies_or_without_validation_examples_there_is_no_phase() {
        assert_eq!(liu(&[]), None);
        assert_eq!(cullen(&[]), None);
        let all_trained_on = [Record { step: 9, train_accuracy: Some(1.0), ..Record::default() }];
        let curve = Curve::new(&all_trained_on, None);
        assert_eq!(liu_2022(&curve, &LiuThresholds::default()), None);
        assert_eq!(cullen_2026(&curve, &CullenThresholds::default()), None);
    }

    #[test]
    fn cullen_looks_at_the_final_validation_accuracy_first() {
        assert_eq!(cullen(&[(0, 0.0, 0.0), (9, 1.0, 0.89)]), Some(Phase::NoGeneralisation));
        assert_eq!(cullen(&[(5, 1.0, 0.95), (9, 1.0, 0.89)]), Some(Phase::NoGeneralisation), "lost again");
        assert_eq!(cullen(&[(0, 0.0, 0.0), (9, 1.0, 0.90)]), Some(Phase::ImmediateGeneralisation));
    }

    #[test]
    fn cullen_tells_grokking_from_immediate_generalisation_by_the_largest_gap() {
        assert_eq!(cullen(&[(5, 0.625, 0.5), (9, 1.0, 1.0)]), Some(Phase::ImmediateGeneralisation));
        assert_eq!(cullen(&[(5, 0.75, 0.5), (9, 1.0, 1.0)]), Some(Phase::Grokking));
        assert_eq!(cullen(&[(5, 0.5, 0.75), (9, 1.0, 1.0)]), Some(Phase::ImmediateGeneralisation), "a lead is no gap");
    }
}
