//! Messages to all services: of which method, how much of a good one, and what follows.
#![no_main]

use std::cell::RefCell;

use phasegrid_coordinator::fuzzing::Doors;
use tempfile::TempDir;

/// After so many messages there is a new coordinator, so that what one has left behind does not hide what others find.
const LIFE: u32 = 200;

thread_local! {
    static DOORS: RefCell<Option<(u32, Doors, TempDir)>> = const { RefCell::new(None) };
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let [method, keep, garbage @ ..] = bytes else { return };
    DOORS.with_borrow_mut(|doors| {
        let (left, doors_now, _) = doors.get_or_insert_with(|| {
            let folder = tempfile::tempdir().expect("temporary folders can be made");
            (LIFE, Doors::open(folder.path()), folder)
        });
        doors_now.message(*method, usize::from(*keep), garbage);
        *left -= 1;
        if *left == 0 {
            *doors = None;
        }
    });
});
