"""The Debian package in a clean Debian: it installs, works, starts nothing, and a purge leaves nothing."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import sqlite3
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
    made = Chroot(root)
    # as Slurm's package does
    made.run("useradd", "--system", "--uid", "64030", "--no-create-home", "--shell", "/bin/false", "slurm")
    yield made
    shutil.rmtree(root)


def assert_documents(debian: Chroot) -> None:
    """The manual page and completions lie where man and the shells look for them."""
    share = debian.root / "usr/share"
    with gzip.open(share / "man/man1/clues.1.gz", "rt") as page:
        assert page.read() == (ROOT / "templates/man/clues.1").read_text()
    for shell, place in (
        ("bash", "bash-completion/completions/clues"),
        ("zsh", "zsh/vendor-completions/_clues"),
        ("fish", "fish/vendor_completions.d/clues.fish"),
    ):
        assert (share / place).read_text() == debian.run("clues", "completion", shell).rstrip("\n") + "\n"


def assert_hook(debian: Chroot) -> None:
    """slurmctld may run the hook and put its requests; nobody else may write there."""
    told = debian.run("stat", "-L", "-c", "%a %U %G", "/usr/bin/clues-slurm-hook", "/var/lib/clues/requests")
    assert told.splitlines() == ["755 root root", "2770 slurm clues"]
    spool = ("clues-slurm-hook", "--spool", "/var/lib/clues/requests", "--socket", "/run/clues/none.sock")
    debian.run("setpriv", "--reuid=slurm", "--regid=nogroup", "--clear-groups", *spool, "resume", "gpu-[1-2]")
    (request,) = debian.run("ls", "/var/lib/clues/requests").split()
    found = debian.run("stat", "-c", "%a %U %G", f"/var/lib/clues/requests/{request}")
    assert found.strip() == "640 slurm clues"
    debian.run("rm", f"/var/lib/clues/requests/{request}")


@pytest.fixture(scope="module")
def deb() -> Path:
    """The package of this version."""
    return Path(run(sys.executable, ROOT / "package" / "build.py").splitlines()[-1])


def older(deb: Path, folder: Path) -> Path:
    """Return the same package with a version before it: dpkg upgrades from that."""
    run("dpkg-deb", "-R", deb, folder)
    control = folder / "DEBIAN/control"
    control.write_text(re.sub("^Version: .*$", "Version: 0.0.1", control.read_text(), flags=re.MULTILINE))
    run("dpkg-deb", "--build", "--root-owner-group", "-Zgzip", "-z1", folder, folder.with_suffix(".deb"))
    return folder.with_suffix(".deb")


#: Writes a ledger as the first version of the schema had it, with one VM that lives.
OLD_LEDGER = """
import sqlite3, sys
from clues.ledger.schema import MIGRATIONS
raw = sqlite3.connect("/var/lib/clues/ledger.db", isolation_level=None)
for statement in MIGRATIONS[0]:
    raw.execute(statement)
raw.execute("PRAGMA user_version = 1")
now = '2026-03-02T14:00:00+00:00'
raw.execute("INSERT INTO claims VALUES ('cpu-1-1', 'cpu-1', 1, 'ready', ?)", (
    '{"key": "cpu-1-1", "kind": "worker", "node": "cpu-1", "pool": "cpu", "generation": 1, "offer": {"site": "cesnet", '
    '"flavor": "small", "image": "here"}, "shape": {}, "state": "ready", "since": "NOW", "created_at": "NOW"}'
    .replace("NOW", now),
))
raw.execute("INSERT INTO spend VALUES ('2026-03-01', 'cpu', 'cesnet', 4.5)")
"""
#: Opens it as cluesd does at its start.
LOOK = """
from datetime import UTC, datetime
from pathlib import Path
from clues.ledger import open_ledger
from clues.ledger.schema import VERSION
ledger = open_ledger(Path("/var/lib/clues/ledger.db"))
(claim,) = ledger.live_claims().values()
(row,) = ledger.spending(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC))
print(claim.node, claim.state.value, row.amount, VERSION)
"""


def test_an_upgrade_keeps_configuration_ledger_and_a_copy_of_it(debian: Chroot, deb: Path, tmp_path: Path) -> None:
    def as_clues(script: str) -> str:
        user = ("setpriv", "--reuid=clues", "--regid=clues", "--init-groups", "sh", "-c", 'umask 077; exec "$@"', "sh")
        return debian.run(*user, "/opt/clues/bin/python", "-c", script)

    shutil.copy(older(deb, tmp_path / "older"), debian.root / "tmp/older.deb")
    shutil.copy(deb, debian.root / "tmp/clues.deb")
    debian.run("dpkg", "-i", "/tmp/older.deb")
    as_clues(OLD_LEDGER)
    mine = (debian.root / "etc/clues/clues.yaml").read_text().replace("cluster: ", "cluster: my-", 1)
    (debian.root / "etc/clues/clues.yaml").write_text(mine)

    debian.run("dpkg", "-i", "/tmp/clues.deb")
    assert "ii" in debian.run("dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Version}", "clues")
    assert (debian.root / "etc/clues/clues.yaml").read_text() == mine
    node, state, amount, version = as_clues(LOOK).split()
    assert (node, state, amount) == ("cpu-1", "ready", "4.5")
    assert int(version) > 1
    copy = debian.run("stat", "-c", "%a %U", "/var/lib/clues/ledger.db.v1")
    assert copy.strip() == "600 clues"
    old = sqlite3.connect(debian.root / "var/lib/clues/ledger.db.v1")
    assert old.execute("PRAGMA user_version").fetchone() == (1,)
    assert old.execute("SELECT count(*) FROM claims").fetchone() == (1,)
    old.close()


def test_it_says_who_built_it(deb: Path) -> None:
    told = run("dpkg-deb", "-f", deb, "Maintainer").strip()
    assert re.fullmatch(r".+ <\S+@\S+>", told)


def test_it_is_installed_used_removed_and_purged(debian: Chroot, deb: Path) -> None:
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
    assert_documents(debian)
    assert_hook(debian)

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
