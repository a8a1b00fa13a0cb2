//! Compiles the `.proto` files with a crate, so that no system `protoc` is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files =
        ["records", "snapshots", "tables", "sweeps", "workers"].map(|name| format!("phasegrid/v1/{name}.proto"));
    let descriptors = protox::compile(&files, ["."])?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    println!("cargo:rerun-if-changed=phasegrid");
    Ok(())
}
