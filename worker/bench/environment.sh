#!/usr/bin/env bash
# Makes the Python environment of the benchmark's peer (PyTorch and devinterp, from PyPI) and prints its interpreter.
#
#   worker/bench/environment.sh         CPU: the CUDA libraries that PyTorch's wheel asks for are left out (620 MB to fetch, 1.6 GB on disk)
#   worker/bench/environment.sh cuda    CUDA: a full install (2.8 GB to fetch)
#
# It is made once and kept in ${XDG_CACHE_HOME:-~/.cache}/phasegrid. Needs: bash, Python 3.10 or later with pip and venv, and for
# CPU a C compiler and readelf.
set -euo pipefail

variant=${1:-cpu}
torch=2.11.0
devinterp=1.3.2           # the last version that takes any model
libraries=(numpy pandas matplotlib tqdm cloudpickle einops typing_extensions filelock sympy networkx jinja2 fsspec)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/phasegrid
home=$cache/peer-$devinterp-torch-$torch-$variant

say() { echo "peer: $*" >&2; }

mkdir -p "$cache"
exec 9>"$cache/peer.lock"
command -v flock >/dev/null && flock 9

# PyTorch's wheel is linked against CUDA libraries that a CPU never calls. Empty ones with their names let it load, as
# long as functions are looked up when they are first called (peer.py sees to that).
leave_out_cuda() { # leave_out_cuda SITE-PACKAGES
    local lib=$1/torch/lib name
    find "$lib" -name '*.so' -exec readelf -d {} + 2>/dev/null | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sort -u |
        grep -E '^lib(cu|nccl|nvrtc|nvshmem|nvToolsExt)' | while read -r name; do
        [ -n "$(find "$1" -name "$name" -print -quit)" ] ||
            "${CC:-cc}" -shared -nostdlib -o "$lib/$name" -Wl,-soname,"$name" -x c /dev/null
    done
}

if [ ! -x "$home/bin/python" ]; then
    partial=$(mktemp -d "$cache/partial.XXXXXX")
    trap 'rm -rf "$partial"' EXIT
    say "installing torch $torch and devinterp $devinterp for $variant, once"
    python3 -m venv "$partial/venv"
    pip() { "$partial/venv/bin/python" -m pip --quiet --disable-pip-version-check "$@"; }
    case $variant in
    cpu)
        pip install --no-deps "torch==$torch" "devinterp==$devinterp" nvidia-cuda-runtime==13.0.96 nvidia-cuda-cupti==13.0.85
        pip install --only-binary=:all: "${libraries[@]}" 2>&1 | { grep -v "which is not installed\|dependency resolver" || true; } >&2
        leave_out_cuda "$("$partial/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
        ;;
    cuda)
        pip install "torch==$torch" "devinterp==$devinterp" >&2
        ;;
    *) say "unknown variant \"$variant\"; accepted: cpu, cuda" && exit 1 ;;
    esac
    rm -rf "$home"
    mv "$partial/venv" "$home"
fi
# The interpreter and not pip's scripts: those hold the path at which the environment was made.
echo "$home/bin/python"
