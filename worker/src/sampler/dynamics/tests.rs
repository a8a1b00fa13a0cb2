//! One step of each dynamics against its formula, number by number.

use super::*;
use crate::random::Normals;

const ROWS: usize = 3;
const DIMENSION: usize = 5;
/// The weights that move.
const MOVING: Range<usize> = 1..4;

fn settings(row: usize) -> Settings {
    let times = 1.0 + row as f64;
    Settings { step_size: 0.02 * times, localization: 3.0 / times, nbeta: 50.0 * times, ..Settings::default() }
}

fn random(name: u64, columns: usize) -> Vec<Vec<f32>> {
    let mut normals = Normals::derive(name, "test", &[]);
    let mut row = || {
        let mut row = vec![0.0; columns];
        normals.fill(&mut row);
        row
    };
    (0..ROWS).map(|_| row()).collect()
}

fn tensor(rows: &[Vec<f32>], kind: Kind) -> Tensor {
    Tensor::from_slice(&rows.concat()).view([ROWS as i64, -1]).to_kind(kind)
}

/// A place away from w*, with a gradient and noise.
struct Case {
    place: Place,
    noise: Tensor,
    dynamics: Box<dyn Dynamics>,
}

fn case(method: Method, kind: Kind) -> Case {
    let starts = random(0, DIMENSION);
    let starts: Vec<&[f32]> = starts.iter().map(Vec::as_slice).collect();
    let mut place = Place::new(&starts, Some(&MOVING), (kind, Device::Cpu));
    let all: Vec<Settings> = (0..ROWS).map(settings).collect();
    let acceptance = (0..ROWS as u64).map(|row| Stream::derive(0, "test", &[row])).collect();
    let dynamics = of(method, &all.iter().collect::<Vec<_>>(), acceptance, &place);
    place.weights.copy_(&tensor(&random(1, DIMENSION), kind));
    place.gradient.copy_(&tensor(&random(2, DIMENSION), kind));
    Case { place, noise: tensor(&random(3, MOVING.len()), kind), dynamics }
}

/// Holds the weights after each of two steps against `update` of (w, w*, ∇L, ξ, V, settings), V a number to keep.
fn check(method: Method, update: impl Fn(f64, f64, f64, f64, &mut f64, &Settings) -> f64) {
    let [starts, weights, gradients] = [0, 1, 2].map(|name| random(name, DIMENSION));
    let noise = random(3, MOVING.len());
    for kind in [Kind::Float, Kind::Double] {
        let mut case = case(method, kind);
        let mut kept = [0.0; ROWS * DIMENSION];
        let mut expected: Vec<f64> = weights.concat().into_iter().map(f64::from).collect();
        for _ in 0..2 {
            case.dynamics.step(&mut case.place, &case.noise);
            for row in 0..ROWS {
                for i in MOVING {
                    let at = row * DIMENSION + i;
                    let [start, gradient, noise] =
                        [starts[row][i], gradients[row][i], noise[row][i - MOVING.start]].map(f64::from);
                    expected[at] = update(expected[at], start, gradient, noise, &mut kept[at], &settings(row));
                }
            }
            let found = host::values::<f64>(&case.place.weights);
            // Rounding of f32 at most, of numbers that a few operations made.
            let near = |(found, expected): (&f64, &f64)| (found - expected).abs() < 2e-6 * expected.abs().max(1.0);
            let close = found.iter().zip(&expected).all(near);
            assert!(close, "{kind:?}: {found:?} {expected:?}");
        }
    }
}

#[test]
fn sgld_is_its_formula() {
    check(Method::Sgld, |w, start, gradient, noise, _, settings| {
        let Settings { step_size, localization, nbeta, .. } = *settings;
        w - step_size / 2.0 * (nbeta * gradient + localization * (w - start)) + step_size.sqrt() * noise
    });
}

#[test]
fn preconditioned_sgld_is_its_formula() {
    check(Method::RmspropSgld, |w, start, gradient, noise, square, settings| {
        let Settings { step_size, localization, nbeta, .. } = *settings;
        *square = 0.99 * *square + 0.01 * gradient * gradient;
        let scale = 1.0 / (square.sqrt() + 0.1);
        w - step_size / 2.0 * scale * (nbeta * gradient + localization * (w - start))
            + (step_size * scale).sqrt() * noise
    });
}

#[test]
fn malas_proposal_is_a_step_of_sgld() {
    check(Method::Mala, |w, start, gradient, noise, _, settings| {
        let Settings { step_size, localization, nbeta, .. } = *settings;
        w - step_size / 2.0 * (nbeta * gradient + localization * (w - start)) + step_size.sqrt() * noise
    });
}

#[test]
fn a_pull_below_the_last_digit_of_a_weight_is_not_lost() {
    // Half of the last digit of 1.5 is 6e-8, the pull back to 0 from there (ε/2)·γ·1.5 = 1.5e-8.
    let settings = Settings { step_size: 2e-8, localization: 1.0, ..Settings::default() };
    let start = vec![0f32; 100_000];
    let mut noise = start.clone();
    Normals::derive(0, "test", &[]).fill(&mut noise);
    for (method, scale) in [(Method::Sgld, 1.0), (Method::RmspropSgld, 10.0)] {
        let mut place = Place::new(&[&start], None, (Kind::Float, Device::Cpu));
        let mut dynamics = of(method, &[&settings], vec![Stream::derive(0, "test", &[])], &place);
        let _ = place.weights.fill_(1.5);
        dynamics.step(&mut place, &Tensor::from_slice(&noise).unsqueeze(0));
        let spread = (2e-8_f64 * scale).sqrt();
        let moved = host::values::<f64>(&place.weights).into_iter().zip(&noise);
        let pulled: f64 = moved.map(|(w, noise)| w - 1.5 - spread * f64::from(*noise)).sum::<f64>() / 1e5;
        // Five standard errors: rounding to the last digit, 1.2e-7, has the standard deviation 3.4e-8.
        assert!((pulled + 1.5e-8 * scale).abs() < 5.0 * 3.4e-8 / 1e5f64.sqrt(), "{method:?}: {pulled}");
    }
}

/// ln of exp(−U(w′))·q(w|w′) / (exp(−U(w))·q(w′|w)), from the densities as they are defined.
fn log_ratio(row: usize, from: &[f64], to: &[f64], slopes: [&[f64]; 2], rise: f64) -> f64 {
    let Settings { step_size, localization, nbeta, .. } = settings(row);
    let start = &random(0, DIMENSION)[row];
    let start: Vec<f64> = start.iter().copied().map(f64::from).collect();
    let pull = |w: &[f64]| MOVING.map(|i| (w[i] - start[i]).powi(2)).sum::<f64>() * localization / 2.0;
    let density = |from: &[f64], to: &[f64], slope: &[f64]| {
        let mean = |i: usize| from[i] - step_size / 2.0 * (nbeta * slope[i] + localization * (from[i] - start[i]));
        -MOVING.map(|i| (to[i] - mean(i)).powi(2)).sum::<f64>() / (2.0 * step_size)
    };
    -(nbeta * rise + pull(to) - pull(from)) + density(to, from, slopes[1]) - density(from, to, slopes[0])
}

#[test]
fn mala_accepts_by_the_ratio_of_densities() {
    let gradients = [random(2, DIMENSION), random(4, DIMENSION)];
    let wide = |rows: &[Vec<f32>], row: usize| rows[row].iter().copied().map(f64::from).collect::<Vec<_>>();
    for kind in [Kind::Float, Kind::Double] {
        for higher in [true, false] {
            let mut case = case(Method::Mala, kind);
            let mut loss = Tensor::from_slice(&[1.0, 1.5, 2.0]).to_kind(kind);
            case.dynamics.settle(&mut case.place, &mut loss, true);
            assert_eq!(case.dynamics.acceptance(), None, "nothing was proposed yet");
            let before = host::values::<f64>(&case.place.weights);
            case.dynamics.step(&mut case.place, &case.noise);
            let after = host::values::<f64>(&case.place.weights);
            case.place.gradient.copy_(&tensor(&gradients[1], kind));

            // Losses that put the ratio just above and just below the chance that decides.
            let mut decided = Vec::new();
            for row in 0..ROWS {
                let own = row * DIMENSION..(row + 1) * DIMENSION;
                let slopes = [wide(&gradients[0], row), wide(&gradients[1], row)];
                let level = log_ratio(row, &before[own.clone()], &after[own], [&slopes[0], &slopes[1]], 0.0);
                let chance = Stream::derive(0, "test", &[row as u64]).uniform().ln();
                // ln α = level − nβ·(L′ − L); 0.01 is far above the rounding of ln α, and far below its size.
                let margin = if higher { -0.01 } else { 0.01 };
                decided.push((level - chance + margin) / settings(row).nbeta + [1.0, 1.5, 2.0][row]);
            }
            let mut loss = Tensor::from_slice(&decided).to_kind(kind);
            let proposed = host::values::<f64>(&loss);
            case.dynamics.settle(&mut case.place, &mut loss, true);
            let gradient = host::values::<f64>(&case.place.gradient);
            if higher {
                assert_eq!((host::values::<f64>(&case.place.weights), host::values::<f64>(&loss)), (after, proposed));
                assert_eq!(gradient[1], f64::from(gradients[1][0][1]));
                assert_eq!(case.dynamics.acceptance(), Some(vec![1.0; ROWS]));
            } else {
                assert_eq!(
                    (host::values::<f64>(&case.place.weights), host::values::<f64>(&loss)),
                    (before, vec![1.0, 1.5, 2.0])
                );
                assert_eq!(gradient[1], f64::from(gradients[0][0][1]));
                assert_eq!(case.dynamics.acceptance(), Some(vec![0.0; ROWS]));
            }
        }
    }
}
