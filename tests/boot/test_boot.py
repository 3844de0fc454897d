"""The real units under a real systemd: they start, reload, are restarted when they die or hang, and lose no VM.

One boot serves all, as steps of one test: each leaves cluesd running.  Slurm, munge and a cloud run beside it as
services.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from clues.cli import main
from tests.boot.container import CHECKOUT, Container
from tests.lab import slurm_conf
from tests.unit.test_systemd_unit import EXPOSURE

CLOUD = """
[Service]
Environment=PYTHONPATH=/opt/clues/src
ExecStart=/opt/clues/venv/bin/python /opt/clues/cloud.py 2633 /run/cloud.json
"""
CONFIGURATION: dict[str, Any] = {
    "cluster": "boot",
    "overlay": {"network": "10.77.0.0/16", "public": "10.77.0.1"},
    "enrolment": {"listen": "10.77.0.1:8443", "address": "10.77.0.1:8443"},
    "pace": {"listing": "2s", "listing_busy": "1s"},
    "lrms": {"conf": "/etc/slurm/slurm.conf", "slurmctld": "10.77.0.1:6817"},
    "sites": {
        "one": {
            "connector": "opennebula",
            "endpoint": "http://127.0.0.1:2633/RPC2",
            "credentials": "/etc/clues/one_auth",
        }
    },
    "pools": {
        "cpu": {
            "nodes": "c-[1-4]",
            "shape": {"cpus": 4, "memory": "7GiB"},
            "keep_warm": 2,
            "idle": "1h",
            "offers": [{"site": "one", "flavor": "medium", "image": "clues-worker", "price": "0 EUR"}],
        }
    },
}
DAEMON = "cluesd.service"
#: Long on a busy machine; what is waited for comes in a second or three on an idle one.
LONG = 60.0


def configure(root: Path, **changes: Any) -> None:
    """Write clues.yaml."""
    (root / "etc/clues/clues.yaml").write_text(yaml.safe_dump(CONFIGURATION | changes, sort_keys=False))


def install(root: Path) -> None:
    """Put units, users and folders in place; from outside, as the container sees this machine's /usr read-only."""
    assert main(["install", "--front-end", f"--root={root}", "--programs=/opt/clues/bin"]) == 0


@pytest.fixture
def box() -> Iterator[Container]:
    root = Path(tempfile.mkdtemp(prefix="clues-boot-"))
    container = Container(root)
    for folder in ("etc/clues", "etc/slurm", "var/lib/slurm/state"):
        (root / folder).mkdir(parents=True)
    conf = slurm_conf.render(
        folder=Path("/var/lib/slurm"),
        run=Path("/run"),
        hostname="head",
        address="10.77.0.1",
        ports=(6817, 6818),
        extra="AuthInfo=cred_expire=5\nPlugStackConfig=/etc/slurm/plugstack.conf\n"
        "SlurmctldLogFile=/var/lib/slurm/log\nSlurmctldPidFile=/var/lib/slurm/slurmctld.pid\n",
    )
    (root / "etc/slurm/slurm.conf").write_text(conf.replace("include nodes.conf", "include slurm-clues.conf"))
    (root / "etc/slurm/plugstack.conf").touch()
    configure(root)
    # What is tested is what `clues install` makes.
    install(root)
    accounts = [line.split(":") for line in (root / "etc/passwd").read_text().splitlines()]
    clues = next(int(line[2]) for line in accounts if line[0] == "clues")
    (root / "etc/clues/one_auth").write_text("clues:s3cret:with colon\n")
    (root / "etc/clues/one_auth").chmod(0o600)
    os.chown(root / "etc/clues/one_auth", clues, -1)
    subprocess.run(["chown", "-R", str(clues), root / "var/lib/slurm"], check=True)
    for name in ("cloud.py", "vm.py"):
        shutil.copy(Path(__file__).with_name(name), root / "opt/clues" / name)
    shutil.copy(CHECKOUT / "package/debian/postinst", root / "opt/clues/postinst")
    container.unit("cloud.service", CLOUD, wanted=True)
    for unit in ("munge.service", "slurmctld.service"):
        container.enable(unit)
    for unit in ("clues.target", "clues-hub.service", "clues-broker.service"):
        container.enable(unit, f"/etc/systemd/system/{unit}")
    with container:
        yield container
    shutil.rmtree(root, ignore_errors=True)


def wait_active(box: Container, unit: str = DAEMON) -> int:
    """Wait until a unit is active; return its process."""

    def process() -> int | None:
        state, pid = box.show(unit, "ActiveState", "MainPID")
        return int(pid) if state == "active" else None

    return box.wait_for(f"{unit} to be active", process, LONG, [unit, "slurmctld", "munge"])


def vms(box: Container) -> dict[str, Any]:
    """Return what the cloud has."""
    told: dict[str, Any] = json.loads(box.run("cat", "/run/cloud.json"))
    return told


def restarts(box: Container) -> int:
    """Return how often systemd started cluesd again by itself."""
    return int(box.show(DAEMON, "NRestarts")[0])


def wait_restarted(box: Container, before: int) -> int:
    """Wait until systemd has started cluesd again and it is ready; return its process."""
    box.wait_for("cluesd to be started again", lambda: restarts(box) > before, LONG, [DAEMON])
    return wait_active(box)


def nothing_lost(box: Container) -> None:
    """See to it that cluesd knows both VMs, and that no further one was ever asked for."""

    def known() -> bool:
        claims = {one["name"]: one["instance"] for one in nodes(box) if one["instance"]}
        return set(claims.values()) == {str(one) for one in vms(box)["alive"]}

    box.wait_for("cluesd to know its VMs", known, LONG, [DAEMON])
    assert vms(box) == {"alive": [0, 1], "asked": 2}


def nodes(box: Container) -> list[dict[str, Any]]:
    """Return what `clues nodes` tells; nothing while it cannot."""
    told = box.run("clues", "nodes", "-o", "json", check=False)
    found: list[dict[str, Any]] = json.loads(told)["nodes"] if told else []
    return found


def all_services_start_and_buy_what_is_wanted(box: Container) -> None:
    for unit in EXPOSURE:
        wait_active(box, f"{unit}.service")
    assert box.show("clues.target", "ActiveState") == ["active"]
    box.wait_for("two VMs", lambda: len(vms(box)["alive"]) == 2, LONG, [DAEMON, "cloud"])
    nothing_lost(box)
    assert restarts(box) == 0


def the_central_point_has_its_interface_and_its_firewall(box: Container) -> None:
    def tunnel() -> str:
        return box.run("ip", "-o", "link", "show", "type", "tun", check=False)

    def rules() -> str:
        return box.run("nft", "list", "tables", check=False)

    units = ["clues-hub", "clues-broker"]
    box.wait_for("a tunnel's interface", tunnel, LONG, units)
    box.wait_for("a table of ours", lambda: "clues" in rules(), LONG, units)
    box.wait_for("the broker to tell", lambda: (box.root / "var/lib/clues/hub/status.json").exists(), LONG, units)
    # each comes back by itself; what the broker has set stays while it is away
    for unit in units:
        pid = wait_active(box, f"{unit}.service")
        box.run("kill", "-KILL", str(pid))
        assert "clues" in rules()
        box.wait_for(f"another {unit}", lambda unit=unit, pid=pid: wait_active(box, f"{unit}.service") != pid, LONG)  # type: ignore[misc]
    box.wait_for("the interface again", tunnel, LONG, units)


def no_unit_is_more_exposed_than_it_may_be(box: Container) -> None:
    for unit, most in EXPOSURE.items():
        told = box.run("systemd-analyze", "security", "--no-pager", f"{unit}.service", check=False)
        found = re.search(rf"Overall exposure level for {unit}.service: ([0-9.]+)", told)
        assert found is not None, told
        assert float(found[1]) <= most, told


def enrolled(box: Container, node: str) -> str:
    """Have the VM of a node enrol; return what it was answered."""
    environment = ["env", "PYTHONPATH=/opt/clues/src"]
    return box.run(*environment, "/opt/clues/venv/bin/python", "/opt/clues/vm.py", node)


def state_of(box: Container, node: str) -> str:
    """Return the state of a node's claim."""
    return next(str(one["state"]) for one in nodes(box) if one["name"] == node)


def a_vm_enrols_through_all_walls(box: Container) -> None:
    """From the network to the front, from there to the signer, and from the signer to cluesd: each another user, and
    each unit with all that its sandbox forbids."""
    answers: list[str] = []

    def taken() -> bool:
        answers.append(enrolled(box, "c-1"))
        return answers[-1] == "200 clues 1\n"

    try:
        box.wait_for("c-1 to be taken", taken, LONG, ["clues-enrol", "clues-signer", DAEMON])
    except AssertionError as error:
        raise AssertionError(f"it was answered {answers[-1]!r}: {error}") from error
    box.wait_for("its claim to join", lambda: state_of(box, "c-1") == "joining", LONG, [DAEMON])
    told = box.run("journalctl", "--no-pager", "-o", "cat", "-u", "clues-enrol", "-u", "clues-signer", "-u", DAEMON)
    assert "Traceback" not in told


def a_reload_uses_the_new_configuration(box: Container) -> None:
    before = wait_active(box)
    configure(box.root, cluster="renamed", pace={"launches_per_tick": 7})
    box.run("systemctl", "reload", DAEMON)
    box.wait_for("it to be used", lambda: "read again and in use" in box.journal(DAEMON), LONG, [DAEMON])
    assert wait_active(box) == before


def a_reload_of_a_broken_configuration_changes_nothing(box: Container) -> None:
    before = wait_active(box)
    configure(box.root, sites={"one": {"connector": "none-such"}})
    box.run("systemctl", "reload", DAEMON)
    box.wait_for("it to be told", lambda: "none-such" in box.journal(DAEMON), LONG, [DAEMON])
    assert wait_active(box) == before
    box.wait_for("systemctl to show it", lambda: "none-such" in box.show(DAEMON, "StatusText")[0], LONG, [DAEMON])
    box.wait_for("clues to show it", lambda: "none-such" in box.run("clues", "status"), LONG, [DAEMON])
    nothing_lost(box)
    configure(box.root)
    box.run("systemctl", "reload", DAEMON)
    box.wait_for("it to be well", lambda: "none-such" not in box.show(DAEMON, "StatusText")[0], LONG, [DAEMON])


def a_start_with_a_broken_configuration_fails_once_and_says_why(box: Container) -> None:
    configure(box.root, sites={"one": {"connector": "none-such"}})
    before = restarts(box)
    box.run("systemctl", "restart", DAEMON, check=False)
    assert box.show(DAEMON, "ActiveState", "ExecMainStatus") == ["failed", "78"]
    assert "none-such" in box.show(DAEMON, "StatusText")[0]
    assert restarts(box) in (0, before)
    configure(box.root)
    box.run("systemctl", "start", DAEMON)
    wait_active(box)
    nothing_lost(box)


def an_upgrade_loses_no_vm_and_no_member(box: Container) -> None:
    """Another version's files, the unit files put anew, and what the package's own script does after that."""
    before = {unit: wait_active(box, f"{unit}.service") for unit in EXPOSURE}
    init = box.root / "opt/clues/src/clues/__init__.py"
    init.write_text(re.sub(r'__version__ = ".*"', '__version__ = "99.1"', init.read_text()))
    install(box.root)
    box.run("/bin/sh", "/opt/clues/postinst", "configure", "0.1.0")
    after = {unit: wait_active(box, f"{unit}.service") for unit in EXPOSURE}
    # a restart of the hub alone would cut traffic: it runs on
    assert [unit for unit in EXPOSURE if before[unit] == after[unit]] == ["clues-hub"]
    box.wait_for("the new version", lambda: "99.1" in box.run("clues", "version", check=False), LONG, [DAEMON])
    nothing_lost(box)
    assert state_of(box, "c-1") == "joining"
    # the same VM, by the same key, and the other one, by processes that were all started anew
    for node in ("c-1", "c-2"):
        box.wait_for(f"{node} to be taken", lambda node=node: enrolled(box, node).startswith("200"), LONG)  # type: ignore[misc]


def one_of_two_front_ends_stands_by_and_takes_its_turn(box: Container) -> None:
    """The second one is played by its name in the shared folder: what is tried is what systemd makes of this one."""
    shared = box.root / "srv/clues"
    shared.mkdir(parents=True)
    (shared / "lease.0").touch()
    box.run("chown", "-R", "clues", "/srv/clues")
    box.run("chmod", "0700", "/srv/clues")
    box.unit(f"{DAEMON}.d/shared.conf", "[Service]\nReadWritePaths=/srv/clues\n")
    box.run("systemctl", "daemon-reload")
    configure(box.root, front_ends={"shared": "/srv/clues", "lease": "10s"})
    box.run("systemctl", "restart", DAEMON)
    wait_active(box)
    nothing_lost(box)
    me = (box.root / "var/lib/clues/front-end-id").read_text().strip()

    def give_to(number: int, holder: str, name: str) -> None:
        (lease,) = shared.glob("lease.*")
        lease.rename(shared / f"lease.{number}.{holder}.{name}")

    pid = wait_active(box)
    give_to(1000, "b" * 16, "head-b")
    box.wait_for("it to stand by", lambda: "head-b is active" in box.show(DAEMON, "StatusText")[0], LONG, [DAEMON])
    assert wait_active(box) != pid  # it ended itself, and is ready all the same
    assert "standby" in box.run("clues", "status")
    give_to(1001, me, "head")
    box.wait_for("it to act", lambda: "nodes up" in box.show(DAEMON, "StatusText")[0], LONG, [DAEMON])
    nothing_lost(box)
    configure(box.root)
    box.run("systemctl", "restart", DAEMON)
    wait_active(box)


def a_killed_daemon_is_started_again(box: Container) -> None:
    pid, before = wait_active(box), restarts(box)
    box.run("kill", "-KILL", str(pid))
    assert wait_restarted(box, before) != pid
    nothing_lost(box)


def nothing_is_lost_while_it_is_stopped(box: Container) -> None:
    box.run("systemctl", "stop", DAEMON)
    assert box.show(DAEMON, "ActiveState", "Result") == ["inactive", "success"]
    assert vms(box) == {"alive": [0, 1], "asked": 2}
    # for the next test, which would wait for minutes otherwise
    box.unit(f"{DAEMON}.d/quick.conf", "[Service]\nWatchdogSec=8\n")
    box.run("systemctl", "daemon-reload")
    box.run("systemctl", "start", DAEMON)
    wait_active(box)
    nothing_lost(box)


def a_daemon_that_hangs_is_killed_and_started_again(box: Container) -> None:
    pid, before = wait_active(box), restarts(box)
    box.run("kill", "-STOP", str(pid))
    assert wait_restarted(box, before) != pid
    assert "Watchdog timeout" in box.journal(DAEMON)
    nothing_lost(box)


#: In this order.
STEPS = (
    all_services_start_and_buy_what_is_wanted,
    the_central_point_has_its_interface_and_its_firewall,
    no_unit_is_more_exposed_than_it_may_be,
    a_vm_enrols_through_all_walls,
    a_reload_uses_the_new_configuration,
    a_reload_of_a_broken_configuration_changes_nothing,
    a_start_with_a_broken_configuration_fails_once_and_says_why,
    an_upgrade_loses_no_vm_and_no_member,
    one_of_two_front_ends_stands_by_and_takes_its_turn,
    a_killed_daemon_is_started_again,
    nothing_is_lost_while_it_is_stopped,
    a_daemon_that_hangs_is_killed_and_started_again,
)


@pytest.mark.skipif(os.getuid() != 0, reason="needs root: systemd has to own a cgroup tree")
def test_the_services_live_under_systemd(box: Container) -> None:
    for step in STEPS:
        step(box)
