//! Reduced-rank regression y = B·A·x around A = B = 0, at the temperature of a sampler.
//!
//! Letters: A is H×N, B is M×H; inputs have the identity as their second moments, so that L = ½·‖B·A‖². β stands for
//! nβ/γ², which is all that the temperature and the localisation decide.

/// Eigenvalues beyond which powers up to their number are too much alike for double precision.
const MOST_EIGENVALUES: u32 = 6;

/// nβ·E(L) under the density exp(−nβ·L − (γ/2)·(‖A‖² + ‖B‖²)), for `widths` = [N, H, M], to six digits; `None` where the
/// narrower of N and H is beyond six, and where numbers overflow.
///
/// Given A, the rows of B are Gaussian, and integrating them out leaves, over the q = min(N, H) eigenvalues x of A·Aᵀ or
/// Aᵀ·A, Z(β) = ∫ Π_{i<j} |x_i − x_j|·Π_i w(x_i) dx with w(x) = x^((|N−H|−1)/2)·e^(−x/2)·(1+β·x)^(−M/2). By de Bruijn's
/// formula Z is, up to a constant, the Pfaffian of the skew matrix
///
/// S_jk = ∫∫_{x<y} (x^j·y^k − x^k·y^j)·w(x)·w(y) dx dy, j, k = 0 … q−1,
///
/// bordered by ∫ x^j·w(x) dx if q is odd. With g = −∂ ln w/∂ ln β = (M/2)·β·x/(1+β·x), and G = −∂S/∂ ln β which has the
/// integrals with the factor g(x) + g(y), the value sought is −∂ ln Z/∂ ln β = ½·tr(S⁻¹·G). It is the same for any factor of
/// w, and for powers of any shifted and scaled x: those of the distance from where eigenvalues are tell each other apart.
#[must_use]
pub fn reduced_rank_at_temperature(widths: [u32; 3], nbeta: f64, localization: f64) -> Option<f64> {
    let [inputs, hidden, outputs] = widths;
    let q = inputs.min(hidden);
    let beta = nbeta / (localization * localization);
    if !((1..=MOST_EIGENVALUES).contains(&q) && beta.is_finite() && beta > 0.0) {
        return None;
    }
    let density = Density {
        beta,
        exponent: f64::from(inputs.abs_diff(hidden)) / 2.0 - 0.5,
        half: f64::from(outputs) / 2.0,
        largest: f64::from(inputs.max(hidden)),
    };
    let points = density.points(q - 1, 1.0);
    Some(by_quadrature(&points, q as usize)).filter(|value| value.is_finite())
}

/// w, with what decides where it lies.
struct Density {
    /// β
    beta: f64,
    /// (|N−H|−1)/2
    exponent: f64,
    /// M/2
    half: f64,
    /// The larger of N and H, which is of the order of the largest eigenvalue.
    largest: f64,
}

/// A point x of a quadrature.
struct Point {
    /// x, shifted and scaled to where eigenvalues are.
    place: f64,
    /// w(x) dx, but for a common factor.
    weight: f64,
    /// g(x)
    slope: f64,
}

impl Density {
    /// Points by equal steps of ln x, `times` as long as they should be, for polynomials up to this `degree`.
    fn points(&self, degree: u32, times: f64) -> Vec<Point> {
        // Eigenvalues that are many times as large as their number lie within √(2/N) of each other.
        let step = times * 0.004_f64.min(0.05 / self.largest.sqrt());
        // Below 1/β what is left falls like √x.
        let (from, to) = (-40.0 - self.beta.ln().max(0.0), (80.0 + 8.0 * self.largest).ln());
        let grid: Vec<f64> = (0..((to - from) / step) as u32).map(|i| from + step * f64::from(i)).collect();
        // ln of w dx: numbers beyond what doubles hold, which differ by little.
        let log_weight = |ln_x: f64| {
            let x = ln_x.exp();
            (self.exponent + 1.0) * ln_x - x / 2.0 - self.half * (self.beta * x).ln_1p()
        };
        // Means under x^degree·w.
        let mean = |degree: u32, of: &dyn Fn(f64) -> f64| {
            let log_weight = |ln_x: f64| log_weight(ln_x) + f64::from(degree) * ln_x;
            let most = grid.iter().map(|ln_x| log_weight(*ln_x)).fold(f64::NEG_INFINITY, f64::max);
            let weights = grid.iter().map(|ln_x| (ln_x.exp(), (log_weight(*ln_x) - most).exp()));
            let sums = weights.fold([0.0; 2], |[all, sum], (x, weight)| [all + weight, sum + weight * of(x)]);
            sums[1] / sums[0]
        };
        // Eigenvalues repel each other: the largest of them lies where x^degree·w is.
        let middle = mean(0, &|x| x);
        let spread = mean(degree, &|x| (x - middle).powi(2)).sqrt();
        let most = grid.iter().map(|ln_x| log_weight(*ln_x)).fold(f64::NEG_INFINITY, f64::max);
        let point = |ln_x: &f64| {
            let x = ln_x.exp();
            let slope = self.half * self.beta * x / (1.0 + self.beta * x);
            Point { place: (x - middle) / spread, weight: (log_weight(*ln_x) - most).exp(), slope }
        };
        grid.iter().map(point).collect()
    }
}

/// ½·tr(S⁻¹·G) of q eigenvalues.
fn by_quadrature(points: &[Point], q: usize) -> f64 {
    let size = q + q % 2;
    let [mut s, mut g] = [vec![vec![0.0; size]; size], vec![vec![0.0; size]; size]];
    // Integrals up to x of x^j·w and x^j·g·w.
    let [mut below, mut slopes_below] = [vec![0.0; q], vec![0.0; q]];
    for Point { place, weight, slope } in points {
        let powers: Vec<f64> = (0..q).map(|j| weight * place.powi(j as i32)).collect();
        for j in 0..q {
            for k in 0..q {
                let here = below[j] * powers[k] - below[k] * powers[j];
                s[j][k] += here;
                g[j][k] += here * slope + slopes_below[j] * powers[k] - slopes_below[k] * powers[j];
            }
            if q < size {
                s[j][q] += powers[j];
                s[q][j] -= powers[j];
                g[j][q] += powers[j] * slope;
                g[q][j] -= powers[j] * slope;
            }
        }
        for j in 0..q {
            below[j] += powers[j];
            slopes_below[j] += powers[j] * slope;
        }
    }
    trace_of_quotient(s, g) / 2.0
}

/// tr(S⁻¹·G), by elimination with pivots.
fn trace_of_quotient(mut s: Vec<Vec<f64>>, mut g: Vec<Vec<f64>>) -> f64 {
    let size = s.len();
    for column in 0..size {
        let pivot = (column..size).max_by(|a, b| s[*a][column].abs().total_cmp(&s[*b][column].abs())).unwrap_or(column);
        s.swap(column, pivot);
        g.swap(column, pivot);
        for row in (0..size).filter(|row| *row != column) {
            let factor = s[row][column] / s[column][column];
            for k in 0..size {
                s[row][k] -= factor * s[column][k];
                g[row][k] -= factor * g[column][k];
            }
        }
    }
    (0..size).map(|i| g[i][i] / s[i][i]).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theory::{crossing_at_temperature, deep_linear};

    fn at(widths: [u32; 3], nbeta: f64) -> f64 {
        reduced_rank_at_temperature(widths, nbeta, 1.0).unwrap()
    }

    /// The same by quadrature over both of two eigenvalues.
    fn two_eigenvalues(inputs: f64, outputs: f64, nbeta: f64) -> f64 {
        let points: Vec<f64> = (0..1500).map(|i| f64::exp(-32.0 + 37.0 * f64::from(i) / 1499.0)).collect();
        let density = |x: f64| x.powf((inputs - 1.0) / 2.0) * (-x / 2.0).exp() * (nbeta * x + 1.0).powf(-outputs / 2.0);
        let loss = |x: f64| outputs / 2.0 * nbeta * x / (nbeta * x + 1.0);
        let (mut weight, mut weighted) = (0.0, 0.0);
        for x in &points {
            for y in &points {
                let both = density(*x) * density(*y) * (x - y).abs();
                weight += both;
                weighted += both * (loss(*x) + loss(*y));
            }
        }
        weighted / weight
    }

    #[test]
    fn the_pfaffian_has_the_value_of_the_integral() {
        for (inputs, outputs, nbeta) in [(2, 2, 1e3), (2, 2, 3e3), (4, 4, 1e3), (5, 3, 10.0)] {
            let exact = two_eigenvalues(f64::from(inputs), f64::from(outputs), nbeta);
            let found = at([inputs, 2, outputs], nbeta);
            // The rougher of the two is the integral, with steps of 0.025 across the kink at x = y.
            assert!((found - exact).abs() < 1e-4, "{found} {exact}");
        }
        // By quadrature over four eigenvalues and extrapolation.
        assert!((at([5, 4, 5], 1e3) - 7.8065).abs() < 2e-4);
    }

    #[test]
    fn one_weight_a_layer_is_a_normal_crossing() {
        for nbeta in [1e2, 1e4, 1e6] {
            let crossing = crossing_at_temperature([1, 1], nbeta, 2.0).unwrap();
            let found = reduced_rank_at_temperature([1, 1, 1], nbeta, 2.0).unwrap();
            assert!((found - crossing).abs() < 1e-7, "{found} {crossing}");
        }
    }

    #[test]
    fn all_that_counts_are_the_ends_and_the_middle() {
        // Transposing the network changes nothing, whichever matrix is integrated out.
        for widths in [[5, 3, 4], [2, 4, 3], [1, 2, 6], [6, 5, 3]] {
            let [n, h, m] = widths;
            assert!((at(widths, 1e3) - at([m, h, n], 1e3)).abs() < 1e-5, "{widths:?}");
        }
    }

    #[test]
    fn cold_values_approach_the_learning_coefficient() {
        for widths in [[2, 2, 2], [4, 2, 4], [5, 4, 5], [6, 6, 2], [3, 8, 4]] {
            let exact = deep_linear(&widths.map(u64::from), 0).unwrap();
            assert_eq!(exact.multiplicity, 1);
            let errors = [1e4, 1e8, 1e12].map(|nbeta| (at(widths, nbeta) - exact.value).abs());
            assert!(errors[0] > errors[1] && errors[1] > errors[2] && errors[2] < 1e-4, "{widths:?}: {errors:?}");
        }
        // With a multiplicity of 2 only like 1/ln nβ.
        assert_eq!(deep_linear(&[2, 1, 2], 0).unwrap().multiplicity, 2);
        assert!((at([2, 1, 2], 1e12) - 1.0).abs() > 0.01);
    }

    #[test]
    fn networks_too_wide_for_double_precision_have_no_value() {
        assert_eq!(reduced_rank_at_temperature([7, 7, 7], 1e3, 1.0), None);
        assert_eq!(reduced_rank_at_temperature([2, 2, 2], 1e3, 0.0), None);
    }

    #[test]
    fn wide_layers_have_a_value_and_shorter_steps_do_not_change_it() {
        for widths in
            [[200, 2, 2], [2, 200, 2], [250, 2, 5], [300, 6, 5], [150, 6, 5], [6, 4096, 3], [5, 4, 5], [6, 6, 2]]
        {
            for nbeta in [1e3, 1e6] {
                let found = at(widths, nbeta);
                let [inputs, hidden, outputs] = widths.map(f64::from);
                let density = Density {
                    beta: nbeta,
                    exponent: (inputs - hidden).abs() / 2.0 - 0.5,
                    half: outputs / 2.0,
                    largest: inputs.max(hidden),
                };
                let q = widths[0].min(widths[1]);
                let finer = by_quadrature(&density.points(q - 1, 0.5), q as usize);
                assert!((found / finer - 1.0).abs() < 1e-6, "{widths:?} {nbeta}: {found} {finer}");
            }
        }
        // Two eigenvalues near 200 are far above 1/β: all of B's four directions are seen, but for Σ 1/(β·x). The density is
        // that of Wishart matrices of 200 − 2 degrees of freedom, whose inverse has the trace 2/(198 − 2 − 1) in the mean.
        let seen = 2.0 - 1e-3 * 2.0 / 195.0;
        assert!((at([200, 2, 2], 1e3) - seen).abs() < 1e-6, "{}", at([200, 2, 2], 1e3));
    }
}
