//! Random numbers made on an accelerator, by hashing counters: number i of a row at a step is a function of i and of the
//! row's key for that step, so that it does not depend on the rows beside it, as a generator of the device's would.
//!
//! The hash is the output function of SplitMix64 (Steele, Lea and Flood 2014): z = key + i·φ, mixed by shifts and products.
//! Keys come from the row's stream on the host, 8 bytes a row and step in place of 4 a weight. 64 bits give two normal
//! numbers (Box and Muller); the examples with the largest bits are a minibatch.
//!
//! It costs about 25 launches, whatever the number of rows, and 150 to 200 bytes of traffic a normal number. What is small
//! is made for several steps at a time.

use tch::{Device, Kind, Tensor};

use super::{Chance, Randomness};
use crate::random::Stream;

/// Numbers that are made together, if one step takes fewer: enough to outweigh the launches.
const WORTH_THE_LAUNCHES: usize = 1 << 22;

/// Steps that numbers are made for in advance, at most.
const MOST_STEPS: usize = 64;

/// The golden ratio in 64 bits, odd: the step from counter to counter.
const GOLDEN: i64 = 0x9e37_79b9_7f4a_7c15_u64 as i64;

/// Random numbers of all rows, from their keys.
pub(super) struct Counters {
    noise: Blocks,
    batches: Option<Batches>,
    moving: i64,
    kind: Kind,
}

struct Batches {
    blocks: Blocks,
    size: i64,
    /// N of the row that has most.
    examples: i64,
    /// Which of them a row does not have, [R, N].
    missing: Tensor,
}

impl Counters {
    pub(super) fn new(
        chances: Vec<Chance>,
        moving: usize,
        batch_size: Option<usize>,
        (kind, device): (Kind, Device),
    ) -> Self {
        let sizes: Vec<i64> = chances.iter().map(|chance| chance.examples as i64).collect();
        let (noise, batches) = chances.into_iter().map(|chance| chance.keys.into()).unzip();
        let batches = batch_size.map(|size| {
            let examples = sizes.iter().copied().max().unwrap_or(0);
            let sizes = Tensor::from_slice(&sizes).to_device(device).unsqueeze(1);
            let missing = Tensor::arange(examples, (Kind::Int64, device)).ge_tensor(&sizes);
            Batches { blocks: Blocks::new(batches, examples, device), size: size as i64, examples, missing }
        });
        Self { noise: Blocks::new(noise, moving as i64, device), batches, moving: moving as i64, kind }
    }
}

impl Randomness for Counters {
    fn noise(&mut self) -> &Tensor {
        let (moving, kind) = (self.moving, self.kind);
        self.noise.next(|keys| normals(keys, moving).to_kind(kind))
    }

    fn batch(&mut self) -> Option<&Tensor> {
        let Batches { blocks, size, examples, missing } = self.batches.as_mut()?;
        let largest =
            |keys: &Tensor| bits(keys, *examples).masked_fill(missing, i64::MIN).topk(*size, -1, true, false).1;
        Some(blocks.next(largest))
    }
}

/// Numbers of several steps, made at once.
struct Blocks {
    keys: Vec<Stream>,
    /// K, the steps of a block.
    steps: usize,
    /// [K, R, …]
    made: Tensor,
    /// Steps of the block that were used.
    used: usize,
    /// [R, …]
    now: Tensor,
    device: Device,
}

impl Blocks {
    fn new(keys: Vec<Stream>, columns: i64, device: Device) -> Self {
        let numbers = (keys.len() * columns.unsigned_abs() as usize).max(1);
        let steps = (WORTH_THE_LAUNCHES / numbers).clamp(1, MOST_STEPS);
        Self { keys, steps, made: Tensor::new(), used: steps, now: Tensor::new(), device }
    }

    /// The numbers of the next step; `make` makes those of [K, R, 1] keys.
    fn next(&mut self, make: impl FnOnce(&Tensor) -> Tensor) -> &Tensor {
        if self.used == self.steps {
            let (rows, steps) = (self.keys.len(), self.steps);
            let mut keys = Vec::with_capacity(steps * rows);
            for _ in 0..steps {
                keys.extend(self.keys.iter_mut().map(|key| key.uniform_u64_below(u64::MAX) as i64));
            }
            let keys = Tensor::from_slice(&keys).view([steps as i64, rows as i64, 1]).to_device(self.device);
            self.made = make(&keys);
            self.used = 0;
        }
        self.now = self.made.get(self.used as i64);
        self.used += 1;
        &self.now
    }
}

/// 64 random bits for each of `count` counters of each key; keys are […, 1].
fn bits(keys: &Tensor, count: i64) -> Tensor {
    let mut z = Tensor::arange(count, (Kind::Int64, keys.device())) * GOLDEN + keys; // […, count]
    for (shift, factor) in [(30, 0xbf58_476d_1ce4_e5b9_u64), (27, 0x94d0_49bb_1331_11eb)] {
        fold(&mut z, shift);
        z *= factor as i64;
    }
    fold(&mut z, 31);
    z
}

/// z ^= z >> shift, of unsigned numbers: torch's shift is that of signed ones.
fn fold(z: &mut Tensor, shift: i64) {
    let mut high = z.bitwise_right_shift_tensor_scalar(shift);
    let _ = high.bitwise_and_((1_i64 << (64 - shift)) - 1);
    let _ = z.bitwise_xor_tensor_(&high);
}

/// `count` standard normal numbers for each key, in single precision: √(−2 ln u)·(cos θ, sin θ), with 31 bits for u and
/// 32 for θ.
fn normals(keys: &Tensor, count: i64) -> Tensor {
    let pairs = bits(keys, (count + 1) / 2).unsqueeze(-1).view_dtype(Kind::Int).to_kind(Kind::Float); // […, count/2, 2]
    let (mut radius, mut angle) = (pairs.select(-1, 0), pairs.select(-1, 1));
    // Half a step keeps zero out: u is in (0, 1].
    radius = radius.abs_().g_add_scalar_(0.5).g_mul_scalar_(2f64.powi(-31)).log_().g_mul_scalar_(-2.0).sqrt_();
    angle = angle.g_mul_scalar_(std::f64::consts::PI * 2f64.powi(-31));
    Tensor::polar(&radius, &angle).view_as_real().flatten(-2, -1).narrow(-1, 0, count).contiguous()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host;

    const CPU: (Kind, Device) = (Kind::Float, Device::Cpu);

    fn chances(rows: std::ops::Range<u64>, examples: usize) -> Vec<Chance> {
        rows.map(|row| Chance::derive(1, &[row], examples)).collect()
    }

    #[test]
    fn the_hash_is_that_of_splitmix64() {
        let mix = |mut z: u64| {
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        };
        // The published sequence of seed 1234567 begins so; there the counter starts at 1.
        assert_eq!(mix(1_234_567_u64.wrapping_add(GOLDEN as u64)), 6_457_827_717_110_365_317);
        let keys = [7_i64, -3];
        let found = bits(&Tensor::from_slice(&keys).unsqueeze(1), 1000);
        for (key, row) in keys.iter().zip(host::slice::<i64>(&found).chunks(1000)) {
            let number = |i: u64| mix((*key as u64).wrapping_add(i.wrapping_mul(GOLDEN as u64))) as i64;
            assert!(row.iter().enumerate().all(|(i, bits)| *bits == number(i as u64)));
        }
    }

    #[test]
    fn numbers_belong_to_the_row_and_the_step_alone() {
        let draw = |rows, moving, steps: usize| {
            let mut counters = Counters::new(chances(rows, 9), moving, Some(4), CPU);
            let mut step = || (counters.noise().copy(), counters.batch().unwrap().copy());
            (0..steps).map(|_| step()).collect::<Vec<_>>()
        };
        let (together, alone) = (draw(0..3, 5, 70), draw(1..2, 5, 70));
        for ((noise, batch), (own_noise, own_batch)) in together.iter().zip(&alone) {
            // Vector and scalar functions of a CPU differ in the last bit.
            assert!((noise.get(1) - own_noise.get(0)).abs().max().double_value(&[]) < 1e-6);
            let sorted = |batch: &Tensor| Vec::<i64>::try_from(batch.sort(0, false).0).unwrap();
            assert_eq!(sorted(&batch.get(1)), sorted(&own_batch.get(0)));
        }
        assert_ne!(together[0].0, together[1].0);
        assert_ne!(together[0].0.get(0), together[0].0.get(1));
    }

    #[test]
    fn numbers_are_normal_and_uncorrelated_within_and_between_rows_and_steps() {
        let (rows, moving, steps) = (2, 100_001, 5);
        let mut counters = Counters::new(chances(0..rows, 1), moving, None, CPU);
        let draws: Vec<Vec<f32>> =
            (0..steps).map(|_| Vec::try_from(counters.noise().flatten(0, -1)).unwrap()).collect();
        let all: Vec<f64> = draws.concat().into_iter().map(f64::from).collect();
        let n = all.len() as f64;
        // Var(x^k) = E x^2k − (E x^k)²: 1, 2, 15, 96. Four standard errors each.
        for (k, expected, variance) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0f64)] {
            let moment = all.iter().map(|x| x.powi(k)).sum::<f64>() / n;
            assert!((moment - expected).abs() < 4.0 * (variance / n).sqrt(), "moment {k} is {moment}");
        }
        // P(|x| > 4) of the standard normal distribution; 4.5 standard errors.
        let (beyond, expected) = (all.iter().filter(|x| x.abs() > 4.0).count() as f64, n * 6.334_248_37e-5);
        assert!((beyond - expected).abs() < 4.5 * expected.sqrt(), "{beyond} beyond 4, not {expected}");
        // Neighbours, a pair's two numbers among them; the other row; the next step. And their squares.
        let lags = [1, 2, 3, moving, rows as usize * moving];
        for values in [all.clone(), all.iter().map(|x| (x * x - 1.0) / 2f64.sqrt()).collect()] {
            for lag in lags {
                let pairs = values[lag..].iter().zip(&values);
                let c = pairs.map(|(a, b)| a * b).sum::<f64>() / (values.len() - lag) as f64;
                assert!(c.abs() < 4.5 / ((values.len() - lag) as f64).sqrt(), "lag {lag}: {c}");
            }
        }
    }

    #[test]
    fn every_subset_of_each_rows_own_examples_is_equally_likely() {
        let mut mixed = chances(0..1, 5);
        mixed.extend(chances(1..2, 4));
        let mut counters = Counters::new(mixed, 1, Some(2), CPU);
        let steps = 6000;
        let mut counts = [[0u32; 25]; 2];
        for _ in 0..steps {
            let batch = counters.batch().unwrap().contiguous();
            for (pair, counts) in host::slice::<i64>(&batch).chunks(2).zip(&mut counts) {
                counts[(pair[0].min(pair[1]) * 5 + pair[0].max(pair[1])) as usize] += 1;
            }
        }
        for (counts, examples) in counts.iter().zip([5, 4]) {
            let pairs = examples * (examples - 1) / 2;
            let expected = f64::from(steps) / pairs as f64;
            for (i, count) in counts.iter().enumerate() {
                let own = i / 5 < i % 5 && i % 5 < examples;
                // Five standard deviations of a binomial count.
                let near = (f64::from(*count) - expected).abs() < 5.0 * expected.sqrt();
                assert!(if own { near } else { *count == 0 }, "{examples} examples: {counts:?}");
            }
        }
    }
}
