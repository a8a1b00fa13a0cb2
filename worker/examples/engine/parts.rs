//! What a sampling step is made of, each part timed by itself on one thread.

use phasegrid_worker::random::Normals;

use crate::clock::microseconds;

pub(crate) fn measure(peak: f64) {
    let mut normals = Normals::derive(0, "bench", &[]);
    let mut out = vec![0f32; 16_384];
    let nanoseconds = microseconds(|| normals.fill(std::hint::black_box(&mut out))) * 1e3 / out.len() as f64;
    println!("bench noise {nanoseconds:.3} ns/number");
    let _ = peak;
}
