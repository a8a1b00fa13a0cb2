//! Measures the numerics on one thread: `cargo run --release -p phasegrid-worker --example speed`.

use std::hint::black_box;
use std::time::Instant;

use phasegrid_worker::random::Normals;

fn main() {
    let mut normals = Normals::derive(0, "speed", &[]);
    let mut out = vec![0f32; 16_384];
    let nanoseconds = microseconds(|| normals.fill(black_box(&mut out))) * 1e3 / out.len() as f64;
    println!("bench noise {nanoseconds:.3} ns/number");
}

/// The fastest of many timings of `f`, in microseconds: other load on the machine only ever adds.
fn microseconds(mut f: impl FnMut()) -> f64 {
    let start = Instant::now();
    let mut fastest = f64::INFINITY;
    while start.elapsed().as_secs_f64() < 1.0 {
        let start = Instant::now();
        f();
        fastest = fastest.min(start.elapsed().as_secs_f64());
    }
    fastest * 1e6
}
