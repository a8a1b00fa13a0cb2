//! What holds for every task's configuration.

mod identity;
mod reading;

use proptest::prelude::*;
use serde_json::json;

use super::{
    Activation, Baseline, BatchSize, Checkpoints, Data, Geometry, Init, InitialLoss, Llc, Loss, Method, Model, Nbeta,
    NbetaRule, Operation, Optimizer, Potential, Preset, Sampler, Shard, StepSize, Stop, TaskConfig, Train,
};

/// A small table that resolves.
fn table() -> serde_json::Value {
    json!({
        "data": { "kind": "modular", "modulus": 7, "train_fraction": 0.5 },
        "model": { "kind": "quadratic", "width": 4 },
        "train": { "learning_rate": 0.01, "steps": 100 },
        "llc": { "preset": "authors_code", "batch_size": 16, "baselines": ["zero"] },
    })
}

/// Any configuration that the types can hold, whether it makes sense or not.
fn configs() -> impl Strategy<Value = TaskConfig> {
    (
        data(),
        model(),
        train(),
        checkpoints(),
        proptest::option::of(llc()),
        proptest::option::of(geometry()),
        any::<u64>(),
    )
        .prop_map(|(data, model, train, checkpoints, llc, geometry, seed)| TaskConfig {
            data,
            model,
            train,
            checkpoints,
            llc,
            geometry,
            seed,
        })
}

fn real() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(0.0),
        0.0..1.0,
        proptest::num::f64::POSITIVE | proptest::num::f64::NEGATIVE | proptest::num::f64::SUBNORMAL
    ]
}

fn data() -> impl Strategy<Value = Data> {
    use Operation::{Add, Multiply, Subtract, SumOfSquares};
    let operations = proptest::sample::select(vec![Add, Subtract, Multiply, SumOfSquares]);
    prop_oneof![
        (operations, any::<u32>(), real(), real()).prop_map(|(operation, modulus, train_fraction, label_noise)| {
            Data::Modular { operation, modulus, train_fraction, label_noise }
        }),
        any::<(u64, bool)>().prop_map(|(samples, whiten)| Data::Gaussian { samples, whiten }),
        Just(Data::Origin),
    ]
}

fn model() -> impl Strategy<Value = Model> {
    let inits = || proptest::sample::select(vec![Init::TorchLinear, Init::Normal, Init::Teacher, Init::Zero]);
    let widths = proptest::collection::vec(any::<u32>(), 0..5);
    let activations = proptest::sample::select(vec![Activation::Relu, Activation::Gelu, Activation::Tanh]);
    prop_oneof![
        (any::<u32>(), inits()).prop_map(|(width, init)| Model::Quadratic { width, init }),
        (any::<u32>(), activations, inits()).prop_map(|(width, activation, init)| Model::Mlp {
            width,
            activation,
            init
        }),
        (widths, any::<u32>(), inits()).prop_map(|(widths, rank, init)| Model::DeepLinear { widths, rank, init }),
        (potential(), inits()).prop_map(|(shape, init)| Model::Potential { shape, init }),
    ]
}

fn potential() -> impl Strategy<Value = Potential> {
    prop_oneof![
        proptest::collection::vec(real(), 0..5).prop_map(Potential::Curvatures),
        any::<[u32; 2]>().prop_map(Potential::Powers),
    ]
}

fn batch_size() -> impl Strategy<Value = BatchSize> {
    prop_oneof![Just(BatchSize::Full), any::<u64>().prop_map(BatchSize::Size)]
}

fn train() -> impl Strategy<Value = Train> {
    let optimizers = (real(), real(), real(), real(), 0..3).prop_map(|(learning_rate, weight_decay, a, b, kind)| {
        let betas = [a, b];
        match kind {
            0 => Optimizer::Adam { learning_rate, weight_decay, betas },
            1 => Optimizer::AdamW { learning_rate, weight_decay, betas },
            _ => Optimizer::Sgd { learning_rate, weight_decay, momentum: a },
        }
    });
    let losses = prop_oneof![Just(Loss::CentredMse), Just(Loss::Mse)];
    let stops = (real(), any::<u32>()).prop_map(|(val_accuracy, checkpoints)| Stop { val_accuracy, checkpoints });
    (optimizers, batch_size(), any::<u64>(), losses, proptest::option::of(stops))
        .prop_map(|(optimizer, batch_size, steps, loss, stop)| Train { optimizer, batch_size, steps, loss, stop })
}

fn checkpoints() -> impl Strategy<Value = Checkpoints> {
    prop_oneof![
        any::<u64>().prop_map(Checkpoints::Every),
        any::<u32>().prop_map(Checkpoints::Log),
        proptest::collection::vec(any::<u64>(), 0..5).prop_map(Checkpoints::List),
    ]
}

fn sampler() -> impl Strategy<Value = Sampler> {
    use Preset::{AuthorsCode, Lau2023, PaperText, Population};
    let presets = proptest::option::of(proptest::sample::select(vec![AuthorsCode, PaperText, Lau2023, Population]));
    let step_sizes =
        prop_oneof![real().prop_map(StepSize::Fixed), real().prop_map(|stable| StepSize::Stable { stable })];
    let nbetas = prop_oneof![
        real().prop_map(Nbeta::Fixed),
        Just(Nbeta::Rule(NbetaRule::NOverLogN)),
        Just(Nbeta::Rule(NbetaRule::BatchOverLogBatch)),
    ];
    let methods = proptest::sample::select(vec![Method::Sgld, Method::RmspropSgld, Method::Mala]);
    let comparisons = (
        proptest::option::of(any::<u32>()),
        proptest::sample::select(vec![InitialLoss::Whole, InitialLoss::Paired]),
        any::<bool>(),
    );
    (presets, methods, step_sizes, real(), nbetas, any::<[u32; 3]>(), batch_size(), comparisons).prop_map(
        |(preset, method, step_size, localization, nbeta, [chains, burn_in, draws], batch_size, compared)| Sampler {
            preset,
            method,
            step_size,
            localization,
            nbeta,
            chains,
            burn_in,
            draws,
            batch_size,
            layer: compared.0,
            initial_loss: compared.1,
            sensitivity: compared.2,
        },
    )
}

fn geometry() -> impl Strategy<Value = Geometry> {
    (any::<bool>(), any::<bool>(), any::<u32>(), proptest::option::of(checkpoints())).prop_map(
        |(jacobian_rank, gauss_newton, trace_probes, checkpoints)| Geometry {
            jacobian_rank,
            gauss_newton,
            trace_probes,
            checkpoints,
        },
    )
}

fn llc() -> impl Strategy<Value = Llc> {
    let baselines = proptest::collection::vec(prop_oneof![Just(Baseline::Zero), Just(Baseline::Init)], 0..3);
    (
        proptest::collection::vec(sampler(), 1..4),
        baselines,
        proptest::option::of(checkpoints()),
        proptest::option::of(any::<(u32, u32)>()),
    )
        .prop_map(|(samplers, baselines, checkpoints, shard)| Llc {
            samplers,
            baselines,
            checkpoints,
            shard: shard.map(|(index, of)| Shard { index, of }),
        })
}
