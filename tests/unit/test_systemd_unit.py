"""The units are what systemd understands, and as closed as services of this kind can be; and the users, groups and
folders that come with them let each process do its work, and no other one's.

The last part is tried with real processes of the real users, made by systemd's own tools in a folder of their own.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from clues import inventory
from clues.inventory import Inventory

FOLDER = Path(__file__).parents[2] / "systemd"
UNITS = sorted([*FOLDER.glob("*.service"), *FOLDER.glob("*.target")])
SERVICES = [unit for unit in UNITS if unit.suffix == ".service"]

#: Highest exposure that systemd may reckon. The hub makes a network interface, so it has CAP_NET_ADMIN and a device.
EXPOSURE = {
    "clues-broker": 1.5,
    "clues-enrol": 1.5,
    "clues-hub": 1.8,
    "clues-signer": 0.5,
    "cluesd": 1.5,
}


def test_every_service_has_its_limit() -> None:
    assert {unit.stem for unit in SERVICES} == set(EXPOSURE)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_understands_every_line(unit: Path) -> None:
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    # the programs are not installed where the tests run; that is the only thing that may be said
    said = [line for line in done.stderr.splitlines() if "clues" in line and not re.search("is not exec", line)]
    assert said == []


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.stem)
def test_its_exposure_is_low(unit: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", str(unit)], capture_output=True, text=True, check=True
    )
    found = re.search(rf"Overall exposure level for {unit.name}: ([0-9.]+)", done.stdout)
    assert found is not None
    assert float(found[1]) <= EXPOSURE[unit.stem]


def settings(unit: str) -> dict[str, list[str]]:
    """Return the [Service] part of a unit; a key may stand there several times."""
    found: dict[str, list[str]] = {}
    part = ""
    for line in (FOLDER / f"{unit}.service").read_text().splitlines():
        if line.startswith("["):
            part = line
        elif part == "[Service]" and "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def test_the_process_with_the_keys_has_no_network() -> None:
    signer = settings("clues-signer")
    assert (signer["PrivateNetwork"], signer["RestrictAddressFamilies"]) == (["true"], ["AF_UNIX"])


@pytest.mark.parametrize("unit", ["cluesd", "clues-enrol", "clues-signer"])
def test_no_capability_where_none_is_needed(unit: str) -> None:
    assert settings(unit)["CapabilityBoundingSet"] == [""]


@pytest.mark.parametrize("unit", ["clues-hub", "clues-broker"])
def test_what_changes_the_network_may_do_that_and_no_more(unit: str) -> None:
    found = settings(unit)
    assert found["CapabilityBoundingSet"] == found["AmbientCapabilities"] == ["CAP_NET_ADMIN"]


def test_only_the_signer_is_given_the_munge_key() -> None:
    for unit in SERVICES:
        text = unit.read_text()
        assert ("LoadCredential=munge.key" in text) == (unit.stem == "clues-signer"), unit.name
        if unit.stem != "clues-signer":
            assert any("-/etc/munge" in line for line in settings(unit.stem)["InaccessiblePaths"]), unit.name


def test_systemd_gives_no_folder_of_several_users_to_one_of_them() -> None:
    for unit in SERVICES:
        assert not {"StateDirectory", "RuntimeDirectory"} & set(settings(unit.stem)), unit.name


def test_no_process_waits_for_one_that_waits_for_it() -> None:
    """At the first start the signer needs the cluster's id, which cluesd makes, and cluesd the CA, which the signer
    makes."""
    for unit in SERVICES:
        for line in unit.read_text().splitlines():
            if line.startswith(("After=", "Requires=", "BindsTo=")) and unit.stem != "clues-broker":
                assert "clues" not in line.partition("=")[2], (unit.name, line)


def test_the_published_inventory_can_be_read_by_the_other_users(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        inventory.write(tmp_path / "inventory.json", Inventory("c", 1, datetime.now(UTC)))
    finally:
        os.umask(before)
    assert (tmp_path / "inventory.json").stat().st_mode & 0o777 == 0o644


SLURM = 64030


# --- users and folders ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Home:
    """The users, groups and folders, made below one folder."""

    root: Path
    users: dict[str, int]
    groups: dict[str, int]
    members: dict[str, list[str]]

    def run(self, who: str, script: str) -> bool:
        """Return whether *script* succeeds below the root, as a unit, as a sysadmin or as anybody."""
        if who == "sysadmin":
            user, group, more = 65533, 65533, [self.groups["clues"]]
        elif who == "anybody":
            user, group, more = 65534, 65534, []
        elif who == "slurmctld":
            user, group, more = SLURM, SLURM, []
        else:
            found = settings(who)
            name = found["User"][0]
            user, group = self.users[name], self.groups[found["Group"][0]]
            listed = [one for line in found["SupplementaryGroups"] for one in line.split()]
            listed += [one for one, names in self.members.items() if name in names]
            more = sorted({self.groups[one] for one in listed})
        done = subprocess.run(
            ["/bin/sh", "-ec", script],
            cwd=self.root,
            user=user,
            group=group,
            extra_groups=more,
            umask=0o077,
            capture_output=True,
            env={"PATH": "/usr/bin:/bin"},
            check=False,
        )
        return done.returncode == 0


def _table(path: Path) -> list[list[str]]:
    return [line.split(":") for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    root = Path(tempfile.mkdtemp(prefix="clues-"))  # where other users may look, unlike pytest's own
    root.chmod(0o755)
    (root / "etc").mkdir()
    for tool, name in (("systemd-sysusers", "sysusers"), ("systemd-tmpfiles --create", "tmpfiles")):
        subprocess.run([*tool.split(), f"--root={root}", str(FOLDER / f"clues.{name}.conf")], check=True)
    # Slurm's own package makes its user
    with (root / "etc" / "passwd").open("a") as passwd:
        passwd.write(f"slurm:x:{SLURM}:{SLURM}::/:/bin/false\n")
    subprocess.run(
        ["systemd-tmpfiles", "--create", f"--root={root}", str(FOLDER / "clues-slurm.tmpfiles.conf")], check=True
    )
    groups = _table(root / "etc" / "group")
    yield Home(
        root,
        {line[0]: int(line[2]) for line in _table(root / "etc" / "passwd")},
        {line[0]: int(line[2]) for line in groups},
        {line[0]: line[3].split(",") for line in groups},
    )
    shutil.rmtree(root)


def _bind(name: str) -> str:
    return (
        "/usr/bin/python3 -Ic \"import os, socket; s = socket.socket(socket.AF_UNIX); s.bind('run/clues/.new'); "
        f"os.chmod('run/clues/.new', 0o660); os.rename('run/clues/.new', 'run/clues/{name}')\""
    )


def _connect(name: str) -> str:
    """A socket that nobody serves any more refuses whoever may connect; others are not permitted to."""
    return (
        '/usr/bin/python3 -Ic "import errno, socket, sys; '
        f"sys.exit(socket.socket(socket.AF_UNIX).connect_ex('run/clues/{name}') != errno.ECONNREFUSED)\""
    )


S = "var/lib/clues"
API, DESK, SIGNER, HUB = "clues.sock", "clues.desk.sock", "clues.signer.sock", "clues.hub.sock"

#: In this order: (who, what, whether it has to succeed). OpenVPN makes its own socket for everybody and asks who
#: speaks, so that one is not looked at from outside.
ACCESS: tuple[tuple[str, str, bool], ...] = (
    ("cluesd", f"echo > {S}/ledger.db; echo > {S}/inventory.json; chmod 0644 {S}/inventory.json", True),
    ("cluesd", f"{_bind(API)}; {_bind(DESK)}", True),
    ("clues-signer", f"echo > {S}/signer/ca.key; echo > {S}/trust/crl.pem; chmod 0644 {S}/trust/crl.pem", True),
    ("clues-signer", f"cat {S}/inventory.json; {_bind(SIGNER)}; {_connect(DESK)}", True),
    ("clues-hub", f"mkdir {S}/hub/run; echo > {S}/hub/run/key.pem; cat {S}/trust/crl.pem; {_connect(SIGNER)}", True),
    ("clues-hub", _bind(HUB), True),
    ("clues-broker", f"umask 027; echo > {S}/hub/status.json; cat {S}/inventory.json; {_connect(HUB)}", True),
    ("cluesd", f"cat {S}/hub/status.json {S}/trust/crl.pem; {_connect(SIGNER)}", True),
    ("clues-enrol", f"cat {S}/inventory.json {S}/trust/crl.pem; {_connect(SIGNER)}", True),
    ("sysadmin", _connect(API), True),
    # The CA's key is the signer's, and so is what is trusted: cluesd cannot even put its folder aside.
    *((who, f"cat {S}/signer/ca.key", False) for who in ("cluesd", "clues-enrol", "clues-hub", "sysadmin")),
    ("cluesd", f"mv {S}/trust {S}/other", False),
    ("cluesd", f"echo > {S}/trust/ca.pem", False),
    # The ledger is cluesd's.
    *((who, f"cat {S}/ledger.db", False) for who in ("clues-signer", "clues-enrol", "clues-hub", "sysadmin")),
    *((who, f"echo > {S}/planted", False) for who in ("clues-signer", "clues-enrol", "clues-hub", "sysadmin")),
    # slurmctld's hook writes requests, as it does: readable for the folder's group; cluesd empties it; nobody else may.
    ("slurmctld", f"echo > {S}/requests/1.json; chmod 0640 {S}/requests/1.json", True),
    ("cluesd", f"cat {S}/requests/1.json; rm {S}/requests/1.json", True),
    *((who, f"ls {S}/requests", False) for who in ("clues-enrol", "clues-hub", "anybody")),
    *((who, f"echo > {S}/requests/2.json", False) for who in ("clues-enrol", "clues-hub", "anybody")),
    ("slurmctld", f"cat {S}/ledger.db", False),
    # The hub's key is its own.
    *((who, f"cat {S}/hub/run/key.pem", False) for who in ("cluesd", "clues-signer", "clues-enrol", "sysadmin")),
    # Who faces the internet speaks with the signer alone, and puts no socket in another one's place.
    ("clues-enrol", _connect(DESK), False),
    ("clues-enrol", _connect(API), False),
    ("clues-enrol", _bind("planted.sock"), False),
    ("clues-hub", _connect(API), False),
    ("clues-hub", f"mv run/clues/{SIGNER} run/clues/other", False),
    ("clues-broker", _connect(DESK), False),
    ("sysadmin", _bind("planted.sock"), False),
    ("sysadmin", _connect(SIGNER), False),
    *(("anybody", _connect(name), False) for name in (API, DESK, SIGNER)),
    ("anybody", f"ls {S}", False),
    ("anybody", f"cat {S}/hub/status.json", False),
)


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to be other users")
def test_each_process_can_do_its_work_and_no_other_ones(home: Home) -> None:
    wrong = [(who, what, expected) for who, what, expected in ACCESS if home.run(who, what) is not expected]
    assert wrong == []
