//! Deep linear networks y = W_L ⋯ W_1 x.
//!
//! H¹ … H^{L+1} are the layer widths from input to output, r the rank of the true product, M^s = H^s − r.

/// A learning coefficient λ with its multiplicity m.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LearningCoefficient {
    /// λ.
    pub value: f64,
    /// m, the order of the pole; 1 where an estimate at finite temperature has no logarithmic bias.
    pub multiplicity: u64,
}

/// The learning coefficient of a deep linear network at a true product of rank r (Aoyagi 2024, "Consideration on the
/// learning efficiency of multiple-layered neural networks with linear units").
///
/// Sort M ascending. S is its prefix of ℓ+1 elements, ℓ ≥ 1, with max S < min of the rest, sum S ≥ ℓ·max S and
/// sum S < ℓ·min of the rest. With s = sum S, M = ⌈s/ℓ⌉ and a = s − (M−1)·ℓ:
///
/// λ = (−r² + r(H¹ + H^{L+1}))/2 + a(ℓ−a)/(4ℓ) − (ℓ(ℓ−1)/4)·(s/ℓ)² + ½·Σ_{i<j∈S} M_i M_j,  m = a(ℓ−a) + 1
///
/// It is the LLC at weights whose every layer has rank r: they lie in the lowest stratum. `None` for fewer than two
/// widths or a rank beyond the narrowest.
#[must_use]
pub fn deep_linear(widths: &[u64], rank: u64) -> Option<LearningCoefficient> {
    let [input, .., output] = *widths else { return None };
    let mut excess = widths.iter().map(|width| width.checked_sub(rank)).collect::<Option<Vec<_>>>()?;
    excess.sort_unstable();
    let chosen = (2..=excess.len()).map(|count| excess.split_at(count)).find_map(|(chosen, rest)| {
        let (layers, sum) = (chosen.len() as u64 - 1, chosen.iter().sum::<u64>());
        let most = *chosen.last()?;
        let apart = rest.first().is_none_or(|least| most < *least && sum < layers * least);
        (apart && sum >= layers * most).then_some(chosen)
    })?;
    let (l, s, r) = (chosen.len() as i64 - 1, chosen.iter().sum::<u64>() as i64, rank as i64);
    let a = s - ((s + l - 1).div_euclid(l) - 1) * l;
    // With 2·Σ_{i<j} M_i M_j = s² − Σ M_i² all but the first term is (a(ℓ−a) + s² − ℓ·Σ M_i²)/(4ℓ): integers stay exact.
    let squares: i64 = chosen.iter().map(|m| (m * m) as i64).sum();
    let regular = r * (input + output) as i64 - r * r;
    let value = regular as f64 / 2.0 + (a * (l - a) + s * s - l * squares) as f64 / (4 * l) as f64;
    Some(LearningCoefficient { value, multiplicity: (a * (l - a)) as u64 + 1 })
}

/// The directions in which layer `layer`, counted from 1, changes the output of a network while the others stay: its inputs
/// that the layers before it reach, times its outputs that those after it pass on. Every layer has rank r.
///
/// `None` if there is no such layer.
#[must_use]
pub fn layer_directions(widths: &[u32], rank: u32, layer: u32) -> Option<u64> {
    let last = (widths.len() as u32).checked_sub(1).filter(|last| (1..=*last).contains(&layer))?;
    let reached = if layer == 1 { *widths.first()? } else { rank };
    let passed_on = if layer == last { *widths.last()? } else { rank };
    Some(u64::from(reached) * u64::from(passed_on))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_of_the_literature_come_out() {
        let known: [(&[u64], u64, f64, u64); 13] = [
            (&[1, 1, 1], 0, 0.5, 2),
            (&[2, 2, 2], 0, 1.5, 1),
            (&[2, 2, 2], 1, 2.0, 2),
            (&[2, 2, 2], 2, 2.0, 1),
            (&[5, 3, 5], 1, 8.0, 1),
            (&[5, 4, 5], 0, 8.0, 1),
            (&[3, 8, 4], 2, 6.0, 1),
            (&[3, 3, 3, 3], 1, 4.0, 3),
            (&[10, 5, 10, 5, 10], 2, 22.5, 1),
            (&[20, 20, 20], 5, 172.0, 2),
            (&[100, 100, 100], 10, 3987.5, 1),
            (&[4, 3], 0, 6.0, 1),
            (&[4, 3], 2, 6.0, 1),
        ];
        for (widths, rank, value, multiplicity) in known {
            let found = deep_linear(widths, rank);
            assert_eq!(found, Some(LearningCoefficient { value, multiplicity }), "{widths:?} rank {rank}");
        }
    }

    #[test]
    fn at_full_rank_there_is_one_stratum() {
        // λ = r(H¹ + H^{L+1} − r)/2 for r = the least width.
        for widths in [vec![2, 2, 2], vec![5, 3, 4], vec![7, 2, 9, 4], vec![3, 8, 4], vec![4, 5, 6]] {
            let r = widths.iter().copied().min().unwrap();
            let ends = widths[0] + widths[widths.len() - 1];
            assert_eq!(deep_linear(&widths, r).unwrap().value, (r * (ends - r)) as f64 / 2.0, "{widths:?}");
        }
    }

    #[test]
    fn every_network_has_exactly_one_prefix_that_fits() {
        for a in 0..7u64 {
            for b in 0..7 {
                for c in 0..7 {
                    for d in 0..7 {
                        let exact = deep_linear(&[a, b, c, d], 0).unwrap();
                        // No more than half the parameters, nor than half the entries of the product.
                        let parameters = (a * b + b * c + c * d) as f64;
                        assert!(exact.value >= 0.0 && exact.value <= parameters.min((a * d) as f64) / 2.0);
                        assert_eq!(deep_linear(&[d, c, b, a], 0), Some(exact), "transposing changes nothing");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_no_network_has_no_value() {
        assert_eq!(deep_linear(&[3], 0), None);
        assert_eq!(deep_linear(&[3, 2, 3], 3), None);
    }
}
