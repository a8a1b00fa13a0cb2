#!/usr/bin/env bash
# Makes the Python environment of one of the benchmark's peers, from PyPI, and prints its interpreter.
#
#   coordinator/bench/environment.sh hyperqueue
#   coordinator/bench/environment.sh dask
#
# It is made once and kept in ${XDG_CACHE_HOME:-~/.cache}/phasegrid. Needs: bash, Python 3.10 or later with pip and venv.
set -euo pipefail

peer=${1:-}
case $peer in
hyperqueue) packages=(hyperqueue==0.27.0) ;;
dask) packages=('dask==2026.8.0' 'distributed==2026.8.0') ;;
*) echo "peer: unknown peer \"$peer\"; accepted: hyperqueue, dask" >&2 && exit 1 ;;
esac
cache=${XDG_CACHE_HOME:-$HOME/.cache}/phasegrid
name=$(IFS=-; echo "${packages[*]//==/-}")
home=$cache/peer-$name

mkdir -p "$cache"
exec 9>"$cache/peer-$peer.lock"
command -v flock >/dev/null && flock 9

if [ ! -x "$home/bin/python" ]; then
    partial=$(mktemp -d "$cache/partial.XXXXXX")
    trap 'rm -rf "$partial"' EXIT
    echo "peer: installing ${packages[*]}, once" >&2
    python3 -m venv "$partial/venv"
    "$partial/venv/bin/python" -m pip --quiet --disable-pip-version-check install "${packages[@]}" >&2
    rm -rf "$home"
    mv "$partial/venv" "$home"
fi
# The interpreter and not pip's scripts: those hold the path at which the environment was made.
echo "$home/bin/python"
