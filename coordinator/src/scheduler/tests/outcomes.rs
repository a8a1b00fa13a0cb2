use super::*;

#[test]
fn a_sweep_completes_with_its_last_point() {
    let mut cluster = Cluster::with_sweep(4).with_worker("a", 2);
    for _ in 0..2 {
        assert_eq!(cluster.state(), SweepState::Running);
        let grant = cluster.lease("a");
        assert_eq!(cluster.complete(&grant), Verdict::Accepted);
    }
    assert_eq!(cluster.state(), SweepState::Completed);
    let progress = cluster.progress();
    assert_eq!((progress.finished, progress.leased, progress.pending, progress.work_done), (4, 0, 0, 1.0));
    assert_eq!(cluster.ask("a"), LeaseReply::Nothing);
}

#[test]
fn an_outcome_sent_twice_is_acknowledged_twice_and_counted_once() {
    let mut cluster = Cluster::with_sweep(4).with_worker("a", 2);
    let grant = cluster.lease("a");
    assert_eq!(cluster.finish(grant.lease, vec![(0, COMPLETED)]), Verdict::Accepted);
    let again = cluster.scheduler.on_finish(grant.lease, vec![(0, COMPLETED)], cluster.now);
    assert_eq!(again, Decision::quiet(Verdict::Accepted));
    assert_eq!(cluster.progress().finished, 1);
}

#[test]
fn a_failed_point_is_tried_again_until_its_attempts_are_used_up() {
    let mut cluster = Cluster::with_sweep(1).with_worker("a", 1);
    for attempt in 1..=3 {
        assert_eq!(cluster.state(), SweepState::Running);
        let grant = cluster.lease("a");
        assert_eq!(grant.tasks, [(0, attempt)]);
        cluster.finish(grant.lease, vec![(0, failed("out of memory", false))]);
    }
    assert_eq!(cluster.state(), SweepState::Completed);
    assert_eq!(cluster.progress().failed, 1);
}

#[test]
fn a_permanent_failure_sets_the_point_aside_at_once() {
    let mut cluster = Cluster::with_sweep(1).with_worker("a", 1);
    let grant = cluster.lease("a");
    let decision =
        cluster.scheduler.on_finish(grant.lease, vec![(0, failed("the loss is not finite", true))], cluster.now);
    let Change::Ended { setbacks, .. } = &decision.changes[0] else { panic!("{decision:?}") };
    let expected = Setback { point: 0, attempts: 1, error: "the loss is not finite".into(), set_aside: true };
    assert_eq!(*setbacks, [expected]);
}

#[test]
fn reports_of_an_ended_lease_or_of_a_foreign_point_are_stale_and_change_nothing() {
    let mut cluster = Cluster::with_sweep(9).with_worker("a", 2);
    let grant = cluster.lease("a");
    assert_eq!(cluster.report(grant.lease, &[(0, 0), (5, 0)]), Ok(Verdict::Stale));
    assert_eq!(cluster.finish(grant.lease, vec![(0, COMPLETED), (5, COMPLETED)]), Verdict::Stale);
    assert_eq!(cluster.progress().finished, 0);
    let released = cluster.scheduler.on_release(grant.lease);
    cluster.apply(released);
    assert_eq!(cluster.report(grant.lease, &[(0, 0)]), Ok(Verdict::Stale));
    assert_eq!(cluster.complete(&grant), Verdict::Stale);
}

#[test]
fn a_point_whose_records_did_not_all_arrive_does_not_finish() {
    let mut cluster = Cluster::with_sweep(1).with_worker("a", 1);
    let grant = cluster.lease("a");
    cluster.report(grant.lease, &[(0, 0), (0, 10)]).unwrap();
    let decision = cluster.scheduler.on_finish(grant.lease, vec![(0, Outcome::Completed { records: 3 })], cluster.now);
    let Change::Ended { finished, setbacks, .. } = &decision.changes[0] else { panic!("{decision:?}") };
    assert!(finished.is_empty());
    assert_eq!(setbacks[0].error, "completed with 3 records, of which 2 arrived");
    cluster.apply(decision);
    assert_eq!(cluster.lease("a").tasks, [(0, 2)]);
}

#[test]
fn a_record_sent_twice_counts_once() {
    let mut cluster = Cluster::with_sweep(1).with_worker("a", 1);
    let grant = cluster.lease("a");
    cluster.report(grant.lease, &[(0, 0), (0, 10)]).unwrap();
    cluster.report(grant.lease, &[(0, 10), (0, 20)]).unwrap();
    assert_eq!(cluster.finish(grant.lease, vec![(0, Outcome::Completed { records: 3 })]), Verdict::Accepted);
    assert_eq!(cluster.progress().finished, 1);
}

#[test]
fn records_that_go_back_in_time_are_a_defect_of_the_worker() {
    let mut cluster = Cluster::with_sweep(2).with_worker("a", 2);
    let grant = cluster.lease("a");
    assert_eq!(cluster.report(grant.lease, &[(0, 10), (0, 10)]), Err(Refused::StepsNotRising(0)));
    assert_eq!(cluster.report(grant.lease, &[(0, 10), (1, 0), (0, 5)]), Err(Refused::StepsNotRising(0)));
}

#[test]
fn records_of_an_attempt_that_failed_do_not_count_for_the_next() {
    let mut cluster = Cluster::with_sweep(1).with_worker("a", 1);
    let grant = cluster.lease("a");
    cluster.report(grant.lease, &[(0, 0)]).unwrap();
    cluster.finish(grant.lease, vec![(0, failed("killed", false))]);
    let grant = cluster.lease("a");
    cluster.report(grant.lease, &[(0, 0)]).unwrap();
    assert_eq!(cluster.finish(grant.lease, vec![(0, Outcome::Completed { records: 1 })]), Verdict::Accepted);
    assert_eq!(cluster.state(), SweepState::Completed);
}

#[test]
fn more_records_of_a_point_than_any_task_has_are_refused_and_change_nothing() {
    let mut cluster = Cluster::with_sweep(2).with_worker("a", 2);
    let lease = cluster.lease("a").lease;
    let all: Vec<_> = (0..MOST_RECORDS).map(|step| (0, step)).collect();
    let (most, last) = all.split_at(all.len() - 1);
    assert_eq!(cluster.report(lease, most), Ok(Verdict::Accepted));
    // A repetition with the last that fits, beside another point's, is no record too many.
    let again: Vec<_> = most.iter().copied().chain([(1, 0)]).chain(last.iter().copied()).collect();
    assert_eq!(cluster.report(lease, &again), Ok(Verdict::Accepted));
    let beyond = cluster.report(lease, &[(1, 7), (0, MOST_RECORDS)]);
    assert_eq!(beyond, Err(Refused::TooManyRecords(0)));
    assert_eq!(beyond.unwrap_err().to_string(), "point 0 has more than 100002 records: no task has so many");
    assert_eq!(cluster.report(lease, &[(1, 1)]), Ok(Verdict::Accepted), "what was refused was not kept");
}
