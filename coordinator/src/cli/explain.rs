//! `explain`: why a point waits, where it runs and what happened to it.

use std::time::Duration;

use clap::Args;
use phasegrid_proto::v1::{self, held, obstacle, shard_account};

use super::client::Remote;
use super::failure::Failure;
use super::list::time;
use super::output::print;
use super::text::{self, counted};

/// Say why a point waits, where it runs and what happened to it
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  phasegrid explain $ID 17\n\n\
    `phasegrid table $ID --level tasks` numbers the points of a sweep, from 0, in its column task.")]
pub(super) struct Explain {
    /// The sweep
    id: String,
    /// The point's number, from 0
    point: u64,
    #[command(flatten)]
    remote: Remote,
}

impl Explain {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let mut client = self.remote.connect().await?;
        let request = v1::ExplainPointRequest { id: self.id.clone(), point: self.point };
        let answer = client.ask(async |way| way.sweeps.explain_point(request.clone()).await).await?;
        print(account(&self.id, self.point, &answer).as_bytes())
    }
}

/// What a person reads: one line a fact, its kind before it.
fn account(id: &str, point: u64, explained: &v1::ExplainPointResponse) -> String {
    let mut lines = vec![("point", format!("{point} of {id}"))];
    lines.extend(explained.axes.iter().map(|axis| ("axis", format!("{} = {}", axis.path, axis.value))));
    for (number, shard) in (1..).zip(&explained.shards) {
        if explained.shards.len() > 1 {
            lines.push(("shard", format!("{number} of {}", explained.shards.len())));
        }
        describe(shard, &mut lines);
    }
    lines.into_iter().map(|(kind, fact)| format!("{kind:<9} {fact}\n")).collect()
}

fn describe(shard: &v1::ShardAccount, lines: &mut Vec<(&str, String)>) {
    let state = match &shard.standing {
        Some(shard_account::Standing::Waiting(_)) => "waiting",
        Some(shard_account::Standing::Held(held)) if matches!(held.start, Some(held::Start::Running(_))) => "running",
        Some(shard_account::Standing::Held(_)) => "leased",
        Some(shard_account::Standing::Finished(())) => "finished",
        Some(shard_account::Standing::Failed(())) => "failed",
        Some(shard_account::Standing::GivenUp(())) => "given up with its sweep",
        None => "",
    };
    lines.push(("state", state.to_owned()));
    match &shard.standing {
        Some(shard_account::Standing::Waiting(v1::Waiting { obstacles })) if obstacles.is_empty() => {
            lines.push(("because", "no worker has asked for it yet; the next that does gets it".to_owned()));
        }
        Some(shard_account::Standing::Waiting(v1::Waiting { obstacles })) => {
            lines.extend(obstacles.iter().filter_map(because).map(|reason| ("because", reason)));
        }
        Some(shard_account::Standing::Held(held)) => lines.push(("worker", holder(held))),
        _ => {}
    }
    for v1::PastAttempt { attempt, worker, error, set_aside, end_time } in &shard.attempts {
        let then = if *set_aside { "; the point was set aside" } else { "" };
        lines.push(("attempt", format!("{attempt} on {worker} ended {}: {error}{then}", time(*end_time))));
    }
    if let Some(v1::PastAttempt { attempt, worker, end_time, .. }) = &shard.finish {
        lines.push(("attempt", format!("{attempt} on {worker} finished it {}", time(*end_time))));
    }
}

fn holder(held: &v1::Held) -> String {
    let progress = match held.start {
        Some(held::Start::After(0)) | None => String::new(),
        Some(held::Start::After(points)) => format!(", which has {} to end before", counted(points, "point")),
        Some(held::Start::Running(v1::Running { work_done: Some(share) })) => {
            format!(", {:.0}% of the work is done", share * 100.0)
        }
        Some(held::Start::Running(v1::Running { work_done: None })) => String::new(),
    };
    format!("{} since {}{progress}", held.worker, time(held.since_time))
}

fn because(obstacle: &v1::Obstacle) -> Option<String> {
    Some(match obstacle.obstacle.as_ref()? {
        obstacle::Obstacle::Paused(reason) if reason.is_empty() => {
            "the sweep is paused; `phasegrid resume` lets it go on".to_owned()
        }
        obstacle::Obstacle::Paused(reason) => format!("the sweep is paused: {reason}"),
        obstacle::Obstacle::Unreadable(()) => {
            "this release cannot read the sweep; `phasegrid show` says why".to_owned()
        }
        obstacle::Obstacle::NoWorker(()) => {
            "no worker takes work; `phasegrid workers` lists those there are".to_owned()
        }
        obstacle::Obstacle::BackingOff(wait) => {
            let wait = Duration::try_from(*wait).unwrap_or_default();
            format!("an attempt ended badly; the next is not made before {}", text::span(wait))
        }
        obstacle::Obstacle::NoWorkerSuits(needed) => {
            format!("no worker has what the sweep needs, {needed}; `phasegrid workers` lists what there is")
        }
        obstacle::Obstacle::SweepsAhead(sweeps) => format!("{} served first", are(*sweeps, "other sweep")),
        obstacle::Obstacle::PointsAhead(points) => format!("{} leased first", are(*points, "point")),
    })
}

/// "1 point is", "2 points are".
fn are(count: u64, what: &str) -> String {
    format!("{} {}", counted(count, what), if count == 1 { "is" } else { "are" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(shard: v1::ShardAccount) -> String {
        let axes = vec![v1::AxisValue { path: "seed".to_owned(), value: "3".to_owned() }];
        account("map-1", 7, &v1::ExplainPointResponse { axes, shards: vec![shard] })
    }

    #[test]
    fn a_point_that_waits_says_every_reason() {
        let obstacles = [obstacle::Obstacle::Paused("20 of 20 failed".to_owned()), obstacle::Obstacle::PointsAhead(1)];
        let obstacles = obstacles.map(|obstacle| v1::Obstacle { obstacle: Some(obstacle) }).to_vec();
        let standing = Some(shard_account::Standing::Waiting(v1::Waiting { obstacles }));
        let text = explained(v1::ShardAccount { standing, ..Default::default() });
        let expected = "\
point     7 of map-1
axis      seed = 3
state     waiting
because   the sweep is paused: 20 of 20 failed
because   1 point is leased first
";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_point_that_runs_says_where_how_far_it_is_and_what_went_wrong_before() {
        let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 5 });
        let running = held::Start::Running(v1::Running { work_done: Some(0.25) });
        let held = v1::Held { worker: "b".to_owned(), since_time: at(1_700_000_100), start: Some(running) };
        let failed = v1::PastAttempt {
            attempt: 1,
            worker: "a".to_owned(),
            error: "out of memory".to_owned(),
            set_aside: false,
            end_time: at(1_700_000_000),
        };
        let standing = Some(shard_account::Standing::Held(held));
        let text = explained(v1::ShardAccount { standing, attempts: vec![failed], finish: None });
        let lines: Vec<_> = text.lines().skip(2).collect();
        let expected = [
            "state     running",
            "worker    b since 2023-11-14T22:15:00Z, 25% of the work is done",
            "attempt   1 on a ended 2023-11-14T22:13:20Z: out of memory",
        ];
        assert_eq!(lines, expected);
    }
}
