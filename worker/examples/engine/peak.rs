//! What the machine can do at best: square matrix products of both libraries in reach, on one thread.

use std::hint::black_box;

use phasegrid_worker::host::{Matrix, multiply};
use tch::{Device, Kind, Tensor};

use crate::clock::microseconds;

/// The best rate of single-precision products, in GFLOP/s.
pub(crate) fn gflops() -> f64 {
    let mut best = 0f64;
    for size in [512, 1024] {
        let square = Tensor::randn([size, size], (Kind::Float, Device::Cpu));
        let mut out = square.zeros_like();
        let values = Vec::<f32>::try_from(square.flatten(0, 1)).expect("a flat tensor");
        let mut product = vec![0f32; values.len()];
        let libtorch = microseconds(|| drop(black_box(out.f_addmm_(&square, &square))));
        let matrix = Matrix::new(&values, size as usize);
        let gemm = microseconds(|| multiply(&mut product, false, matrix, matrix));
        for (name, time) in [("libtorch", libtorch), ("gemm", gemm)] {
            let gflops = 2.0 * (size as f64).powi(3) / time / 1e3;
            println!("bench peak_{name}_{size} {gflops:.1} GFLOP/s");
            best = best.max(gflops);
        }
    }
    println!("bench peak {best:.1} GFLOP/s");
    best
}
