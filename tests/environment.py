"""Enters a Python environment that has pandas, pyarrow and Pillow.

`enter()` replaces the running interpreter by one of a cached virtual environment, so that the checks beside this file
run as plain scripts wherever there is a Python 3.11 or newer with pip. The environment is made once, from the package
index that pip is configured for, and kept in ${XDG_CACHE_HOME:-~/.cache}/phasegrid/pandas.
"""

import fcntl
import os
import pathlib
import subprocess
import sys
import venv

# Pinned, so that a check that fails does so for the tables' sake. A change makes the environment anew.
PACKAGES = ["pandas==3.1.1", "pyarrow==26.0.1", "pillow==13.0.0"]


def enter():
    """Returns once the running interpreter is the environment's."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    home = cache / "phasegrid" / "pandas"
    if pathlib.Path(sys.prefix) == home:
        return
    make(home)
    python = str(home / "bin" / "python")
    os.execv(python, [python, *sys.argv])


def make(home):
    """Makes the environment unless it stands complete; of two processes at once, the second waits for the first."""
    home.parent.mkdir(parents=True, exist_ok=True)
    complete = home / "packages"
    with open(home.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if complete.is_file() and complete.read_text().split() == PACKAGES:
            return
        print(f"making {home} with {', '.join(PACKAGES)} (once)", file=sys.stderr)
        venv.create(home, clear=True, with_pip=True)
        subprocess.run([home / "bin" / "python", "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        complete.write_text("\n".join(PACKAGES))
