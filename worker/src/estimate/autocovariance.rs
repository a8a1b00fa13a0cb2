//! Autocovariances of a sequence at all lags, by the fast Fourier transform: n·log n even for chains that do not mix.

use std::f64::consts::TAU;

/// Autocovariances at lags 0 .. n−1, each divided by n: γ_t = (1/n)·Σ_i (x_i − x̄)(x_{i+t} − x̄).
pub(super) fn autocovariances(values: &[f64]) -> Vec<f64> {
    let n = values.len();
    let mean = super::mean_of(values.iter().copied());
    // Zeros to twice the length: the transform is circular, the sequence is not.
    let length = (2 * n).next_power_of_two();
    let mut spectrum: Vec<Complex> = values.iter().map(|value| (value - mean, 0.0)).collect();
    spectrum.resize(length, (0.0, 0.0));
    transform(&mut spectrum);
    for value in &mut spectrum {
        *value = (value.0 * value.0 + value.1 * value.1, 0.0);
    }
    // A power spectrum is real and even, so that forward and inverse transform differ by the length alone.
    transform(&mut spectrum);
    spectrum.iter().take(n).map(|value| value.0 / (length as f64 * n as f64)).collect()
}

type Complex = (f64, f64);

/// The discrete Fourier transform, in place; the length is a power of two (Cooley and Tukey, radix 2).
fn transform(values: &mut [Complex]) {
    let n = values.len();
    let mut reversed = 0;
    for i in 1..n {
        let mut bit = n / 2;
        while reversed & bit != 0 {
            reversed ^= bit;
            bit /= 2;
        }
        reversed |= bit;
        if i < reversed {
            values.swap(i, reversed);
        }
    }
    let roots: Vec<Complex> = (0..n / 2).map(|k| (-TAU * k as f64 / n as f64).sin_cos()).map(|(s, c)| (c, s)).collect();
    let mut half = 1;
    while half < n {
        for block in values.chunks_exact_mut(2 * half) {
            let (low, high) = block.split_at_mut(half);
            for (k, (a, b)) in low.iter_mut().zip(high).enumerate() {
                let root = roots[k * (n / (2 * half))];
                let turned = (b.0 * root.0 - b.1 * root.1, b.0 * root.1 + b.1 * root.0);
                *b = (a.0 - turned.0, a.1 - turned.1);
                *a = (a.0 + turned.0, a.1 + turned.1);
            }
        }
        half *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transform_gives_the_sums_of_products_at_every_lag_and_length() {
        for n in [1, 2, 3, 7, 64, 100] {
            let values: Vec<f64> = (0..n).map(|i| ((i * i * 37) % 101) as f64 / 10.0).collect();
            let mean = values.iter().sum::<f64>() / n as f64;
            let fast = autocovariances(&values);
            assert_eq!(fast.len(), n);
            for (lag, fast) in fast.iter().enumerate() {
                let pairs = values.iter().zip(&values[lag..]);
                let direct = pairs.map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>() / n as f64;
                // Rounding of f64 over at most 2·100 terms of size 100.
                assert!((fast - direct).abs() < 1e-11, "n {n}, lag {lag}: {fast} {direct}");
            }
        }
    }
}
