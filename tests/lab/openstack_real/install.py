"""Brings what the cloud is made of: Debian packages, and a virtual environment with the exact versions.

Outside of the sandbox, where there is a network. What is there already costs nothing; what is pinned differently now is
made anew.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.lab.frontend import LabError

HERE = Path(__file__).resolve().parent
#: Below the checkout, ignored by git.
CACHE = (HERE.parents[2] / ".lab" / "openstack").resolve()
VENV = CACHE / "venv"
#: Debian's own: its uwsgi runs no other.
PYTHON = "/usr/bin/python3"

#: As in ./dev: no service of a package is started (101 is "forbidden"); a policy that is there stays.
_INSTALL = """
set -eu
policy=/usr/sbin/policy-rc.d
if (set -C; printf '#!/bin/sh\\n[ -d /proc/%s ] || exit 0\\nexit 101\\n' "$$" >"$policy") 2>/dev/null; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
apt-get -q install -y --no-install-recommends -o DPkg::Lock::Timeout=120 "$@"
"""


def say(text: str) -> None:
    """Tell how far it is."""
    print(f"openstack: {text}", file=sys.stderr, flush=True)


def what_is_missing() -> str:
    """Return what has to be installed first, in words; empty when all is there."""
    packages = _missing_packages()
    if packages:
        return f"Debian packages are missing: {', '.join(packages)}"
    return "" if _stamp_is_right() else "the virtual environment is not made, or is of other versions"


def install() -> None:
    """Install all that is missing.

    :raises LabError: it cannot be; with what apt or pip said last.
    """
    packages = _missing_packages()
    if packages:
        say(f"installing the Debian packages {' '.join(packages)}")
        as_root = [] if os.geteuid() == 0 else ["sudo"]
        _run([*as_root, "sh", "-c", _INSTALL, "sh", *packages])
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _stamp_is_right():
            say(f"installing OpenStack into {VENV} (two minutes, 600 MB)")
            shutil.rmtree(VENV, ignore_errors=True)
            _run([PYTHON, "-m", "venv", str(VENV)])
            pip = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
            _run(["nice", "-n", "10", *pip, "-r", str(HERE / "requirements.txt")])
            (VENV / "stamp").write_text(_wanted_stamp())


def _missing_packages() -> list[str]:
    lines = (HERE / "debian-packages.txt").read_text(encoding="utf-8").splitlines()
    wanted = [word for line in lines for word in line.partition("#")[0].split()]
    return [name for name in wanted if not _is_installed(name)]


def _is_installed(package: str) -> bool:
    words = ["dpkg-query", "-W", "-f", "${db:Status-Status}", package]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout == "installed"


def _wanted_stamp() -> str:
    """The versions, and where it lies: an environment that was moved along with its checkout is of no use."""
    return f"{hashlib.sha256((HERE / 'requirements.txt').read_bytes()).hexdigest()} {VENV}\n"


def _stamp_is_right() -> bool:
    stamp = VENV / "stamp"
    return stamp.is_file() and stamp.read_text() == _wanted_stamp()


def _run(words: list[str]) -> None:
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise LabError(f"{' '.join(words[:6])} ... ended with {done.returncode}:\n{done.stdout[-3000:]}")
