//! Autocovariances of sequences at all lags, by the fast Fourier transform: n·log n even for chains that do not mix.

use std::f64::consts::TAU;

/// Autocovariances at lags 0 .. n−1, mean over `sequences`, all of n values:
/// γ_t = mean over sequences of (1/n)·Σ_i (x_i − x̄)(x_{i+t} − x̄).
///
/// Two sequences x and y go through each transform as x + iy: the autocovariance of that has the sum of theirs as its
/// real part. What comes back is the transform of all power spectra together.
pub(super) fn mean_autocovariances(sequences: &[&[f64]]) -> Vec<f64> {
    let n = sequences.first().map_or(0, |sequence| sequence.len());
    // Zeros to twice the length: the transform is circular, the sequences are not.
    let fourier = Fourier::new((2 * n).next_power_of_two());
    let mut power = vec![(0.0, 0.0); fourier.length];
    let mut both = vec![(0.0, 0.0); fourier.length];
    for pair in sequences.chunks(2) {
        both.fill((0.0, 0.0));
        let x_mean = super::mean_of(pair[0].iter().copied());
        for (value, x) in both.iter_mut().zip(pair[0]) {
            value.0 = x - x_mean;
        }
        if let Some(second) = pair.get(1) {
            let y_mean = super::mean_of(second.iter().copied());
            for (value, y) in both.iter_mut().zip(*second) {
                value.1 = y - y_mean;
            }
        }
        fourier.transform(&mut both);
        for (sum, value) in power.iter_mut().zip(&both) {
            sum.0 += value.0 * value.0 + value.1 * value.1;
        }
    }
    // Of a real spectrum the forward and the inverse transform have the same real part, but for the length.
    fourier.transform(&mut power);
    let scale = 1.0 / (fourier.length * n * sequences.len()) as f64;
    power.iter().take(n).map(|value| value.0 * scale).collect()
}

type Complex = (f64, f64);

/// The discrete Fourier transform of a power of two values (Cooley and Tukey, radix 2).
struct Fourier {
    length: usize,
    /// e^(−2πik/length) for the first half of all k.
    roots: Vec<Complex>,
}

impl Fourier {
    fn new(length: usize) -> Self {
        let root = |k: usize| (-TAU * k as f64 / length as f64).sin_cos();
        Self { length, roots: (0..length / 2).map(root).map(|(sin, cos)| (cos, sin)).collect() }
    }

    /// In place.
    fn transform(&self, values: &mut [Complex]) {
        let mut reversed = 0;
        for i in 1..self.length {
            let mut bit = self.length / 2;
            while reversed & bit != 0 {
                reversed ^= bit;
                bit /= 2;
            }
            reversed |= bit;
            if i < reversed {
                values.swap(i, reversed);
            }
        }
        let mut half = 1;
        while half < self.length {
            let stride = self.length / (2 * half);
            for block in values.chunks_exact_mut(2 * half) {
                let (low, high) = block.split_at_mut(half);
                for ((a, b), root) in low.iter_mut().zip(high).zip(self.roots.iter().step_by(stride)) {
                    let turned = (b.0 * root.0 - b.1 * root.1, b.0 * root.1 + b.1 * root.0);
                    *b = (a.0 - turned.0, a.1 - turned.1);
                    *a = (a.0 + turned.0, a.1 + turned.1);
                }
            }
            half *= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transform_gives_the_sums_of_products_at_every_lag_and_length() {
        for (n, count) in [(1, 1), (2, 1), (3, 2), (7, 3), (64, 2), (100, 5)] {
            let value = |s: usize, i: usize| (((i + 3 * s) * (i + s) * 37) % 101) as f64 / 10.0;
            let all: Vec<Vec<f64>> = (0..count).map(|s| (0..n).map(|i| value(s, i)).collect()).collect();
            let slices: Vec<&[f64]> = all.iter().map(Vec::as_slice).collect();
            let fast = mean_autocovariances(&slices);
            assert_eq!(fast.len(), n);
            for (lag, fast) in fast.iter().enumerate() {
                let one = |values: &Vec<f64>| {
                    let mean = values.iter().sum::<f64>() / n as f64;
                    let pairs = values.iter().zip(&values[lag..]);
                    pairs.map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>() / n as f64
                };
                let direct = all.iter().map(one).sum::<f64>() / count as f64;
                // Rounding of f64 over at most 5·100 terms of size 100.
                assert!((fast - direct).abs() < 1e-11, "n {n}, lag {lag}: {fast} {direct}");
            }
        }
    }
}
