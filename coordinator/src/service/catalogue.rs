//! The sweeps by their names: what is known of a sweep and does not change.

use std::collections::{BTreeMap, HashMap};

use crate::scheduler::{Submission, SweepKey, User, Workload};
use crate::spec::{Shards, Spec};
use crate::store::SweepEntry;

/// Of larger sweeps the points are not looked at one by one: all weigh the same.
pub(super) const MOST_WEIGHED: u64 = 100_000;
/// A name is shortened to this many characters in an id.
const LONGEST_SLUG: usize = 32;

/// A sweep in the catalogue.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub(super) entry: SweepEntry,
    /// What it computes, or why this release cannot tell.
    pub(super) spec: Result<Spec, String>,
    /// What its points cost, once somebody has looked.
    pub(super) workload: Workload,
}

impl Listed {
    /// What it is to the scheduler.
    pub(super) fn submission(&self) -> Submission {
        let requirement = self.spec.as_ref().map(Spec::requirement).unwrap_or_default();
        Submission { workload: self.workload.clone(), user: User(self.entry.user.as_str().into()), requirement }
    }

    /// What is leased of it.
    pub(super) fn shards(&self) -> Shards {
        self.spec.as_ref().map_or(Shards::whole(self.entry.size), Spec::shards)
    }
}

#[derive(Debug, Default)]
pub(super) struct Catalogue {
    sweeps: BTreeMap<SweepKey, Listed>,
    by_id: HashMap<String, SweepKey>,
    by_request: HashMap<String, SweepKey>,
}

impl Catalogue {
    pub(super) fn insert(&mut self, listed: Listed) {
        let SweepEntry { key, id, request_id, .. } = &listed.entry;
        self.by_id.insert(id.clone(), *key);
        self.by_request.insert(request_id.clone(), *key);
        self.sweeps.insert(*key, listed);
    }

    pub(super) fn key(&self, id: &str) -> Option<SweepKey> {
        self.by_id.get(id).copied()
    }

    pub(super) fn requested(&self, request_id: &str) -> Option<SweepKey> {
        self.by_request.get(request_id).copied()
    }

    pub(super) fn get(&self, key: SweepKey) -> Option<&Listed> {
        self.sweeps.get(&key)
    }

    pub(super) fn set_workload(&mut self, key: SweepKey, workload: Workload) {
        if let Some(listed) = self.sweeps.get_mut(&key) {
            listed.workload = workload;
        }
    }

    /// The sweeps that this release cannot read.
    pub(super) fn unreadable(&self) -> impl Iterator<Item = SweepKey> {
        self.sweeps.iter().filter(|(_, listed)| listed.spec.is_err()).map(|(key, _)| *key)
    }

    /// The sweeps created before this one, the newest first; all without one.
    pub(super) fn newest_first(&self, before: Option<SweepKey>) -> impl Iterator<Item = SweepKey> {
        self.sweeps.range(..before.unwrap_or(SweepKey(u64::MAX))).rev().map(|(key, _)| *key)
    }

    /// An id that no sweep has: the name, for people, and a digest of the request, so that two data folders do not give
    /// the same id to different sweeps.
    pub(super) fn new_id(&self, name: &str, request_id: &str) -> String {
        let digest = blake3::hash(request_id.as_bytes()).to_hex();
        let slug = slug(name);
        let ids = (8..=digest.len()).map(|length| format!("{slug}-{}", &digest[..length]));
        ids.into_iter().find(|id| !self.by_id.contains_key(id)).unwrap_or_else(|| format!("{slug}-{digest}"))
    }
}

/// What of a name can stand in file names, addresses and shells: lower-case letters, digits and single hyphens.
fn slug(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let slug = words.collect::<Vec<_>>().join("-").to_ascii_lowercase();
    let slug = slug[..slug.len().min(LONGEST_SLUG)].trim_end_matches('-');
    if slug.is_empty() { "sweep".to_owned() } else { slug.to_owned() }
}

/// Reads a stored sweep's file again. Whatever its numbers were, they must not come to mean something else.
pub(super) fn read_again(entry: SweepEntry) -> Listed {
    let spec = match Spec::parse(&entry.source, &[]) {
        Ok(spec) if spec.shards().count() == entry.size => Ok(spec),
        Ok(spec) => Err(format!("it has {} points, and had {}", spec.shards().count(), entry.size)),
        Err(error) => Err(error.to_string()),
    };
    if let Err(problem) = &spec {
        tracing::error!(sweep = entry.id, problem, "this release cannot read a stored sweep: nothing of it is leased");
    }
    Listed { entry, spec, workload: Workload::Equal }
}

/// What the points of a sweep cost; takes seconds for the largest that is weighed.
pub(super) fn weigh(spec: &Spec) -> Workload {
    let count = spec.shards().count();
    if count > MOST_WEIGHED {
        return Workload::Equal;
    }
    Workload::each((0..count).map(|number| spec.work(number)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_like_the_name_and_fits_everywhere() {
        let id = Catalogue::default().new_id("Grokking map (α = 2) ", "a wish");
        assert!(id.starts_with("grokking-map-2-"), "{id}");
        assert!(Catalogue::default().new_id("", "a wish").starts_with("sweep-"));
        assert!(Catalogue::default().new_id(&"long ".repeat(40), "a wish").len() < 50);
    }

    #[test]
    fn different_wishes_get_different_ids() {
        let catalogue = Catalogue::default();
        assert_ne!(catalogue.new_id("map", "a wish"), catalogue.new_id("map", "another"));
    }
}
