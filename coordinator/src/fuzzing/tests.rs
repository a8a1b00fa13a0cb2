//! A bounded number of bytes for each door; `make fuzz` makes them without end.

use proptest::prelude::*;

use super::*;

/// So many bytes of a good example, and what follows them.
fn garbage() -> impl Strategy<Value = (usize, Vec<u8>)> {
    (
        prop_oneof![0..64_usize, Just(usize::MAX)],
        prop_oneof![prop::collection::vec(any::<u8>(), 0..48), prop::collection::vec(any::<u8>(), 1..3)],
    )
}

/// Text that begins as one of these does, and goes on as it likes.
fn text(known: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let spoil = |(good, place, garbage, rest): (&str, prop::sample::Index, String, bool)| {
        let places: Vec<usize> = good.char_indices().map(|(place, _)| place).chain([good.len()]).collect();
        let place = places[place.index(places.len())];
        [&good[..place], &garbage, if rest { &good[place..] } else { "" }].concat().into_bytes()
    };
    let garbage = prop_oneof![any::<String>(), "[-+0-9.e_=\\[\\]{}\"\n ]{0,6}"];
    (prop::sample::select(known), any::<prop::sample::Index>(), garbage, any::<bool>()).prop_map(spoil)
}

const SWEEPS: &[&str] = &[
    include_str!("../../../sweeps/demo.toml"),
    include_str!("../../../sweeps/paper-trajectory.toml"),
    include_str!("../../../sweeps/known-answers/quadratic-teacher.toml"),
];
const TASKS: &[&str] = &[include_str!("../../../tests/fuzz/seeds/task/modular.json")];
const ADDRESSES: &[&str] = &[
    "postgres://grid:s%40crt@db:5433,[::1]:3/sweeps?connect_timeout=3",
    "s3://bucket/prefix/of/keys",
    "file:///a/folder",
    "https://[::1]:7700/",
    "365d",
    "phasegrid_0123456789abcdef_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_sweep_file_is_refused_with_a_reason_or_describes_a_sweep(bytes in text(SWEEPS)) {
        sweep_file(&bytes);
    }

    #[test]
    fn the_configuration_of_a_task_is_refused_or_reads_as_it_is_written(bytes in text(TASKS)) {
        task(&bytes);
    }

    #[test]
    fn an_address_is_none_or_reads_as_it_is_written(bytes in text(ADDRESSES)) {
        address(&bytes);
    }

    #[test]
    fn what_is_stored_is_called_damage_or_gone_on_from(kind in any::<u8>(), (keep, garbage) in garbage()) {
        blob(kind, keep, &garbage);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn no_message_does_harm(messages in prop::collection::vec((any::<u8>(), garbage()), 0..40)) {
        let folder = tempfile::tempdir().unwrap();
        let doors = Doors::open(folder.path());
        for (method, (keep, garbage)) in messages {
            doors.message(method, keep, &garbage);
        }
    }
}
