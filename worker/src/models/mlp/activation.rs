//! Activations φ and their slopes φ′ in single precision, as arithmetic that the compiler turns into vector instructions.
//!
//! A number's activation does not depend on where it lies, nor on the instruction set: libtorch and libm give neither.
//! tanh and erf are the rational approximations of Eigen, exp is that of Cephes; the tests hold them against libm.

use phasegrid_proto::task::Activation;

use crate::host::widest;

/// z becomes φ(z), and `slope` is φ′(z).
pub(super) fn activate(activation: Activation, z: &mut [f32], slope: &mut [f32]) {
    match activation {
        Activation::Relu => relu(z, slope),
        Activation::Gelu => gelu(z, slope),
        Activation::Tanh => tanh(z, slope),
    }
}

widest! {
    fn relu(z: &mut [f32], slope: &mut [f32]) {
        for (z, slope) in z.iter_mut().zip(slope) {
            *slope = if *z > 0.0 { 1.0 } else { 0.0 };
            // Not a maximum, which would take a NaN for zero.
            *z *= *slope;
        }
    }
}

widest! {
    /// φ = z·Φ(z), φ′ = Φ(z) + z·e^{−z²/2}/√(2π), with Φ = (1 + erf(z/√2))/2.
    fn gelu(z: &mut [f32], slope: &mut [f32]) {
        const DENSITY_AT_ZERO: f32 = 0.398_942_3; // 1/√(2π)
        for (z, slope) in z.iter_mut().zip(slope) {
            let below = 0.5 + 0.5 * erf(*z * std::f32::consts::FRAC_1_SQRT_2);
            *slope = below + *z * DENSITY_AT_ZERO * exp_of_negative(-0.5 * *z * *z);
            *z *= below;
        }
    }
}

widest! {
    /// φ′ = 1 − φ²
    fn tanh(z: &mut [f32], slope: &mut [f32]) {
        for (z, slope) in z.iter_mut().zip(slope) {
            *z = hyperbolic_tangent(*z);
            *slope = 1.0 - *z * *z;
        }
    }
}

/// A polynomial from its highest coefficient down.
#[inline(always)]
fn polynomial<const N: usize>(coefficients: [f32; N], x: f32) -> f32 {
    let mut sum = 0.0;
    for coefficient in coefficients {
        sum = sum * x + coefficient;
    }
    sum
}

#[inline(always)]
fn hyperbolic_tangent(z: f32) -> f32 {
    // Beyond it the function is 1 in single precision; `clamp` keeps NaN.
    let x = z.clamp(-7.905_311, 7.905_311);
    let square = x * x;
    let odd =
        [-2.760_768_4e-16, 2.000_188e-13, -8.604_672e-11, 5.122_297e-8, 1.485_722_4e-5, 6.372_619_4e-4, 4.893_525e-3];
    let even = [1.198_258_4e-6, 1.185_347_1e-4, 2.268_434_6e-3, 4.893_525e-3];
    x * polynomial(odd, square) / polynomial(even, square)
}

#[inline(always)]
fn erf(z: f32) -> f32 {
    let x = z.clamp(-4.0, 4.0);
    let square = x * x;
    let odd = [
        -2.726_142_3e-10,
        2.770_681_4e-8,
        -2.101_024e-6,
        -5.692_506_4e-5,
        -7.349_906_3e-4,
        -2.954_6e-3,
        -1.609_603_4e-2,
    ];
    let even = [-1.456_607_2e-5, -2.133_740_6e-4, -1.682_827e-3, -7.373_329e-3, -1.426_473_9e-2];
    let within = x * polynomial(odd, square) / polynomial(even, square);
    // Exactly ±1 beyond, or a large negative z would keep a share of itself.
    if x.abs() < 4.0 { within } else { x * 0.25 }
}

/// e^x of x ≤ 0.
#[inline(always)]
fn exp_of_negative(x: f32) -> f32 {
    // Below it the result is not worth a subnormal number; `max` would lose NaN.
    let x = if x < -87.0 { -87.0 } else { x };
    // e^x = 2^k·e^r with |r| ≤ ln 2 / 2, k rounded by the addition of a number whose last place is 1.
    const LAST_PLACE_IS_ONE: f32 = 12_582_912.0; // 1.5·2^23
    let shifted = x * std::f32::consts::LOG2_E + LAST_PLACE_IS_ONE;
    let k = shifted - LAST_PLACE_IS_ONE;
    // ln 2 in two parts, of which the first has few digits.
    let r = x - k * 0.693_359_4 + k * 2.121_944_4e-4;
    let tail = [1.987_569_1e-4, 1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];
    let mantissa = polynomial(tail, r) * r * r + r + 1.0;
    // The whole number k stands in the last digits of `shifted`.
    let exponent = shifted.to_bits().wrapping_sub(LAST_PLACE_IS_ONE.to_bits()).wrapping_add(127);
    mantissa * f32::from_bits(exponent << 23)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Kind, Tensor};

    #[test]
    fn activations_are_those_of_libtorch_in_double_precision() {
        let z: Vec<f32> = (-4000..=4000).map(|i| i as f32 * 3e-3).chain([-1e9, 1e9, 1e-20, -1e-6, 0.0]).collect();
        for activation in [Activation::Relu, Activation::Gelu, Activation::Tanh] {
            let (mut found, mut slope) = (z.clone(), vec![0.0; z.len()]);
            activate(activation, &mut found, &mut slope);
            let leaf = Tensor::from_slice(&z).to_kind(Kind::Double).set_requires_grad(true);
            let exact = match activation {
                Activation::Relu => leaf.relu(),
                Activation::Gelu => leaf.gelu("none"),
                Activation::Tanh => leaf.tanh(),
            };
            exact.sum(None).backward();
            for (found, exact) in [(&found, exact.detach()), (&slope, leaf.grad())] {
                let exact = Vec::<f64>::try_from(exact).unwrap();
                for ((z, found), exact) in z.iter().zip(found).zip(exact) {
                    // Some units in the last place, 6e-8, of factors 1 and z.
                    let error = (f64::from(*found) - exact).abs();
                    assert!(
                        error <= 5e-7 * f64::from(z.abs().clamp(1.0, 10.0)).max(exact.abs()),
                        "{activation:?} at {z}: {found}, {exact}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_is_not_a_number_stays_so() {
        for activation in [Activation::Relu, Activation::Gelu, Activation::Tanh] {
            let (mut z, mut slope) = ([f32::NAN, f32::INFINITY], [0.0; 2]);
            activate(activation, &mut z, &mut slope);
            assert!(z[0].is_nan(), "{activation:?}");
        }
    }
}
