//! Ranks of Jacobians at random weights, where the learning coefficient is half of them: numerical ranks of the networks as
//! they are computed, beside the closed forms.

use phasegrid_proto::task::{TaskConfig, resolve};
use phasegrid_proto::theory;
use phasegrid_worker::data::Examples;
use phasegrid_worker::models;
use serde_json::json;
use tch::{Device, Kind, Tensor};

/// Singular values above 1e-9 of the greatest: double precision leaves 1e-15, and random weights some 1e-4.
fn rank(jacobian: &Tensor) -> u64 {
    let (_, singular, _) = jacobian.svd(true, false);
    singular.gt_tensor(&(singular.max() * 1e-9)).sum(Kind::Int64).int64_value(&[]) as u64
}

/// The outputs' derivatives by the weights at the initial weights, [N·p, D]; centred if the loss is.
pub(crate) fn jacobian(task: &TaskConfig) -> Tensor {
    let model = models::of(task);
    let examples = Examples::of(task).train;
    let inputs = model.inputs(&[&examples], Kind::Double, Device::Cpu);
    let weights = Tensor::from_slice(&models::initial_weights(task)).to_kind(Kind::Double).unsqueeze(0);
    let (n, p) = (examples.len() as i64, model.outputs());
    let row = |output: i64| {
        let mut saved = Vec::new();
        let _ = model.forward(&weights, &inputs, &mut saved);
        let cotangent = Tensor::zeros([n * p], (Kind::Double, Device::Cpu));
        let _ = cotangent.get(output).fill_(1.0);
        let mut gradient = weights.zeros_like();
        model.backward(&weights, &inputs, &mut saved, &cotangent.view([1, n, p]), &mut gradient);
        gradient.squeeze_dim(0)
    };
    let jacobian = Tensor::stack(&(0..n * p).map(row).collect::<Vec<_>>(), 0);
    if task.train.loss != phasegrid_proto::task::Loss::CentredMse {
        return jacobian;
    }
    let by_example = jacobian.view([n, p, -1]);
    (&by_example - by_example.mean_dim(0, true, None)).view([n * p, -1])
}

/// The columns of one layer's weights.
pub(crate) fn of_layer(task: &TaskConfig, jacobian: &Tensor, layer: u32) -> Tensor {
    let layers = models::of(task).layers();
    let (before, own) = layers.split_at(layer as usize - 1);
    jacobian.narrow(1, before.iter().map(|layer| layer.weights as i64).sum(), own[0].weights as i64)
}

fn on_grid(model: &str, activation: Option<&str>, p: u32, width: u32, loss: &str) -> TaskConfig {
    let mut table = json!({
        "data": { "kind": "modular", "modulus": p, "train_fraction": 1.0 },
        "model": { "kind": model, "width": width, "init": "teacher" },
        "train": { "steps": 0, "loss": loss },
        "seed": 1,
    });
    if let Some(activation) = activation {
        table["model"]["activation"] = json!(activation);
    }
    resolve(&table, &[]).unwrap()
}

#[test]
fn one_hot_networks_have_the_rank_of_the_closed_form() {
    for (p, width) in [(3, 1), (3, 2), (3, 5), (5, 3), (5, 9), (7, 4), (7, 20)] {
        for loss in ["mse", "centred_mse"] {
            let task = on_grid("quadratic", None, p, width, loss);
            let jacobian = jacobian(&task);
            assert_eq!(Some(rank(&jacobian) as f64 / 2.0), theory::llc_exact(&task, None), "p {p}, K {width}, {loss}");
            // The second layer alone, which is what a lazy network trains.
            let lazy = rank(&of_layer(&task, &jacobian, 2));
            assert_eq!(Some(lazy as f64 / 2.0), theory::llc_exact(&task, Some(2)), "p {p}, K {width}, {loss}");
        }
    }
}

#[test]
fn smooth_activations_have_one_symmetry_a_neuron_on_one_hot_pairs() {
    // Shifting weights from one residue to the other; scales are no symmetry of tanh and gelu. The outputs cap the rank.
    for activation in ["tanh", "gelu"] {
        for (p, width) in [(3, 1), (3, 2), (5, 4), (3, 5)] {
            let rank = rank(&jacobian(&on_grid("mlp", Some(activation), p, width, "mse")));
            let (p, width) = (u64::from(p), u64::from(width));
            assert_eq!(rank, (width * (3 * p - 1)).min(p.pow(3)), "{activation}, p {p}, K {width}");
        }
    }
}

/// The rank for f(x) = V·(Wᵀx)² on as many random inputs of d numbers as there are quadratic forms, at random weights.
fn generic_rank(d: i64, p: i64, width: i64) -> u64 {
    tch::manual_seed(1);
    let random = |shape: [i64; 2]| Tensor::randn(shape, (Kind::Double, Device::Cpu));
    let (w, v) = (random([d, width]), random([p, width]));
    let x = random([d * (d + 1) / 2, d]);
    let z = x.mm(&w); // [n, K]
    let unit = Tensor::eye(p, (Kind::Double, Device::Cpu));
    // ∂f_k/∂V_lj = δ_kl·z_j², ∂f_k/∂W_ij = 2·V_kj·z_j·x_i
    let by_v = Tensor::einsum("kl,nj->nklj", &[&unit, &z.square()], None::<&[i64]>);
    let by_w = Tensor::einsum("kj,nj,ni->nkij", &[&v, &z, &x], None::<&[i64]>) * 2.0;
    let rows = x.size()[0] * p;
    rank(&Tensor::cat(&[by_v.reshape([rows, -1]), by_w.reshape([rows, -1])], 1))
}

#[test]
fn generic_inputs_have_the_known_ranks() {
    // Where it holds, the paper's count: K(p + d − 1), or all p·d(d+1)/2 coefficients.
    for ((d, p, width), known) in [((4, 3, 4), 24), ((4, 3, 6), 30), ((2, 4, 2), 10), ((6, 5, 10), 100)] {
        assert_eq!(generic_rank(d, p, width), known);
        assert_eq!(known as i64, (width * (p + d - 1)).min(p * d * (d + 1) / 2));
    }
    // And where it does not.
    for ((d, p, width), known) in [((3, 1, 2), 5), ((4, 3, 5), 29), ((6, 3, 8), 62)] {
        assert_eq!(generic_rank(d, p, width), known);
    }
}

#[test]
fn a_single_output_sees_the_rank_of_a_symmetric_matrix() {
    for (d, width) in [(3, 1), (3, 2), (5, 4), (5, 5), (4, 7)] {
        let known = if width <= d { width * d - width * (width - 1) / 2 } else { d * (d + 1) / 2 };
        assert_eq!(generic_rank(d, 1, width), known as u64, "d {d}, K {width}");
    }
}
