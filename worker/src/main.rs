//! The binary `phasegrid-worker`; everything is in the library's `process`.

fn main() -> std::process::ExitCode {
    phasegrid_worker::process::main()
}
