//! What people write: sweep files, addresses and places; and the configurations of tasks, which travel as JSON.

use std::str::FromStr;

use phasegrid_proto::connection::{self, Credentials};
use phasegrid_proto::duration;
use phasegrid_proto::place::Place;
use phasegrid_proto::task::TaskConfig;

use crate::access::Secret;
use crate::spec::Spec;
use crate::store::postgres::Address;

/// A sweep file is refused with a reason, or describes a sweep: its resolved source describes the same, and its points are
/// tasks, or say why they are none.
pub fn sweep_file(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    // Behind a line of its own stand overrides, one a line.
    let (source, overrides) = text.split_once("\n--set\n").unwrap_or((text, ""));
    let overrides: Vec<_> = overrides.lines().map(str::to_owned).collect();
    let spec = match Spec::parse(source, &overrides) {
        Ok(spec) => spec,
        Err(refusal) => return assert!(!refusal.to_string().is_empty(), "a refusal without a reason"),
    };
    let again = Spec::parse(spec.resolved_source(), &[]);
    let again = again.unwrap_or_else(|error| panic!("{error}\n{}", spec.resolved_source()));
    assert_eq!(again, spec, "the resolved source is of another sweep");
    let count = spec.shards().count();
    for number in [0, 1, count / 2, count - 1].into_iter().filter(|number| *number < count) {
        assert!(spec.work(number) >= 0.0, "{number} is expected to take {}", spec.work(number));
        match spec.shard(number) {
            Ok(config) => assert_eq!(again.shard(number).map(|config| config.to_json()), Ok(config.to_json())),
            Err(error) => assert!(!error.to_string().is_empty(), "a point without a reason"),
        }
    }
    assert!(spec.shard(count).is_err(), "a point beyond the last");
}

/// The configuration of a task is refused with a reason, or is one: its canonical form reads as the same, under the same
/// digest, and it can be asked what it comes to.
pub fn task(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let config = match TaskConfig::from_json(text) {
        Ok(config) => config,
        Err(problems) => return assert!(!problems.is_empty(), "a refusal without a reason"),
    };
    let again = TaskConfig::from_json(&config.to_json());
    let again = again.unwrap_or_else(|problems| panic!("{problems:?}\n{}", config.to_json()));
    assert_eq!((again.to_json(), again.digest()), (config.to_json(), config.digest()));
}

/// An address, a place, a span or a secret is none, or reads as it is written; and no password is shown.
pub fn address(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Ok(address) = Address::from_str(text) {
        let shown = address.to_string();
        assert!(!Address::from_str(&shown).is_ok_and(|shown| shown.has_password()), "{shown} has a password");
    }
    if let Ok(place) = Place::from_str(text)
        && place != Place::Nowhere
    {
        assert_eq!(Place::from_str(&place.url()), Ok(place));
    }
    if connection::is_url(text) {
        // Without a CA there is no way to https://, and that is said.
        let _ = connection::endpoint(text, &Credentials::default());
    }
    if let Some(span) = duration::parse(text) {
        assert!(span <= duration::LONGEST);
    }
    if let Some(secret) = Secret::parse(text) {
        assert_eq!(secret.reveal().to_ascii_lowercase(), text.to_ascii_lowercase());
    }
}
