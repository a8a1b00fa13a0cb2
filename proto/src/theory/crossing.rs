//! Normal crossings L = ½·(w_1^k_1·w_2^k_2)², at the temperature of a sampler.

/// λ, the learning coefficient at w* = 0: the least of 1/(2k_i).
#[must_use]
pub fn crossing(powers: [u32; 2]) -> f64 {
    0.5 / f64::from(powers[0].max(powers[1]))
}

/// nβ·E(L) under the density exp(−nβ·L − (γ/2)·‖w‖²), which exact draws around w* = 0 find.
///
/// Quadrature over the logarithms of |w_1| and |w_2|, where integrands fall off so fast at both ends that equally spaced
/// points converge like a spectral method: to ten digits for the powers that a task may have. `None` without localisation,
/// as the valleys w_i = 0 have no end, and where numbers overflow.
#[must_use]
pub fn crossing_at_temperature(powers: [u32; 2], nbeta: f64, localization: f64) -> Option<f64> {
    by_quadrature(powers, nbeta, localization, 1.0)
}

/// The same with steps that are so many times as long.
fn by_quadrature(powers: [u32; 2], nbeta: f64, localization: f64, times: f64) -> Option<f64> {
    let [k1, k2] = powers.map(|power| power as i32);
    // With √γ·w for w it is nβ·γ^(−k_1−k_2) at γ = 1.
    let nbeta = nbeta * localization.powi(-k1 - k2);
    if !(nbeta.is_finite() && nbeta > 0.0) {
        return None;
    }
    // A line w_i = 0 is about 1/√nβ wide; below that, what is left falls like |w_i| itself.
    let (from, to) = (-25.0 - nbeta.ln().max(0.0) / 2.0, 2.3);
    let points = |power: i32| -> Vec<[f64; 2]> {
        // exp(−c·w^{2k}) goes from 1 to 0 within about 1/k of ln w.
        let step = times * 0.2 / f64::from(power.max(2));
        let density = |w: f64| [w.powi(2 * power), w * (-w * w / 2.0).exp()];
        (0..((to - from) / step) as i32).map(|i| density(f64::exp(from + step * f64::from(i)))).collect()
    };
    let (first, second) = (points(k1), points(k2));
    let (mut weight, mut weighted) = (0.0, 0.0);
    for [square1, prior1] in &first {
        for [square2, prior2] in &second {
            let loss = nbeta / 2.0 * square1 * square2;
            let density = prior1 * prior2 * (-loss).exp();
            weight += density;
            weighted += density * loss;
        }
    }
    Some(weighted / weight).filter(|value| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_values_come_out_at_every_temperature() {
        for (powers, limit, hot, cold, colder) in [
            ([1, 0], 0.5, 0.49505, 0.49995, 0.50000),
            ([2, 0], 0.25, 0.23838, 0.24881, 0.24988),
            ([1, 1], 0.5, 0.33877, 0.40668, 0.43472),
            ([1, 2], 0.25, 0.19763, 0.23314, 0.24466),
            ([2, 2], 0.25, 0.14048, 0.17493, 0.19393),
        ] {
            assert_eq!(crossing(powers), limit);
            for (nbeta, value) in [(1e2, hot), (1e4, cold), (1e6, colder)] {
                let found = crossing_at_temperature(powers, nbeta, 1.0).unwrap();
                assert!((found - value).abs() < 1e-5, "{powers:?} {nbeta}: {found}"); // the digits that are known
                let [k1, k2] = powers;
                let mirrored = crossing_at_temperature([k2, k1], nbeta, 1.0).unwrap();
                assert!((found - mirrored).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn a_single_direction_has_its_closed_form_at_any_localisation() {
        for (nbeta, localization) in [(1e2, 1.0), (1e4, 30.0), (1.0, 1e-3), (1e8, 1e2)] {
            let found = crossing_at_temperature([1, 0], nbeta, localization).unwrap();
            let exact = 0.5 * nbeta / (nbeta + localization);
            assert!((found / exact - 1.0).abs() < 1e-9, "{found} {exact}");
        }
        assert_eq!(crossing_at_temperature([1, 1], 1e2, 0.0), None);
    }

    #[test]
    fn shorter_steps_change_nothing_whatever_the_powers() {
        for powers in [[8, 0], [7, 5], [2, 0]] {
            for nbeta in [1e2, 1e6] {
                let found = crossing_at_temperature(powers, nbeta, 1.0).unwrap();
                let finer = by_quadrature(powers, nbeta, 1.0, 0.5).unwrap();
                assert!((found / finer - 1.0).abs() < 1e-9, "{powers:?} {nbeta}: {found} {finer}");
            }
        }
        // By an independent quadrature.
        assert!((crossing_at_temperature([8, 0], 1e2, 1.0).unwrap() - 0.051289).abs() < 1e-6);
    }
}
