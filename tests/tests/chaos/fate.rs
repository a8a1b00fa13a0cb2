//! What happens next, drawn from a seed, and how often each kind of misfortune has struck.

use std::fmt;
use std::time::Duration;

/// Chance from a seed: the generator is SplitMix64.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((bits ^ (bits >> 31)) % bound as u64) as usize
    }

    pub(crate) fn millis(&mut self, most: usize) -> Duration {
        Duration::from_millis(self.below(most) as u64)
    }
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misfortune {
    WorkerKilled,
    WorkerSentAway,
    CoordinatorKilled,
    /// Longer than a term, so that another leads meanwhile, where there is one.
    CoordinatorFrozen,
    LinkCut,
    LinkMuted,
    /// A coordinator and a worker at once, and both without answers before.
    AllAtOnce,
    ServerKilled,
    ServerCutOff,
    /// What is committed lands, and nobody hears of it.
    ServerMuted,
}

use Misfortune::*;

/// What happens to any cluster.
pub(crate) const TO_ALL: [Misfortune; 7] =
    [WorkerKilled, WorkerSentAway, CoordinatorKilled, CoordinatorFrozen, LinkCut, LinkMuted, AllAtOnce];
/// What happens besides where the store is a server.
pub(crate) const TO_SERVERS: [Misfortune; 3] = [ServerKilled, ServerCutOff, ServerMuted];

/// A course of events.
pub(crate) struct Fate {
    pub(crate) chance: Chance,
    kinds: Vec<Misfortune>,
    happened: Vec<u32>,
}

impl Fate {
    pub(crate) fn new(seed: u64, kinds: Vec<Misfortune>) -> Self {
        Self { chance: Chance::new(seed), happened: vec![0; kinds.len()], kinds }
    }

    /// The next misfortune.
    pub(crate) fn draw(&mut self) -> Misfortune {
        let kind = self.chance.below(self.kinds.len());
        self.happened[kind] += 1;
        self.kinds[kind]
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.kinds.iter().zip(&self.happened).map(|(kind, count)| format!("{kind:?} {count}"));
        f.write_str(&counts.collect::<Vec<_>>().join(", "))
    }
}
