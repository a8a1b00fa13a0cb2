//! Compiles the `.proto` files with a crate, so that no system `protoc` is needed.

use std::path::PathBuf;

use prost::Message as _;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = ["access", "records", "snapshots", "tables", "sweeps", "workers"]
        .map(|name| format!("phasegrid/v1/{name}.proto"));
    let descriptors = protox::compile(&files, ["."])?;
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo names an OUT_DIR")?);
    std::fs::write(out.join("phasegrid.v1.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    println!("cargo:rerun-if-changed=phasegrid");
    Ok(())
}
