//! Where the binaries under test are.

use std::path::PathBuf;

/// The path of a binary, `phasegrid` or `phasegrid-worker`: in the folder that `PHASEGRID_BIN` names, else where cargo
/// puts binaries of the same profile as the running test.
///
/// # Panics
/// If it is not there: cargo does not build the binaries of other packages for a test.
pub(crate) fn path(name: &str) -> PathBuf {
    let folder = std::env::var_os("PHASEGRID_BIN").map_or_else(beside_this_test, PathBuf::from);
    let path = folder.join(name);
    assert!(
        path.is_file(),
        "{} is missing; run `make test`, or `cargo build --workspace --bins` first",
        path.display()
    );
    path
}

/// `target/PROFILE`, of a test that runs as `target/PROFILE/deps/NAME-HASH`.
fn beside_this_test() -> PathBuf {
    let test = std::env::current_exe().expect("a running test has a path");
    test.ancestors().nth(2).expect("cargo puts tests two folders deep").to_path_buf()
}
