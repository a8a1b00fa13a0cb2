//! The known answers that are shipped as sweeps: all can be planned, and of every estimate something exact is known.

use phasegrid_proto::task::{BatchSize, Nbeta, Sampler, StepSize};
use phasegrid_proto::{theory, v1};

use super::super::Spec;

/// The settings of a sampler, as far as they are numbers already.
fn settings(sampler: &Sampler, examples: u64) -> v1::SamplerSettings {
    let Nbeta::Fixed(nbeta) = sampler.nbeta else { panic!("known answers have a temperature of their own") };
    let word = |value| serde_json::to_value(value).unwrap().as_str().unwrap().to_owned();
    v1::SamplerSettings {
        step_size: match sampler.step_size {
            StepSize::Fixed(step_size) => Some(step_size),
            StepSize::Stable { .. } => None,
        },
        localization: sampler.localization,
        nbeta,
        chains: sampler.chains,
        burn_in: sampler.burn_in,
        draws: sampler.draws,
        batch_size: match sampler.batch_size {
            BatchSize::Full => examples,
            BatchSize::Size(size) => size,
        },
        method: word(sampler.method),
        layer: sampler.layer.unwrap_or(0),
        ..v1::SamplerSettings::default()
    }
}

#[test]
fn every_estimate_of_the_known_answers_has_a_known_answer() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../sweeps/known-answers");
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 5);
    for file in files {
        let spec = Spec::parse(&std::fs::read_to_string(&file).unwrap(), &[])
            .unwrap_or_else(|error| panic!("{}:\n{error}", file.display()));
        assert!(spec.name().starts_with("known-answers-"), "{}", file.display());
        for point in 0..spec.size() {
            let task = spec.task(point).unwrap();
            for sampler in &task.llc.as_ref().unwrap().samplers {
                let finite = theory::llc_finite(&task, &settings(sampler, task.data.train_examples()));
                let known = finite.or_else(|| theory::llc_exact(&task, sampler.layer)).is_some_and(f64::is_finite);
                // Elsewhere the worker computes what it should find.
                let measured = task.geometry.as_ref().is_some_and(|geometry| geometry.gauss_newton);
                assert!(known || measured, "{}, point {point}: {sampler:?}", file.display());
            }
        }
    }
}
