//! Cells of a database: of which kind, how much of a good one, and what follows.
#![no_main]

use phasegrid_coordinator::fuzzing;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let [kind, keep, garbage @ ..] = bytes {
        fuzzing::blob(*kind, usize::from(*keep), garbage);
    }
});
