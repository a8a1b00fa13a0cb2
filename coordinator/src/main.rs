//! The binary `phasegrid`: server and command line in one.

fn main() -> std::process::ExitCode {
    phasegrid_coordinator::cli::main()
}
