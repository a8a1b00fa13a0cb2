//! Measures the numerics on one thread: `cargo run --release -p phasegrid-worker --example speed`.

use std::hint::black_box;
use std::time::Instant;

use phasegrid_proto::task::{self, BatchSize, TaskConfig};
use phasegrid_worker::data::Examples;
use phasegrid_worker::models;
use phasegrid_worker::objective::{Objective, SquaredError};
use phasegrid_worker::optimizer::Optimizer;
use phasegrid_worker::random::{Normals, Stream, Subsets};
use tch::{Device, Kind, Tensor};

fn main() {
    tch::set_num_threads(1);
    let _guard = tch::no_grad_guard();
    // Small enough to end before the system gives the core to somebody else.
    let square = Tensor::randn([512, 512], (Kind::Float, Device::Cpu));
    let gflops = 2.0 * 512f64.powi(3) / microseconds(|| drop(black_box(square.mm(&square)))) / 1e3;
    println!("bench gemm_512 {gflops:.0} GFLOP/s");

    let mut normals = Normals::derive(0, "speed", &[]);
    let mut out = vec![0f32; 16_384];
    let nanoseconds = microseconds(|| normals.fill(black_box(&mut out))) * 1e3 / out.len() as f64;
    println!("bench noise {nanoseconds:.3} ns/number");

    for (modulus, width, batch_size) in [
        (11, 32, BatchSize::Full),
        (23, 128, BatchSize::Full),
        (53, 128, BatchSize::Full),
        (53, 1024, BatchSize::Size(128)),
        (53, 512, BatchSize::Full),
        (97, 512, BatchSize::Full),
    ] {
        for members in [1, 8] {
            if members == 1 || width == 32 {
                steps(modulus, width, batch_size, members, gflops);
            }
        }
    }
}

/// One step of training of `members` tasks on half of the pairs.
fn steps(modulus: u32, width: u32, batch_size: BatchSize, members: u64, gflops_peak: f64) {
    let task = |seed| -> TaskConfig {
        let table = serde_json::json!({
            "data": { "kind": "modular", "modulus": modulus, "train_fraction": 0.5 },
            "model": { "kind": "quadratic", "width": width },
            "train": { "optimizer": "adamw", "learning_rate": 1e-3, "weight_decay": 1.0, "steps": 1 },
            "seed": seed,
        });
        task::resolve(&table, &[]).expect("a valid task")
    };
    let tasks: Vec<_> = (0..members).map(task).collect();
    let examples: Vec<_> = tasks.iter().map(Examples::of).collect();
    let sets: Vec<_> = examples.iter().map(|examples| &examples.train).collect();
    let total = sets[0].len();
    let size = batch_size.resolve(total as u64) as usize;
    let objective = SquaredError::new(models::of(&tasks[0]), tasks[0].train.loss, &sets, Kind::Float, Device::Cpu);
    let weights: Vec<_> = tasks.iter().map(|task| Tensor::from_slice(&models::initial_weights(task))).collect();
    let mut weights = Tensor::stack(&weights, 0);
    let mut gradient = weights.zeros_like();
    let mut optimizer = Optimizer::new(&[tasks[0].train.optimizer].repeat(members as usize), &weights);
    let mut subsets = Subsets::new(Stream::derive(0, "speed", &[]), total);
    let mut indices = vec![0; size];
    let mut draw = || {
        subsets.draw(&mut indices);
        Tensor::from_slice(&indices).unsqueeze(0).repeat([members as i64, 1])
    };
    let mut at = |gradient: &mut Tensor| {
        let batch = (batch_size != BatchSize::Full).then(&mut draw);
        drop(black_box(objective.loss_and_gradient(&weights, batch.as_ref(), gradient)));
    };
    let of_gradient = microseconds(|| at(&mut gradient));
    let of_update = microseconds(|| optimizer.step(&mut weights, &mut gradient));
    let flops = 6.0 * size as f64 * f64::from(width) * f64::from(modulus) * members as f64;
    let share = flops / of_gradient / 1e3 / gflops_peak;
    let name = format!("{modulus}_{width}_{size}_x{members}");
    println!("bench gradient_{name} {of_gradient:.1} us");
    println!("bench gradient_share_of_peak_{name} {:.0} %", share * 100.0);
    println!("bench update_{name} {of_update:.1} us");
}

/// Processor time of one call of `f`, in microseconds: unlike the clock's, it leaves out other programs' turns.
fn microseconds(mut f: impl FnMut()) -> f64 {
    f(); // warm up
    let (start, started) = (Instant::now(), processor_time());
    let mut calls = 0;
    while start.elapsed().as_secs_f64() < 1.0 {
        f();
        calls += 1;
    }
    (processor_time() - started) / f64::from(calls) / 1e3
}

/// Nanoseconds that this thread has run for, as Linux counts them.
fn processor_time() -> f64 {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    schedstat.split(' ').next().and_then(|field| field.parse().ok()).expect("three numbers")
}
