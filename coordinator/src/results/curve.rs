//! A task's trajectory, condensed into numbers.
//!
//! Steps of reaching (`t_train_90`, …) are those of the first record at which the accuracy is at least the threshold, so
//! they are as fine as the checkpoints. A `final_` value is that of the last record; of an estimate, that of the last
//! record in which its sampler has one, since the LLC may be estimated at fewer checkpoints; of the geometry, likewise the
//! last that was measured. What never happened or was not measured is `None`.

use phasegrid_proto::task::TaskConfig;
use phasegrid_proto::v1::{Estimate, Record};

use super::known::Known;
use super::layout::Layout;
use super::measurements::{Measurement, Seen, classified, compared, estimate_of, health, measurements, sampled};
use super::table::{Cell, Column, Kind};

/// One task's records, in ascending steps, as one of its samplers sees them.
#[derive(Clone, Copy, Debug)]
pub struct Curve<'a> {
    records: &'a [Record],
    sampler: Option<usize>,
}

/// The final validation accuracy from which on grokking has a severity (arXiv 2603.01192).
const GSM_ACCURACY: f64 = 0.95;

impl<'a> Curve<'a> {
    /// The trajectory, with the estimates of one sampler.
    #[must_use]
    pub fn new(records: &'a [Record], sampler: Option<usize>) -> Self {
        Self { records, sampler }
    }

    /// The first step at which the training accuracy is at least `threshold`.
    #[must_use]
    pub fn train_reaches(&self, threshold: f64) -> Option<u64> {
        self.first_step(|record| record.train_accuracy, threshold)
    }

    /// The first step at which the validation accuracy is at least `threshold`.
    #[must_use]
    pub fn val_reaches(&self, threshold: f64) -> Option<u64> {
        self.first_step(|record| record.val_accuracy, threshold)
    }

    fn first_step(&self, accuracy: fn(&Record) -> Option<f64>, threshold: f64) -> Option<u64> {
        self.records.iter().find(|record| accuracy(record).is_some_and(|value| value >= threshold)).map(|r| r.step)
    }

    /// Steps from reaching 90 % on the training examples to reaching it on the validation examples; negative if the
    /// latter came first.
    #[must_use]
    pub fn delay_90(&self) -> Option<f64> {
        Some(self.val_reaches(0.90)? as f64 - self.train_reaches(0.90)? as f64)
    }

    /// Training minus validation accuracy, at each record that has both.
    fn gaps(&self) -> impl Iterator<Item = f64> {
        self.records.iter().filter_map(|record| Some(record.train_accuracy? - record.val_accuracy?))
    }

    /// The largest lead of training over validation accuracy.
    #[must_use]
    pub fn max_gap(&self) -> Option<f64> {
        self.gaps().max_by(f64::total_cmp)
    }

    /// Whether any record has both accuracies: without them no phase is defined.
    #[must_use]
    pub fn has_accuracies(&self) -> bool {
        self.gaps().next().is_some()
    }

    /// The grokking severity: 1{final validation accuracy ≥ 0.95} · mean over records of |train − validation accuracy|.
    #[must_use]
    pub fn gsm(&self) -> Option<f64> {
        let (sum, count) = self.gaps().fold((0.0, 0.0), |(sum, count), gap| (sum + gap.abs(), count + 1.0));
        let generalised = self.last()?.val_accuracy? >= GSM_ACCURACY;
        (count > 0.0).then_some(if generalised { sum / count } else { 0.0 })
    }

    /// The last record.
    #[must_use]
    pub fn last(&self) -> Option<&'a Record> {
        self.records.last()
    }

    fn estimates(&self) -> impl DoubleEndedIterator<Item = (u64, &'a Estimate)> + use<'a> {
        let sampler = self.sampler;
        self.records.iter().filter_map(move |record| Some((record.step, estimate_of(record, sampler)?)))
    }

    /// The sampler's last estimate.
    #[must_use]
    pub fn last_estimate(&self) -> Option<&'a Estimate> {
        self.estimates().next_back().map(|(_, estimate)| estimate)
    }

    /// The largest LLC and the first step that has it.
    #[must_use]
    pub fn llc_peak(&self) -> Option<(u64, f64)> {
        let llcs = self.estimates().filter_map(|(step, estimate)| Some((step, estimate.llc?)));
        llcs.reduce(|peak, next| if next.1 > peak.1 { next } else { peak })
    }

    /// The share of the sampler's estimates that are not healthy.
    #[must_use]
    pub fn unhealthy(&self) -> Option<f64> {
        let count = self.estimates().count();
        let unhealthy = self.estimates().filter(|(_, estimate)| health(estimate) != Some("ok")).count();
        (count > 0).then(|| unhealthy as f64 / count as f64)
    }

    /// What the sampler has at each record.
    fn seen(self, known: &'a Known) -> impl DoubleEndedIterator<Item = Seen<'a>> {
        let Self { records, sampler } = self;
        let seen = move |record| Seen { record: Some(record), estimate: estimate_of(record, sampler), known, sampler };
        records.iter().map(seen)
    }
}

/// A number that is derived from a whole trajectory.
struct Derived {
    name: &'static str,
    kind: Kind,
    /// Whether a task of this configuration has it.
    has: fn(&TaskConfig) -> bool,
    read: fn(&Curve<'_>) -> Option<f64>,
}

const fn real(name: &'static str, has: fn(&TaskConfig) -> bool, read: fn(&Curve<'_>) -> Option<f64>) -> Derived {
    Derived { name, kind: Kind::Real, has, read }
}

const fn steps(name: &'static str, has: fn(&TaskConfig) -> bool, read: fn(&Curve<'_>) -> Option<f64>) -> Derived {
    Derived { name, kind: Kind::Integer, has, read }
}

const DERIVED: [Derived; 13] = [
    steps("final_step", |_| true, |c| Some(c.last()?.step as f64)),
    real("llc_max", sampled, |c| Some(c.llc_peak()?.1)),
    steps("llc_max_step", sampled, |c| Some(c.llc_peak()?.0 as f64)),
    real("llc_unhealthy", sampled, |c| c.unhealthy()),
    steps("t_train_90", classified, |c| Some(c.train_reaches(0.90)? as f64)),
    steps("t_train_95", classified, |c| Some(c.train_reaches(0.95)? as f64)),
    steps("t_train_99", classified, |c| Some(c.train_reaches(0.99)? as f64)),
    steps("t_val_90", compared, |c| Some(c.val_reaches(0.90)? as f64)),
    steps("t_val_95", compared, |c| Some(c.val_reaches(0.95)? as f64)),
    steps("t_val_99", compared, |c| Some(c.val_reaches(0.99)? as f64)),
    steps("delay_90", compared, |c| c.delay_90()),
    real("max_gap", compared, |c| c.max_gap()),
    real("gsm", compared, |c| c.gsm()),
];

/// The numbers of a task: the final value of every measurement, and what is derived from its trajectory.
pub(super) struct Quantities {
    finals: Vec<&'static Measurement>,
    derived: Vec<&'static Derived>,
}

impl Quantities {
    /// Those that some task of a sweep has.
    pub(super) fn new(layout: &Layout) -> Self {
        const ALL: &[Derived] = &DERIVED;
        let derived = ALL.iter().filter(|derived| layout.any(derived.has)).collect();
        Self { finals: measurements(layout), derived }
    }

    /// Their columns among tasks.
    pub(super) fn columns(&self) -> impl Iterator<Item = Column> {
        let finals = self.finals.iter().map(|measured| Column::new(format!("final_{}", measured.name), measured.kind));
        finals.chain(self.derived.iter().map(|derived| Column::new(derived.name, derived.kind)))
    }

    /// Their values for a task, in the order of the columns.
    pub(super) fn of(&self, curve: Curve<'_>, known: &Known) -> Vec<Option<f64>> {
        let Curve { sampler, .. } = curve;
        let last = Seen { record: curve.last(), estimate: curve.last_estimate(), known, sampler };
        let finals = self.finals.iter().map(|measured| match measured.seldom {
            false => measured.read(&last),
            true => curve.seen(known).rev().find_map(|seen| measured.read(&seen)),
        });
        finals.chain(self.derived.iter().map(|derived| (derived.read)(&curve))).collect()
    }

    /// Their values as cells.
    pub(super) fn cells(&self, curve: Curve<'_>, known: &Known) -> impl Iterator<Item = Cell> {
        let kinds =
            self.finals.iter().map(|measured| measured.kind).chain(self.derived.iter().map(|derived| derived.kind));
        kinds.zip(self.of(curve, known)).map(|(kind, value)| Cell::of_kind(kind, value))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{estimate, record, small};
    use super::*;

    /// The numbers of a trajectory that are there, by name.
    fn numbers(curve: Curve<'_>) -> Vec<(String, f64)> {
        let quantities = Quantities::new(&small());
        let values = quantities.of(curve, &Known::default());
        quantities.columns().zip(values).filter_map(|(column, value)| Some((column.name, value?))).collect()
    }

    fn number(curve: Curve<'_>, wanted: &str) -> Option<f64> {
        numbers(curve).into_iter().find(|(name, _)| name == wanted).map(|(_, value)| value)
    }

    /// A run that memorises by step 100 and generalises at step 300.
    fn grokked() -> Vec<Record> {
        vec![record(0, 0.1, 0.1), record(100, 0.96, 0.2), record(200, 1.0, 0.5), record(300, 1.0, 0.96)]
    }

    #[test]
    fn a_threshold_is_reached_at_the_first_record_at_or_above_it() {
        let records = [record(0, 0.2, 0.1), record(50, 0.9, 0.3), record(100, 0.8, 0.9), record(150, 1.0, 0.9)];
        let curve = Curve::new(&records, None);
        assert_eq!(curve.train_reaches(0.9), Some(50));
        assert_eq!(curve.train_reaches(0.95), Some(150));
        assert_eq!(curve.val_reaches(0.9), Some(100));
        assert_eq!(curve.val_reaches(0.95), None);
        assert_eq!(curve.delay_90(), Some(50.0));
    }

    #[test]
    fn the_delay_is_negative_when_validation_came_first_and_missing_when_one_never_came() {
        let records = [record(0, 0.2, 0.95), record(50, 0.95, 0.95)];
        assert_eq!(Curve::new(&records, None).delay_90(), Some(-50.0));
        assert_eq!(Curve::new(&records[..1], None).delay_90(), None);
    }

    #[test]
    fn gap_and_severity_follow_their_definitions() {
        let records = grokked();
        let curve = Curve::new(&records, None);
        let close = |value: Option<f64>, expected: f64| (value.unwrap() - expected).abs() < 1e-15; // a few roundings
        assert!(close(curve.max_gap(), 0.96 - 0.2));
        assert!(close(curve.gsm(), (0.0 + 0.76 + 0.5 + 0.04) / 4.0));
        assert_eq!(Curve::new(&records[..3], None).gsm(), Some(0.0), "without generalisation there is no grokking");
    }

    #[test]
    fn without_accuracies_nothing_is_derived_from_them() {
        let records = [Record { step: 7, train_loss: Some(1.0), ..Record::default() }];
        let named = numbers(Curve::new(&records, None));
        assert_eq!(named, [("final_train_loss".to_owned(), 1.0), ("final_step".to_owned(), 7.0)]);
    }

    #[test]
    fn the_peak_is_the_first_of_the_largest_and_belongs_to_its_sampler() {
        let mut records = grokked();
        records[0].estimates = vec![estimate(0, 4.0), estimate(1, 40.0)];
        records[1].estimates = vec![estimate(0, 6.0), estimate(1, 30.0)];
        records[2].estimates = vec![estimate(0, 6.0), estimate(1, 20.0)];
        assert_eq!(Curve::new(&records, Some(0)).llc_peak(), Some((100, 6.0)));
        assert_eq!(Curve::new(&records, Some(1)).llc_peak(), Some((0, 40.0)));
        assert_eq!(Curve::new(&records, Some(2)).llc_peak(), None);
        assert_eq!(Curve::new(&records, None).llc_peak(), None);
    }

    #[test]
    fn the_final_llc_is_that_of_the_last_estimate_and_the_final_loss_that_of_the_last_record() {
        let mut records = grokked();
        records[2].estimates = vec![estimate(0, 6.0)];
        records[3].train_loss = Some(0.25);
        let value = |wanted: &str| number(Curve::new(&records, Some(0)), wanted);
        assert_eq!(value("final_llc"), Some(6.0));
        assert_eq!(value("final_train_loss"), Some(0.25));
        assert_eq!(value("final_step"), Some(300.0));
    }

    #[test]
    fn the_final_geometry_is_the_last_that_was_measured() {
        let mut records = grokked();
        records[0].hessian_trace = Some(3.0);
        records[2].hessian_trace = Some(5.0);
        records[1].estimates = vec![estimate(0, 6.0)];
        records[1].estimates[0].llc_gauss_newton = Some(7.0);
        records[3].estimates = vec![estimate(0, 6.0)];
        let value = |wanted: &str| number(Curve::new(&records, Some(0)), wanted);
        assert_eq!(value("final_hessian_trace"), Some(5.0));
        assert_eq!(value("final_llc_gauss_newton"), Some(7.0));
        assert_eq!(value("final_jacobian_rank"), None);
    }

    #[test]
    fn negative_llcs_are_kept_as_they_are() {
        let mut records = grokked();
        records[0].estimates = vec![estimate(0, -4.0)];
        records[1].estimates = vec![estimate(0, -3.0)];
        assert_eq!(Curve::new(&records, Some(0)).llc_peak(), Some((100, -3.0)));
    }
}
