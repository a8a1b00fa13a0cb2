//! Writes libtorch's folder into the binaries and tests of this package, so that they run without LD_LIBRARY_PATH.

fn main() {
    // Set by torch-sys's build script, because it is a direct dependency.
    if let Ok(lib) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        // The link in the work tree may move or vanish; the cache that it points to stays.
        let lib = std::fs::canonicalize(&lib).map_or(lib, |path| path.display().to_string());
        println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}");
    }
}
