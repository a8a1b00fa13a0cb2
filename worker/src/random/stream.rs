//! Uniform numbers for everything but the samplers' noise: splits, labels, initial weights, minibatches.

use super::derive;

/// A stream of uniform numbers: xoshiro256++ (Blackman and Vigna 2019) with a state derived from a name.
#[derive(Clone, Debug)]
pub struct Stream {
    state: [u64; 4],
}

impl Stream {
    /// The stream of this name. Streams of different names are independent.
    #[must_use]
    pub fn derive(seed: u64, name: &str, indices: &[u64]) -> Self {
        let mut bytes = [0; 32];
        derive(seed, name, indices, &mut bytes);
        let mut state = [0; 4];
        for (word, bytes) in state.iter_mut().zip(bytes.as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        Self { state }
    }

    fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let result = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let t = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= t;
        *d = d.rotate_left(45);
        result
    }

    /// A number from 0 to below `n`, exactly uniform (Lemire 2019). `n` is at least 1.
    pub fn uniform_u64_below(&mut self, n: u64) -> u64 {
        // The high half of x·n is the number; low halves below 2^64 mod n would make some numbers more frequent.
        let mut product = u128::from(self.next_u64()) * u128::from(n);
        if (product as u64) < n {
            let threshold = n.wrapping_neg() % n;
            while (product as u64) < threshold {
                product = u128::from(self.next_u64()) * u128::from(n);
            }
        }
        (product >> 64) as u64
    }

    /// A number from 0 to below 1, a multiple of 2⁻⁵³.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * 2f64.powi(-53)
    }

    /// Fills `out` with numbers between `low` and `high`.
    pub fn fill_uniform(&mut self, out: &mut [f32], low: f32, high: f32) {
        for value in out {
            // 24 bits are exact in f32; half a step keeps the numbers symmetric about the middle.
            let unit = ((self.next_u64() >> 40) as f32 + 0.5) * 2f32.powi(-24);
            *value = low + (high - low) * unit;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_decided_by_its_name() {
        let first = |seed, name, indices: &[u64]| Stream::derive(seed, name, indices).next_u64();
        // Golden values: results of older versions must stay reproducible, or the numerics version must be raised.
        assert_eq!(first(0, "init", &[]), GOLDEN[0]);
        assert_eq!(first(7, "chain", &[100, 2]), GOLDEN[1]);
        let names = [first(0, "init", &[]), first(1, "init", &[]), first(0, "split", &[]), first(0, "init", &[0])];
        for (i, a) in names.iter().enumerate() {
            assert!(names[..i].iter().all(|b| a != b));
        }
    }
    const GOLDEN: [u64; 2] = [13_709_411_327_457_735_381, 17_716_876_126_713_397_543];

    #[test]
    fn bounded_numbers_are_uniform() {
        let mut stream = Stream::derive(3, "test", &[]);
        let (n, draws) = (7, 70_000);
        let mut counts = [0u32; 7];
        for _ in 0..draws {
            counts[stream.uniform_u64_below(n) as usize] += 1;
        }
        let expected = f64::from(draws) / n as f64;
        let chi2: f64 = counts.iter().map(|count| (f64::from(*count) - expected).powi(2) / expected).sum();
        // The 99.99 % quantile of χ² with 6 degrees of freedom.
        assert!(chi2 < 27.9, "{chi2}");
        assert_eq!(stream.uniform_u64_below(1), 0);
    }

    #[test]
    fn uniform_numbers_have_the_moments_of_the_uniform_distribution() {
        let mut stream = Stream::derive(4, "test", &[]);
        let n = 100_000;
        let values: Vec<f64> = (0..n).map(|_| stream.uniform()).collect();
        let mean = values.iter().sum::<f64>() / f64::from(n);
        // Four standard errors of the mean, 1/√(12 n).
        assert!((mean - 0.5).abs() < 4.0 / (12.0 * f64::from(n)).sqrt());
        let mut single = vec![0f32; 100_000];
        stream.fill_uniform(&mut single, -0.5, 0.5);
        let square = single.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>() / f64::from(n);
        // Variance 1/12; the standard error of x² is √(1/180/n).
        assert!((square - 1.0 / 12.0).abs() < 4.0 / (180.0 * f64::from(n)).sqrt());
        assert!(single.iter().all(|value| value.abs() < 0.5));
    }
}
