#!/usr/bin/env bash
# Lets libFuzzer make bytes for one target after the other, on one core.
#
#   tests/fuzz/run.sh SECONDS [TARGET…]
#
# What it learns stays in tests/fuzz/corpus, and what breaks something in tests/fuzz/artifacts; the command that replays it is
# printed. Needs a nightly toolchain (rustup toolchain install nightly) and cargo-fuzz (cargo install cargo-fuzz).
set -euo pipefail
cd "$(dirname "$0")"

seconds=${1:?tests/fuzz/run.sh SECONDS [TARGET…]}
shift
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(sweep_file task address blob message)
cargo +nightly --version > /dev/null 2>&1 || { echo "fuzz: there is no nightly toolchain: rustup toolchain install nightly" >&2; exit 1; }
cargo fuzz --version > /dev/null 2>&1 || { echo "fuzz: there is no cargo-fuzz: cargo install cargo-fuzz" >&2; exit 1; }

# The same versions of everything as in the product.
cp ../../Cargo.lock .
for target in "${targets[@]}"; do
    folders=("corpus/$target")
    case $target in
    sweep_file) folders+=(../../sweeps ../../sweeps/known-answers) ;;
    *) [ ! -d "seeds/$target" ] || folders+=("seeds/$target") ;;
    esac
    mkdir -p "corpus/$target"
    printf '\n== %s, for %s s ==\n' "$target" "$seconds"
    cargo +nightly fuzz run --fuzz-dir . "$target" "${folders[@]}" -- -max_total_time="$seconds" -timeout=20 -print_final_stats=1
done
