//! Work that goes back and forth between workers: what a worker lost and has worked on, it reclaims; what it has not started
//! and others could start at once, it cedes.

use super::desk::{Desk, say, write};
use super::workers::parse;
use super::{Coordinator, Kept, ReclaimedLease, Refusal};
use crate::scheduler::{Inheritance, Points, WorkerId};
use crate::store::{Reader, StoreError};

/// Points of one call; no lease has so many.
const MOST_POINTS: usize = 1 << 16;

impl Coordinator {
    /// A worker asks for the points of a lease that it lost, on which it has worked on: the lease that takes its place, or
    /// none, if nothing of it is to be had any more. May be repeated.
    ///
    /// # Errors
    /// If the worker is unknown, or the token is none.
    pub async fn reclaim(&self, worker: &str, token: &str, kept: Vec<Kept>) -> Result<Option<ReclaimedLease>, Refusal> {
        self.speak_for(worker)?;
        let token = parse(token)?;
        check_number(kept.len())?;
        let (claim, worker) = (self.claim(), WorkerId::from(worker));
        let (of, asked) = (worker.clone(), kept.clone());
        let find = move |desk: &mut Desk, _| {
            say(desk.lease(&token).map(|lost| (lost, desk.scheduler.inheritance(&of, lost, &asked))))
        };
        let Some((lost, inheritance)) = self.decide(find).await? else { return Ok(None) };
        let stored = match inheritance {
            Some(inheritance) => Some(self.read(move |reader| look_up(reader, inheritance)).await?),
            None => None,
        };
        self.decide(move |desk: &mut Desk, now| {
            // The token may have been revoked meanwhile.
            claim.to_worker(&worker.0)?;
            let (writes, reclaimed) = write(desk.scheduler.on_reclaim(&worker, lost, &kept, stored.as_ref(), now)?)?;
            let lease = reclaimed.and_then(|reclaimed| {
                let token = desk.token(reclaimed.lease)?.to_string();
                Some(ReclaimedLease { token, points: reclaimed.points.iter().collect() })
            });
            Ok((writes, lease))
        })
        .await
    }

    /// A worker gives back points of a lease that it has not started. Those that the lease does not hold are left alone.
    ///
    /// # Errors
    /// If the token is none.
    pub async fn cede(&self, token: &str, points: &[u64]) -> Result<(), Refusal> {
        let token = parse(token)?;
        check_number(points.len())?;
        let points: Points = points.iter().copied().collect();
        let claim = self.claim();
        self.decide(move |desk, _| match claim.to(desk, &token)? {
            Some(lease) => write(desk.scheduler.on_cede(lease, &points)),
            None => say(()),
        })
        .await
    }
}

fn look_up(reader: &mut dyn Reader, asked: Inheritance) -> Result<Inheritance, StoreError> {
    if asked.attempts.is_empty() {
        return Ok(asked);
    }
    let points = asked.attempts.keys().copied().collect();
    Ok(Inheritance { reported: reader.reported(asked.lease, &points)?, ..asked })
}

fn check_number(points: usize) -> Result<(), Refusal> {
    if points <= MOST_POINTS {
        return Ok(());
    }
    Err(Refusal::InvalidArgument(format!("points: at most {MOST_POINTS} are accepted")))
}
