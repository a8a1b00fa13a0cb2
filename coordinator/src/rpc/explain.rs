//! An explanation as a message.

use phasegrid_proto::v1::{self, held, obstacle, shard_account};

use super::convert::{to_span, to_timestamp};
use crate::service::{Explanation, Obstacle, PastAttempt, ShardAccount, Standing, Start};

impl From<Explanation> for v1::ExplainPointResponse {
    fn from(Explanation { axes, shards }: Explanation) -> Self {
        let axes = axes.into_iter().map(|(path, value)| v1::AxisValue { path, value }).collect();
        Self { axes, shards: shards.into_iter().map(Into::into).collect() }
    }
}

impl From<ShardAccount> for v1::ShardAccount {
    fn from(ShardAccount { standing, held_since, history }: ShardAccount) -> Self {
        let standing = match standing {
            Standing::Waiting(obstacles) => {
                let obstacles = obstacles.into_iter().map(Into::into).collect();
                shard_account::Standing::Waiting(v1::Waiting { obstacles })
            }
            Standing::Held { worker, start, .. } => shard_account::Standing::Held(v1::Held {
                worker: worker.to_string(),
                since_time: held_since.and_then(to_timestamp),
                start: Some(start.into()),
            }),
            Standing::Finished => shard_account::Standing::Finished(()),
            Standing::Failed => shard_account::Standing::Failed(()),
            Standing::GivenUp => shard_account::Standing::GivenUp(()),
        };
        let attempts = history.attempts.into_iter().map(Into::into).collect();
        Self { standing: Some(standing), attempts, finish: history.finish.map(Into::into) }
    }
}

impl From<Start> for held::Start {
    fn from(start: Start) -> Self {
        match start {
            Start::After(points) => Self::After(points),
            Start::Running(work_done) => Self::Running(v1::Running { work_done }),
        }
    }
}

impl From<Obstacle> for v1::Obstacle {
    fn from(obstacle: Obstacle) -> Self {
        let obstacle = match obstacle {
            Obstacle::Paused(reason) => obstacle::Obstacle::Paused(reason.as_deref().unwrap_or_default().to_owned()),
            Obstacle::Unreadable => obstacle::Obstacle::Unreadable(()),
            Obstacle::NoWorker => obstacle::Obstacle::NoWorker(()),
            Obstacle::BackingOff(wait) => obstacle::Obstacle::BackingOff(to_span(wait).unwrap_or_default()),
            Obstacle::NoWorkerSuits(needed) => obstacle::Obstacle::NoWorkerSuits(needed.to_string()),
            Obstacle::SweepsAhead(sweeps) => obstacle::Obstacle::SweepsAhead(sweeps),
            Obstacle::PointsAhead(points) => obstacle::Obstacle::PointsAhead(points),
        };
        Self { obstacle: Some(obstacle) }
    }
}

impl From<PastAttempt> for v1::PastAttempt {
    fn from(PastAttempt { attempt, worker, error, set_aside, ended }: PastAttempt) -> Self {
        Self { attempt, worker, error, set_aside, end_time: to_timestamp(ended) }
    }
}
