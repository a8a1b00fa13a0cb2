//! The state behind the actor: the scheduler's, and the catalogue of sweeps. Both are made of what the store holds.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Refusal;
use super::catalogue::{Catalogue, Listed, read_again};
use super::parking::Work;
use super::token::Token;
use super::view::SweepView;
use crate::scheduler::{
    Decision, Grant, LeaseKey, Moment, Refused, Requirement, Scheduler, Settings, SweepKey, Workload,
};
use crate::spec::{Shards, Spec};
use crate::store::{StoredSweep, Write};

/// The number of the next generation.
static GENERATIONS: AtomicU64 = AtomicU64::new(1);

#[derive(Debug)]
pub(super) struct Desk {
    pub(super) scheduler: Scheduler,
    pub(super) catalogue: Catalogue,
    /// A worker was told to drain since those who wait for work were last asked.
    pub(super) drained: bool,
    /// Rises whenever what was decided is given up for what is stored. A process has no two desks of the same: reports that
    /// rest on each other may meet one of a later term.
    pub(super) generation: u64,
}

/// What an event comes to: what to write, and what to say once it is durable.
pub(super) type Answer<T> = Result<(Vec<Write>, T), Refusal>;

/// An answer that writes nothing.
pub(super) fn say<T>(reply: T) -> Answer<T> {
    Ok((Vec::new(), reply))
}

/// An answer that writes what the scheduler decided.
pub(super) fn write<T>(decision: Decision<T>) -> Answer<T> {
    Ok((decision.changes.into_iter().map(Write::Schedule).collect(), decision.reply))
}

impl Desk {
    /// Goes on from what is stored. `before` is a desk whose state was given up: its workers are still there, and what its
    /// sweeps cost is still known.
    pub(super) fn restore(
        settings: Settings,
        stored: Vec<StoredSweep>,
        now: Moment,
        before: Option<&mut Self>,
    ) -> Self {
        let mut catalogue = Catalogue::default();
        let mut states = Vec::new();
        for StoredSweep { entry, state } in stored {
            let known = before.as_ref().and_then(|before| before.catalogue.get(entry.key));
            let listed = match known.filter(|known| known.entry == entry) {
                Some(known) => known.clone(),
                None => read_again(entry),
            };
            states.push((state, listed.submission()));
            catalogue.insert(listed);
        }
        let mut scheduler = Scheduler::restore(settings, states, now);
        catalogue.unreadable().for_each(|key| scheduler.on_hold(key));
        let generation = GENERATIONS.fetch_add(1, Ordering::Relaxed);
        if let Some(before) = before {
            scheduler.adopt_workers(&mut before.scheduler);
        }
        Self { scheduler, catalogue, drained: false, generation }
    }

    pub(super) fn key(&self, id: &str) -> Result<SweepKey, Refusal> {
        self.catalogue.key(id).ok_or_else(|| Refusal::no_sweep(id))
    }

    /// `None` if the token speaks of a sweep that there is not.
    pub(super) fn lease(&self, token: &Token) -> Option<LeaseKey> {
        Some(LeaseKey { sweep: self.catalogue.key(&token.sweep_id)?, epoch: token.epoch })
    }

    pub(super) fn token(&self, lease: LeaseKey) -> Option<Token> {
        Some(Token { sweep_id: self.catalogue.get(lease.sweep)?.entry.id.clone(), epoch: lease.epoch })
    }

    /// What a sweep computes; refused if this release cannot read it.
    pub(super) fn spec(&self, key: SweepKey) -> Result<&Spec, Refusal> {
        let listed = self.catalogue.get(key).ok_or(Refused::UnknownSweep(key))?;
        listed.spec.as_ref().map_err(|problem| Refusal::unreadable(&listed.entry.id, problem))
    }

    /// What a worker needs to know of what it was granted.
    pub(super) fn work(&self, grant: Grant) -> Result<Work, Refusal> {
        let LeaseKey { sweep, .. } = grant.lease;
        let spec = self.spec(sweep)?.clone();
        let token = self.token(grant.lease).ok_or(Refused::UnknownSweep(sweep))?;
        Ok(Work::Granted { token: token.to_string(), grant, spec, sweep_id: token.sweep_id })
    }

    /// What of a sweep is leased.
    pub(super) fn shards(&self, key: SweepKey) -> Shards {
        self.catalogue.get(key).map_or(Shards::whole(0), Listed::shards)
    }

    pub(super) fn view(&self, key: SweepKey, now: Moment) -> Option<SweepView> {
        let listed = self.catalogue.get(key)?;
        let entry = &listed.entry;
        Some(SweepView {
            id: entry.id.clone(),
            name: entry.name.clone(),
            state: self.scheduler.state(key)?,
            created: entry.created,
            resolved_source: entry.source.clone(),
            progress: self.scheduler.progress(key, now)?,
            shards: listed.shards().of_each(),
            user: entry.user.clone(),
            priority: self.scheduler.priority(key).unwrap_or_default(),
            pause_reason: self.scheduler.pause_reason(key).map(|reason| reason.to_string()),
            needs: Some(listed.submission().requirement)
                .filter(|needs| *needs != Requirement::default())
                .map(|needs| needs.to_string()),
            needs_unmet: self.scheduler.unmet(key).is_some(),
            problem: listed.spec.as_ref().err().cloned(),
        })
    }

    /// The costs of a sweep's points are known now.
    pub(super) fn weighed(&mut self, key: SweepKey, workload: Workload) {
        self.scheduler.on_weighed(key, workload.clone());
        self.catalogue.set_workload(key, workload);
    }
}
