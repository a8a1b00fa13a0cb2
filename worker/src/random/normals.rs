//! Standard normal numbers at the rate of SGLD: each step needs one for every weight of every chain.
//!
//! Sixteen xoshiro128++ generators side by side, and the transform of Box and Muller with polynomials in place of libm's
//! functions, so that the compiler turns the loop over lanes into vector instructions. Products are fused with additions where
//! that is written and nowhere else: every instruction set gives the same bits.

use super::derive;
use crate::host::widest;

const LANES: usize = 16;
/// Numbers of one round: a cosine and a sine a lane.
const BLOCK: usize = 2 * LANES;

/// A stream of standard normal numbers. Their resolution is that of f32 and their size at most 6.7.
#[derive(Clone, Debug)]
pub struct Normals {
    /// Word by word of the state, each for all lanes.
    state: [[u32; LANES]; 4],
}

impl Normals {
    /// The stream of this name. Streams of different names are independent.
    #[must_use]
    pub fn derive(seed: u64, name: &str, indices: &[u64]) -> Self {
        let mut bytes = [0; 4 * 4 * LANES];
        derive(seed, name, indices, &mut bytes);
        let mut state = [[0; LANES]; 4];
        for (word, bytes) in state.as_flattened_mut().iter_mut().zip(bytes.as_chunks().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        Self { state }
    }

    /// Fills `out`. The numbers come in blocks, and what a call leaves of its last block is dropped.
    pub fn fill(&mut self, out: &mut [f32]) {
        fill_widest(&mut self.state, out);
    }

    /// Fills `out` with the same numbers as [`Normals::fill`].
    pub fn fill_f64(&mut self, out: &mut [f64]) {
        let mut block = [0f32; BLOCK];
        for chunk in out.chunks_mut(BLOCK) {
            self.fill(&mut block);
            for (value, normal) in chunk.iter_mut().zip(block) {
                *value = f64::from(normal);
            }
        }
    }
}

widest! {
    fn fill_widest(state: &mut [[u32; LANES]; 4], out: &mut [f32]) {
        fill(state, out);
    }
}

#[inline(always)]
fn fill(state: &mut [[u32; LANES]; 4], out: &mut [f32]) {
    let (blocks, rest) = out.as_chunks_mut::<BLOCK>();
    let mut local = *state; // lets the compiler keep it in registers
    for block in blocks {
        round(&mut local, block);
    }
    if !rest.is_empty() {
        let mut block = [0.0; BLOCK];
        round(&mut local, &mut block);
        rest.copy_from_slice(&block[..rest.len()]);
    }
    *state = local;
}

#[inline(always)]
fn round(state: &mut [[u32; LANES]; 4], out: &mut [f32; BLOCK]) {
    let (cosines, sines) = out.split_at_mut(LANES);
    let radius = next(state);
    let angle = next(state);
    for lane in 0..LANES {
        let r = radius_of(radius[lane]);
        let (cos, sin) = direction_of(angle[lane]);
        cosines[lane] = r * cos;
        sines[lane] = r * sin;
    }
}

/// One step of every lane's generator.
#[inline(always)]
fn next(state: &mut [[u32; LANES]; 4]) -> [u32; LANES] {
    let [a, b, c, d] = state;
    let mut result = [0; LANES];
    for lane in 0..LANES {
        result[lane] = a[lane].wrapping_add(d[lane]).rotate_left(7).wrapping_add(a[lane]);
        let t = b[lane] << 9;
        c[lane] ^= a[lane];
        d[lane] ^= b[lane];
        b[lane] ^= c[lane];
        a[lane] ^= d[lane];
        c[lane] ^= t;
        d[lane] = d[lane].rotate_left(11);
    }
    result
}

/// √(−2 ln u) for a uniform u in (0, 1].
#[inline(always)]
fn radius_of(bits: u32) -> f32 {
    // 31 bits, because every processor converts signed integers; half a step keeps zero out.
    let u = ((bits >> 1) as i32 as f32 + 0.5) * 2f32.powi(-31);
    // u = m·2^e with m in [√½, √2): the logarithm of m is a polynomial in m − 1 (Cephes logf, 1 ulp).
    let shifted = u.to_bits().wrapping_sub(0x3f35_04f3);
    let e = (shifted as i32 >> 23) as f32;
    let x = f32::from_bits((shifted & 0x007f_ffff).wrapping_add(0x3f35_04f3)) - 1.0;
    let mut p = 7.037_683_6e-2_f32;
    for coefficient in [
        -1.151_461e-1,
        1.167_699_9e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_8e-1,
        2.000_071_5e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ] {
        p = p.mul_add(x, coefficient);
    }
    let square = x * x;
    let ln = e.mul_add(std::f32::consts::LN_2, (p * x).mul_add(square, square.mul_add(-0.5, x)));
    (-2.0 * ln.min(0.0)).sqrt()
}

/// Cosine and sine of the angle 2π·bits/2³².
#[inline(always)]
fn direction_of(bits: u32) -> (f32, f32) {
    // The nearest quarter turn, and the rest in ±π/4 (Cephes sinf and cosf, 1 ulp there).
    let quarter = bits.wrapping_add(1 << 29) >> 30;
    let x = (bits << 2) as i32 as f32 * (std::f32::consts::FRAC_PI_4 * 2f32.powi(-31));
    let square = x * x;
    let sin = square.mul_add(square.mul_add(-1.951_529_6e-4, 8.332_161e-3), -1.666_665_5e-1);
    let sin = (x * square).mul_add(sin, x);
    let cos = square.mul_add(square.mul_add(2.443_315_7e-5, -1.388_731_6e-3), 4.166_664_6e-2);
    let cos = (square * square).mul_add(cos, square.mul_add(-0.5, 1.0));
    // Turned by quarters: (c, s), (−s, c), (−c, −s), (s, −c).
    let (a, b) = if quarter & 1 == 0 { (cos, sin) } else { (sin, cos) };
    let sign = |value: f32, negative: u32| f32::from_bits(value.to_bits() ^ (negative << 31));
    (sign(a, (quarter + 1) >> 1 & 1), sign(b, quarter >> 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(n: usize) -> Vec<f32> {
        let mut out = vec![0.0; n];
        Normals::derive(5, "test", &[1]).fill(&mut out);
        out
    }

    #[test]
    fn numbers_are_those_of_the_formula_in_double_precision() {
        for i in 0..100_000u32 {
            let bits = i.wrapping_mul(2_654_435_761);
            let u = (f64::from((bits >> 1) as i32 as f32) + 0.5) * 2f64.powi(-31);
            let expected = (-2.0 * u.min(1.0).ln()).sqrt();
            // Rounding of u in f32 is part of the transform near u = 1, where it shifts −2 ln u by 2⁻²⁴ at most.
            assert!(
                (f64::from(radius_of(bits)).powi(2) - expected.powi(2)).abs() < 2e-7 + 4e-7 * expected.powi(2),
                "{bits}"
            );
            let angle = std::f64::consts::TAU * f64::from(bits) / 2f64.powi(32);
            let (cos, sin) = direction_of(bits);
            // Three units in the last place of 1.
            assert!(
                (f64::from(cos) - angle.cos()).abs() < 2e-7 && (f64::from(sin) - angle.sin()).abs() < 2e-7,
                "{bits}"
            );
        }
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        let mut normals = Normals::derive(5, "test", &[1]);
        let mut plain = vec![0.0; 1000];
        fill(&mut normals.state, &mut plain);
        assert_eq!(plain, draw(1000));
        let mut double = vec![0.0; 1000];
        Normals::derive(5, "test", &[1]).fill_f64(&mut double);
        assert!(plain.iter().zip(double).all(|(a, b)| f64::from(*a) == b));
    }

    #[test]
    fn golden_numbers() {
        // Results of older versions must stay reproducible, or the numerics version must be raised.
        let many = draw(100_000);
        assert_eq!(many[..3], GOLDEN);
        let bytes: Vec<u8> = many.iter().flat_map(|value| value.to_le_bytes()).collect();
        assert_eq!(blake3::hash(&bytes).to_hex()[..16], *HASH, "of all of them");
    }
    const GOLDEN: [f32; 3] = [0.428_254_3, 0.810_067_95, 0.818_130_73];
    const HASH: &str = "e29192911eff5009";

    #[test]
    fn moments_are_those_of_the_standard_normal_distribution() {
        let n = 4_000_000;
        let values = draw(n);
        let moment = |k| values.iter().map(|value| f64::from(*value).powi(k)).sum::<f64>() / n as f64;
        // Var(x^k) = E x^2k − (E x^k)²: 1, 2, 15, 96. Four standard errors each.
        for (k, expected, variance) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0f64)] {
            let error = moment(k) - expected;
            assert!(error.abs() < 4.0 * (variance / n as f64).sqrt(), "moment {k} is off by {error}");
        }
    }

    #[test]
    fn tails_have_their_weight() {
        let n = 4_000_000;
        let values = draw(n);
        // P(|x| > t) of the standard normal distribution.
        for (t, p) in [
            (0.5, 0.617_075_077),
            (1.0, 0.317_310_508),
            (2.0, 4.550_026_39e-2),
            (3.0, 2.699_796_06e-3),
            (4.0, 6.334_248_37e-5),
        ] {
            let (expected, beyond) = (n as f64 * p, values.iter().filter(|value| value.abs() > t).count() as f64);
            assert!(
                (beyond - expected).abs() < 4.5 * (expected * (1.0 - p)).sqrt(),
                "{beyond} beyond {t}, not {expected}"
            );
        }
    }

    #[test]
    fn lanes_neighbours_and_streams_are_uncorrelated() {
        let n = 1_000_000;
        let values = draw(n);
        let mut other = vec![0.0; n];
        Normals::derive(5, "test", &[2]).fill(&mut other);
        let correlation =
            |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>() / a.len() as f64;
        // Squares too: the cosine and the sine of a lane share a radius.
        let squares: Vec<f32> = values.iter().map(|value| (value * value - 1.0) / std::f32::consts::SQRT_2).collect();
        for lag in [1, LANES, BLOCK] {
            for series in [&values, &squares] {
                let c = correlation(&series[lag..], &series[..n - lag]);
                // Each has variance 1: 4.5 standard errors.
                assert!(c.abs() < 4.5 / (n as f64).sqrt(), "lag {lag}: {c}");
            }
        }
        assert!(correlation(&values, &other).abs() < 4.5 / (n as f64).sqrt());
    }
}
