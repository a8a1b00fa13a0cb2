#!/usr/bin/env bash
# Finds PostgreSQL's server for the tests and prints the folder of its binaries; where there is none, Debian's package is
# fetched and unpacked into the user's cache (about 20 MB, no root needed, nothing is installed).
#
# A PHASEGRID_POSTGRESQL that is set in the environment wins: the folder that holds `initdb` and `postgres`.
# Needs: bash; to fetch also apt-get and dpkg.
set -euo pipefail

say() { echo "postgresql: $*" >&2; }
die() { say "$*; install PostgreSQL (Debian: apt-get install postgresql), or set PHASEGRID_POSTGRESQL to the folder of its binaries"; exit 1; }
found() { if [ -x "$1/initdb" ] && [ -x "$1/postgres" ]; then echo "$1"; exit 0; fi; }

if [ -n "${PHASEGRID_POSTGRESQL:-}" ]; then
    found "$PHASEGRID_POSTGRESQL"
    die "$PHASEGRID_POSTGRESQL holds no initdb and postgres"
fi
command -v pg_config >/dev/null && found "$(pg_config --bindir)"
newest() { local folder; for folder in $(ls -d "$1"/usr/lib/postgresql/*/bin 2>/dev/null | sort -rV); do found "$folder"; done; }
newest ""

# The server does not run as root, and another user cannot look into root's home.
if [ "$(id -u)" = 0 ]; then cache=/var/cache/phasegrid; else cache=${XDG_CACHE_HOME:-$HOME/.cache}/phasegrid; fi
home=$cache/postgresql
mkdir -p "$cache"
# Two that start side by side must not unpack into one folder: the second waits, then finds the work done.
exec 9>"$cache/postgresql.lock"
command -v flock >/dev/null && flock 9
newest "$home"

command -v apt-get >/dev/null && command -v dpkg >/dev/null || die "there is none, and no apt-get and dpkg to fetch it with"
say "there is none; fetching Debian's package"
work=$(mktemp -d "$cache/postgresql.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/archives/partial" "$work/root"
apt=(apt-get -qq -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work" -o APT::Sandbox::User= -o Debug::NoLocking=1)
"${apt[@]}" update || die "the lists of packages cannot be fetched"
# The server with whatever it needs that is not there yet.
packages=$("${apt[@]}" --simulate --no-install-recommends install postgresql | awk '/^Inst/ { print $2 }')
(cd "$work" && "${apt[@]}" download $packages) || die "the packages cannot be fetched"
for package in "$work"/*.deb; do dpkg -x "$package" "$work/root"; done
chmod -R a+rX "$work/root" && mv "$work/root" "$home"
newest "$home"
die "what was fetched holds no initdb and postgres"
