#!/usr/bin/env bash
# Lets libFuzzer make bytes for one target after the other, on one core.
#
#   tests/fuzz/run.sh SECONDS [TARGET…]
#
# What it learns stays in tests/fuzz/corpus, and what breaks something in tests/fuzz/artifacts; the command that replays it is
# printed. A cargo-fuzz in PATH is taken as it is; else it is compiled once into ${XDG_CACHE_HOME:-~/.cache}/phasegrid. The
# toolchain is the one that builds phasegrid: sanitizers are options of nightly compilers, and it is told to pass for one.
set -euo pipefail
cd "$(dirname "$0")"

seconds=${1:?tests/fuzz/run.sh SECONDS [TARGET…]}
shift
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(sweep_file task address blob message)
export RUSTC_BOOTSTRAP=1
if ! command -v cargo-fuzz > /dev/null; then
    version=0.13.2
    home=${XDG_CACHE_HOME:-$HOME/.cache}/phasegrid/cargo-fuzz-$version
    [ -x "$home/bin/cargo-fuzz" ] || cargo install --quiet --locked --root "$home" "cargo-fuzz@$version"
    PATH=$home/bin:$PATH
fi

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
    cargo fuzz run --fuzz-dir . "$target" "${folders[@]}" -- -max_total_time="$seconds" -timeout=20 -print_final_stats=1
done
