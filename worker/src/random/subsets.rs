//! Uniform subsets: splits and minibatches.

use super::Stream;

/// Draws uniform subsets without replacement of 0..N, each a fresh one.
#[derive(Clone, Debug)]
pub struct Subsets {
    stream: Stream,
    /// A permutation of 0..N. Any will do as the start of a draw, so it is never put back in order.
    permutation: Vec<i64>,
}

impl Subsets {
    /// Subsets of 0..`total`.
    #[must_use]
    pub fn new(stream: Stream, total: usize) -> Self {
        Self { stream, permutation: (0..total as i64).collect() }
    }

    /// Fills `out` with a subset in random order; at most N long. The cost is that of `out`, not of N.
    pub fn draw(&mut self, out: &mut [i64]) {
        let total = self.permutation.len();
        for (i, chosen) in out.iter_mut().enumerate() {
            // A step of Fisher and Yates: any of those not chosen yet.
            let j = i + self.stream.uniform_u64_below((total - i) as u64) as usize;
            self.permutation.swap(i, j);
            *chosen = self.permutation[i];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subset_has_no_repetitions_and_every_element_is_equally_likely() {
        let mut subsets = Subsets::new(Stream::derive(1, "test", &[]), 10);
        let (draws, size) = (20_000, 4);
        let mut counts = [0u32; 10];
        let mut subset = vec![0; size];
        for _ in 0..draws {
            subsets.draw(&mut subset);
            for (i, element) in subset.iter().enumerate() {
                counts[*element as usize] += 1;
                assert!(!subset[..i].contains(element));
            }
        }
        let (expected, share) = (f64::from(draws) * 0.4, 0.4);
        for count in counts {
            // Five standard deviations of a binomial count.
            assert!((f64::from(count) - expected).abs() < 5.0 * (expected * (1.0 - share)).sqrt());
        }
    }

    #[test]
    fn the_whole_set_is_a_permutation() {
        let mut all = vec![0; 100];
        Subsets::new(Stream::derive(2, "test", &[]), 100).draw(&mut all);
        assert_ne!(all, (0..100).collect::<Vec<_>>());
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
    }
}
