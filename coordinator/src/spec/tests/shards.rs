//! Shards: what of a sweep is leased where `llc.shards` splits each point's estimates.

use super::super::Spec;
use super::{BASE, spec};
use crate::work::Cost;

/// Three points that estimate at 11 checkpoints each.
fn sweep(shards: &str) -> Spec {
    spec(&lines(shards))
}

fn lines(shards: &str) -> String {
    format!(
        "[task.checkpoints]\nevery = 10\n[task.llc]\npreset = \"authors_code\"\nbatch_size = 16\n{shards}\n[axes]\nseed = [5, 6, 7]"
    )
}

fn refusal(source: &str) -> String {
    Spec::parse(source, &[]).unwrap_err().to_string()
}

#[test]
fn a_sweep_that_splits_nothing_leases_its_points() {
    for shards in ["", "shards = 1"] {
        let spec = sweep(shards);
        assert_eq!((spec.size(), spec.shards().count()), (3, 3));
        assert_eq!(spec.shard(2), spec.task(2));
    }
}

#[test]
fn the_shards_of_a_point_are_neighbours_and_share_its_estimates() {
    let spec = sweep("shards = 4");
    assert_eq!((spec.size(), spec.shards().count()), (3, 12));
    let shards: Vec<_> = (4..8).map(|number| spec.shard(number).unwrap()).collect();
    assert!(shards.iter().all(|shard| shard.seed == 6));
    assert_eq!(shards[3].llc_steps(), [30, 70]);
    let mut steps: Vec<_> = shards.iter().flat_map(|shard| shard.record_steps()).collect();
    steps.sort_unstable();
    assert_eq!(steps, sweep("").task(1).unwrap().record_steps());
    assert_eq!(Spec::parse(spec.resolved_source(), &[]).unwrap().shards(), spec.shards());
    assert_eq!(spec.shard(12).unwrap_err().to_string(), "point 3 lies beyond the sweep's 3 points");
}

#[test]
fn split_or_not_a_sweep_samples_the_same_and_splitting_repeats_the_training() {
    let (whole, split) = (sweep(""), sweep("shards = 4"));
    let total = split.total_cost();
    let shards = (0..split.shards().count()).map(|number| Cost::of(&split.shard(number).unwrap()));
    let sum = shards.fold(Cost::default(), |sum, cost| sum + cost);
    assert!((total.flops / sum.flops - 1.0).abs() < 1e-12, "summed in another order: {total:?}, {sum:?}");
    let once = whole.total_cost();
    assert_eq!((total.records, total.bytes), (once.records, once.bytes));
    // Each shard trains until its last estimate, which are those at 80, 90, 100 and 70 of 100 steps.
    assert!((total.training / once.training - 3.4).abs() < 1e-12);
    assert!((total.flops - total.training - (once.flops - once.training)).abs() < 1e-12 * total.flops);
}

/// The paper's run at its own density of checkpoints: one in 100 steps. One whole run is compared with the longest of its
/// shards, by the operations that their tasks are expected to take.
#[test]
fn the_papers_run_on_four_workers_takes_less_than_a_third_of_the_work_of_one() {
    let source = include_str!("../../../../sweeps/paper-trajectory.toml");
    let run = |shards: u32| {
        let overrides = ["task.checkpoints={ every = 100 }".to_owned(), format!("task.llc.shards={shards}")];
        Spec::parse(source, &overrides).unwrap_or_else(|error| panic!("{error}"))
    };
    let (whole, split) = (run(1), run(4));
    let longest = (0..4).map(|number| split.work(number)).fold(0.0, f64::max);
    let sooner = whole.work(0) / longest;
    // Training is 1 part in 19, so that the best there is is 19 / (1 + 18/4) = 3.45.
    assert!((3.0..3.46).contains(&sooner), "{sooner} times sooner");
}

#[test]
fn bad_shards() {
    let axis = format!("{BASE}{}\nllc.shards = [1, 2]", lines(""));
    assert_eq!(
        refusal(&axis),
        "line 24: axes.llc.shards: changes who computes, and no result; accepted: one number, as task.llc.shards"
    );
    assert_eq!(
        refusal(&format!("{BASE}{}", lines("shards = 12"))),
        "line 21: task.llc.shards: a task estimates at 11 checkpoints, each by one shard; accepted: up to 11"
    );
    let many = lines("shards = 8").replace("[5, 6, 7]", "{ from = 0, count = 200_000_000_000 }");
    assert_eq!(
        refusal(&format!("{BASE}{many}")),
        "line 21: task.llc.shards: 8 shards of each of 200000000000 points are too many; accepted: up to 5"
    );
}
