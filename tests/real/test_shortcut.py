"""Direct tunnels between routers: traffic leaves the central point, and comes back to it when the shortcut dies."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.lab.frontend import LabError
from tests.lab.internet import batch
from tests.lab.vpn_tools import pings, run, wait_for
from tests.real.router_lab import Machine, Sites, two_sites
from tests.real.router_traffic import answering, counting, pinging, reaches, rules, stream, up, worst_gap

pytestmark = pytest.mark.real

#: by the addresses of the routers' tunnel ends: 10.77.252.12 and .11
LINK = {"r2": "clues-s64524", "r3": "clues-s64523"}
#: the endpoint's port and one more, since site 2's router has the second address for tunnel ends
PORT = 1196


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    """Two sites; the one whose gateway forwards a port listens, the other one is behind NAT."""
    with two_sites(tmp_path_factory.mktemp("sites")) as sites:
        sites.net.forward("site3", {("udp", PORT): "10.77.3.9"})
        run("site3", *"nft insert rule ip site through iifname lan0 oifname lan0 accept".split())
        for number in (2, 3):
            sites.router(number)
            sites.worker(number, 10)
        listener = sites.machines["r3"].key
        sites.members[listener] = replace(sites.members[listener], endpoint="198.51.100.30:1195")
        sites.shortcuts = True
        sites.vpn.start(*sites.members.values())
        sites.publish()
        for machine in sites.machines.values():
            machine.start()
        up(sites)
        yield sites


def direct(namespace: str) -> bool:
    """Tell whether a router sends to the other site by the shortcut."""
    other = "10.77.3.10" if namespace == "r2" else "10.77.2.10"
    return LINK[namespace] in run(namespace, "ip", "route", "get", other)


def wait_for_shortcut(sites: Sites) -> float:
    """Wait until both routers use it; return the seconds."""
    try:
        return wait_for("the shortcut", lambda: direct("r2") and direct("r3") and pings("w2-10", "10.77.3.10"), 20)
    except LabError as error:
        logs = "\n".join(machine.log()[-3000:] for machine in sites.machines.values())
        raise LabError(f"{error}\n{logs}") from None


def keeper(machine: Machine) -> int:
    """Return the shortcut's process."""
    return machine.pid(f"{LINK[machine.namespace]}.vpn")


def test_traffic_leaves_the_central_point(sites: Sites) -> None:
    print(f"the shortcut is up after {wait_for_shortcut(sites):.1f} s")
    with answering("w3-10", "10.77.3.10", 42000), counting("ip saddr 10.77.0.0/16 ip daddr 10.77.0.0/16") as seen:
        assert reaches("w2-10", "10.77.3.10", 42000)
        assert pings("w3-10", "10.77.2.10", count=5)
    assert seen == [0]


def test_the_routers_tell_of_it(sites: Sites) -> None:
    wait_for_shortcut(sites)
    for one, other in (("r2", "r3"), ("r3", "r2")):
        told = (sites.machines[one].key, "shortcut", f"{sites.machines[other].key} up ")
        wait_for("the report", lambda told=told: any(_tells(report, told) for report in sites.front.reports))  # type: ignore[misc]


def _tells(report: tuple[str, str, str], told: tuple[str, str, str]) -> bool:
    return report[:2] == told[:2] and report[2].startswith(told[2])


@pytest.mark.parametrize("victim", ["r2", "r3"])
def test_when_one_end_dies_traffic_is_back_at_the_central_point_within_five_seconds(sites: Sites, victim: str) -> None:
    wait_for_shortcut(sites)
    machine = sites.machines[victim]
    with (
        answering("w3-10", "10.77.3.10", 42001),
        stream("w2-10", "10.77.3.10", 42001, 9) as process,
        pinging("w2-10", "10.77.3.10", 9) as silence,
    ):
        stopped = [keeper(machine)]
        os.kill(stopped[0], signal.SIGSTOP)  # it answers nothing and says nothing: the worst way to die
        wait_for("the other end's way back", lambda: not direct("r3" if victim == "r2" else "r2"), 8)
        os.kill(stopped[0], signal.SIGKILL)
        worst_gap(process)
    print(f"shortcut frozen at {victim}: {silence[0]:.1f} s without an answer")
    assert silence[0] < 5
    print(f"it is back after {wait_for_shortcut(sites):.1f} s")


def test_when_the_wire_between_them_breaks_traffic_is_back_within_five_seconds(sites: Sites) -> None:
    wait_for_shortcut(sites)
    rule = "insert rule ip site through udp sport 1196 drop"
    with pinging("w2-10", "10.77.3.10", 9) as silence:
        run("site3", "nft", *rule.split())
        run("site3", "nft", *rule.replace("sport", "dport").split())
        wait_for("the way back", lambda: not direct("r2") and not direct("r3"), 10)
    print(f"wire cut: {silence[0]:.1f} s without an answer")
    assert silence[0] < 5
    sites.net.forward("site3", {("udp", PORT): "10.77.3.9"})
    run("site3", *"nft insert rule ip site through iifname lan0 oifname lan0 accept".split())
    print(f"mended: direct again after {wait_for_shortcut(sites):.1f} s")


def test_a_shortcut_carries_only_what_belongs_to_its_site(sites: Sites) -> None:
    wait_for_shortcut(sites)
    # Root on the other router sends from an address of a third site, and to one that is no member.
    batch("r2", "addr add 10.77.4.10/32 dev lo")
    try:
        with counting("ip saddr 10.77.4.10", namespace="w3-10", links="eth0") as seen:
            assert not pings("r2", "10.77.3.10", source="10.77.4.10", count=2)
        assert seen == [0]
        sites.worker(3, 66, member=False)
        with counting("icmp type echo-request", namespace="w3-66", links="eth0") as seen:
            assert not pings("w2-10", "10.77.3.66", count=2)
        assert seen == [0]
    finally:
        batch("r2", "addr del 10.77.4.10/32 dev lo")
    assert LINK["r3"] in rules("r3")


def test_a_router_that_is_another_one_now_has_no_shortcut_by_its_old_key(sites: Sites) -> None:
    wait_for_shortcut(sites)
    listener = sites.machines["r3"].key
    good = sites.members[listener]
    sites.members[listener] = replace(good, fingerprint=":".join(["AB"] * 32))
    sites.publish()
    wait_for("the end of the shortcut", lambda: not direct("r2") and not direct("r3"), 10)
    assert pings("w2-10", "10.77.3.10", wait=2)
    sites.members[listener] = good
    sites.publish()
    wait_for_shortcut(sites)


def test_without_a_pair_there_is_no_process(sites: Sites) -> None:
    wait_for_shortcut(sites)
    sites.shortcuts = False
    sites.publish()
    pids = sites.machines["r2"].folder / "run/clues-agent/pids"
    wait_for("its end", lambda: not direct("r2") and not any(pids.glob("clues-s*")), 10)
    sites.shortcuts = True
    sites.publish()
    print(f"up again after {wait_for_shortcut(sites):.1f} s")
