"""The Debian package in a clean Debian: it installs, works, starts nothing, and a purge leaves nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNITS = "/lib/systemd/system/cluesd.service"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.getuid() != 0, reason="needs root: a chroot"),
]


def run(*command: str | Path) -> str:
    """Return what a command prints."""
    done = subprocess.run([*command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


class Chroot:
    """A fresh Debian in a folder; each command has namespaces of its own, so that none outlives the test."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(self, *command: str) -> str:
        """Run a command in it as root."""
        inner = 'mount -t proc proc "$0/proc" && exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C chroot "$0" "$@"'
        return run("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", inner, self.root, *command)

    def files(self) -> set[str]:
        """Return all paths, but where dpkg keeps its books; /opt itself goes with the last package in it."""
        kept = ("/tmp", "/proc", "/var/lib/dpkg", "/var/cache", "/var/log", "/opt")
        found = self.run("find", "/", "-xdev").splitlines()
        return {path for path in found if not any(path == one or path.startswith(f"{one}/") for one in kept)}

    def accounts(self) -> str:
        """Return all users and groups."""
        return self.run("getent", "passwd") + self.run("getent", "group")


@pytest.fixture
def debian() -> Iterator[Chroot]:
    root = Path(tempfile.mkdtemp(prefix="clues-debian-"))
    root.chmod(0o755)
    run("debootstrap", "--variant=minbase", "--include=python3,systemd", "bookworm", root)
    yield Chroot(root)
    shutil.rmtree(root)


def test_it_is_installed_used_removed_and_purged(debian: Chroot) -> None:
    built = run(sys.executable, ROOT / "package" / "build.py").splitlines()
    deb = Path(built[-1])
    shutil.copy(deb, debian.root / "tmp" / "clues.deb")
    before, accounts = debian.files(), debian.accounts()

    debian.run("dpkg", "-i", "/tmp/clues.deb")
    assert debian.run("clues", "version").startswith("clues ")
    assert debian.run("cluesd", "--version").startswith("cluesd ")
    assert "3 sites" in debian.run("clues", "config", "check")
    assert "NodeName=" in debian.run("clues", "slurm-config")
    assert "ExecStart=/opt/clues/bin/cluesd " in (debian.root / UNITS.lstrip("/")).read_text()
    assert not [*(debian.root / "etc/systemd/system").rglob("clue*")], "nothing is started that is not configured"
    assert debian.run("dpkg", "--verify", "clues") == ""

    # What the administrator and cluesd have written stays after a removal ...
    (debian.root / "etc/clues/clues.yaml").write_text("cluster: mine\n")
    (debian.root / "var/lib/clues/ledger.db").write_text("VMs\n")
    debian.run("dpkg", "-r", "clues")
    assert (debian.root / "etc/clues/clues.yaml").read_text() == "cluster: mine\n"
    assert (debian.root / "var/lib/clues/ledger.db").is_file()
    assert not (debian.root / "opt/clues").exists()
    # ... and nothing at all after a purge.
    debian.run("dpkg", "-P", "clues")
    assert debian.files() == before
    assert debian.accounts() == accounts
    assert not (debian.root / "opt/clues").exists()
