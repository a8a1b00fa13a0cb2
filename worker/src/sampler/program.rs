//! One program: its rows, advanced together from their w* to their last draw.

use tch::{Device, Kind};

use super::dynamics::{self, Place};
use super::ledger::Ledger;
use super::stacking::Row;
use super::{Chain, Chance, Origin, Settings, randomness};
use crate::estimate::Failure;
use crate::host;
use crate::objective::Objective;

/// Runs `rows`, which advance in step, on an objective of as many members. `None` if all their origins are stopped.
pub(super) fn sample<W: Origin>(
    origins: &[&W],
    rows: &[Row],
    objective: &dyn Objective,
    options: (Kind, Device),
    on_device: bool,
) -> Option<Vec<Result<Chain, Failure>>> {
    assert_eq!(objective.members(), rows.len() as i64, "one member a row");
    let of = |row: &Row| origins[row.origin];
    let stopped = || rows.iter().all(|row| of(row).stopped());
    if stopped() {
        return None;
    }

    let settings: Vec<&Settings> = rows.iter().map(|row| of(row).settings()).collect();
    let starts: Vec<&[f32]> = rows.iter().map(|row| of(row).start()).collect();
    let chances: Vec<Chance> = rows.iter().map(|row| of(row).chance(row.chain)).collect();
    let chains: Vec<usize> = rows.iter().map(|row| row.chain).collect();
    let Settings { method, burn_in, draws, batch_size, ref moving, paired, .. } = *settings[0];
    let steps = settings[0].steps();

    let mut place = Place::new(&starts, moving.as_ref(), options);
    let acceptance = chances.iter().map(|chance| chance.acceptance.clone()).collect();
    let mut dynamics = dynamics::of(method, &settings, acceptance, &place);
    let mut random = randomness::of(chances, place.moves(), batch_size, options, on_device);
    let mut ledger = Ledger::new(&chains, burn_in, draws, options.1, on_device);

    for step in 0..steps {
        let batch = random.batch();
        let mut loss = objective.loss_and_gradient(&place.weights, batch, &mut place.gradient); // [R]
        dynamics.settle(&mut place, &mut loss, step >= burn_in);
        if paired && step >= burn_in {
            loss -= objective.loss(&place.start, batch);
        }
        ledger.push(&loss);
        let last = step + 1 == steps;
        if last || ledger.is_due() {
            ledger.look();
            if ledger.all_failed() {
                break;
            }
            if stopped() {
                return None;
            }
        }
        if last {
            break; // the loss of a draw is that before its move: no one would see this one
        }
        dynamics.step(&mut place, random.noise());
    }

    let apart = place.weights.to_kind(Kind::Double) - &place.start;
    let distances = host::values(&apart.square().sum_dim_intlist(1, false, None).sqrt());
    Some(ledger.close(&distances, dynamics.acceptance().as_deref()))
}
