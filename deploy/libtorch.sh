#!/usr/bin/env bash
# Obtains the libtorch that the worker is built against and links it to .libtorch in the work tree.
#
#   deploy/libtorch.sh cpu      CPU: five shared objects and the headers, taken out of three wheels (540 MB to fetch)
#   deploy/libtorch.sh cuda     CUDA: a full install of the same version (2.8 GB to fetch, 4.9 GB on disk)
#   deploy/libtorch.sh          the one of the two that is linked already, or else the CPU's
#
# It is fetched once and kept in ${XDG_CACHE_HOME:-~/.cache}/phasegrid, outside the build folder, so that
# `cargo clean` and a second clone cost nothing. A LIBTORCH that is set in the environment wins: it is linked as it is.
# Needs: bash, Python 3 with pip. Fetches with pip only.
set -euo pipefail

version=2.11.0            # the one that the pinned torch-sys accepts; change both together
tree=$(cd "$(dirname "$0")/.." && pwd)
linked=$(readlink "$tree/.libtorch" || true)
case $linked in *-cuda/torch) variant=${1:-cuda} ;; *) variant=${1:-cpu} ;; esac
cache=${XDG_CACHE_HOME:-$HOME/.cache}/phasegrid
home=$cache/libtorch-$version-$variant

say() { echo "libtorch: $*" >&2; }
die() { say "$*"; exit 1; }

# Two builds started side by side must not unpack into one folder: the second waits, then finds the work done.
mkdir -p "$cache"
exec 9>"$cache/libtorch.lock"
command -v flock >/dev/null && flock 9

link() {
    if [ "$linked" = "$1" ]; then return; fi
    # The worker's build script writes the folder into the binaries, and runs again when it has changed itself.
    touch -c "$tree/worker/build.rs" 2>/dev/null || true
    ln -sfn "$1" "$tree/.libtorch"
    say "$1 is linked as .libtorch"
}

fetch() { # fetch FOLDER PACKAGE… : downloads wheels without their dependencies
    local folder=$1
    shift
    # Only C++ libraries are taken, so the Python version in the tags does not matter.
    "$python" -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.11 \
        --platform manylinux_2_28_x86_64 --platform manylinux_2_25_x86_64 --platform manylinux2014_x86_64 \
        --dest "$folder" "$@"
}

# The wheel's libtorch.so is an empty shim that pulls in CUDA; a linker script in its place names the CPU library alone.
unpack_cpu() { # unpack_cpu WHEELS TARGET
    "$python" - "$1" "$2" "$version" <<'PY'
import pathlib, shutil, sys, zipfile
wheels, target, version = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]
libraries = {"libtorch_cpu.so", "libc10.so", "libgomp.so.1", "libcudart.so.13", "libcupti.so.13"}
missing = set(libraries)
for wheel in sorted(wheels.glob("*.whl")):
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            path = pathlib.PurePosixPath(name)
            if path.name in missing and path.parent.name == "lib":
                out = target / "lib" / path.name
                missing.discard(path.name)
            elif name.startswith("torch/include/") and not name.endswith("/"):
                out = target / path.relative_to("torch")
            else:
                continue
            out.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(name) as source, open(out, "wb") as sink:
                shutil.copyfileobj(source, sink, 1 << 22)
if missing:
    sys.exit(f"libtorch: the wheels lack {sorted(missing)}")
(target / "lib" / "libtorch.so").write_text("INPUT(-ltorch_cpu)\n")
(target / "build-version").write_text(f"{version}+cpu\n")
PY
}

if [ -n "${LIBTORCH:-}" ]; then
    [ -d "$LIBTORCH/lib" ] || die "LIBTORCH=$LIBTORCH has no lib folder; unset it to let this script obtain one"
    link "$LIBTORCH"
    exit 0
fi

if [ ! -f "$home/build-version" ]; then
    [ "$(uname -sm)" = "Linux x86_64" ] || die "wheels are taken for Linux x86-64; elsewhere set LIBTORCH to a libtorch $version"
    python=$(command -v python3) || die "python3 is missing; install it with its pip module (Debian: apt-get install python3 python3-pip)"
    "$python" -m pip --version >/dev/null 2>&1 || die "$python has no pip; install it (Debian: apt-get install python3-pip)"
    partial=$(mktemp -d "$cache/partial.XXXXXX")
    trap 'rm -rf "$partial"' EXIT
    case $variant in
    cpu)
        say "fetching libtorch $version for CPU (540 MB, once)"
        fetch "$partial/wheels" "torch==$version" nvidia-cuda-runtime==13.0.96 nvidia-cuda-cupti==13.0.85
        say "unpacking"
        unpack_cpu "$partial/wheels" "$partial/home"
        ;;
    cuda)
        say "installing libtorch $version with CUDA (2.8 GB, once)"
        "$python" -m venv "$partial/venv"
        "$partial/venv/bin/python" -m pip install --quiet --target "$partial/site" "torch==$version"
        mv "$partial/site" "$partial/home"
        echo "$version+cuda" >"$partial/home/build-version"
        ;;
    *) die "unknown variant \"$variant\"; accepted: cpu, cuda" ;;
    esac
    rm -rf "$home"
    mv "$partial/home" "$home"
fi

case $variant in
cpu) link "$home" ;;
cuda) link "$home/torch" ;;
*) die "unknown variant \"$variant\"; accepted: cpu, cuda" ;;
esac
