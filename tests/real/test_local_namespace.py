"""A local site in a network namespace of its own: private addresses, NAT to the outside, and what a router VM needs."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from clues.errors import InvalidRequest
from clues.model import Instance, Kind
from clues.testing.connector_contract import OURS, launch, launch_error, listed
from connectors.local import network
from tests.lab.internet import LAN, Internet
from tests.real.local_site import LocalSite, until

pytestmark = pytest.mark.real

#: Starts an agent that says when it begins and ends, through the image's own way to start services.
AGENT = """
mkdir -p /etc/clues
cat >/etc/clues/agent <<'END'
#!/bin/sh
echo "begun $$ $(id -u)"
sleep 86397 &
[ -e /run/clues/again ] && wait || : >/run/clues/again
END
chmod 755 /etc/clues/agent
/etc/clues/start clues-agent
"""


@pytest.fixture(scope="module")
def internet() -> Iterator[Internet]:
    with Internet() as net:
        net.site("upv", lan="10.77.2.0/24", gateway="10.77.2.1", public="198.51.100.20")
        net.host("elsewhere", "198.51.100.99")
        net.host("afar", "198.51.100.98")  # which knows no way to a private address
        net.run("elsewhere", ["ip", "route", "add", "10.77.2.0/24", "via", "198.51.100.20"])
        yield net


@pytest.fixture
def site(tmp_path: Path, internet: Internet) -> Iterator[LocalSite]:
    site = LocalSite(tmp_path, namespace="upv", bridge=LAN, gateway="10.77.2.1", prefix=24)
    yield site
    site.clear()


def boot(site: LocalSite, script: str, kind: Kind = Kind.WORKER, *, number: int = 1) -> Instance:
    request = replace(site.request(OURS, number, script), address=f"10.77.2.{10 + number}", kind=kind)
    instance = launch(site.connect(OURS), request)
    until("user-data to end", lambda: "user-data ended" in site.console(instance))
    return instance


def test_a_vm_reaches_the_internet_by_nat_and_nobody_reaches_it(site: LocalSite, internet: Internet) -> None:
    script = "ip -br -4 addr show eth0; ip route; ping -c 1 -W 5 198.51.100.98 >/dev/null && echo out"
    said = site.console(boot(site, script))
    assert "10.77.2.11/24" in said
    assert "default via 10.77.2.1" in said
    assert "out" in said.splitlines()
    ping = internet.run("elsewhere", ["ping", "-c", "1", "-W", "1", "10.77.2.11"], check=False)
    assert "100% packet loss" in ping
    assert " 0% packet loss" in internet.run("upv", ["ping", "-c", "1", "-W", "5", "10.77.2.11"])


def test_its_cable_is_in_the_site_and_goes_with_it(site: LocalSite, internet: Internet) -> None:
    instance = boot(site, "true")
    cable = network.cable_name(site.vm(instance))
    assert network.exists(cable, "upv")
    assert not network.exists(cable)
    site.connect(OURS).terminate(instance.id)
    assert not network.exists(cable, "upv")


def test_a_cut_and_a_mended_site(site: LocalSite, internet: Internet) -> None:
    internet.cut("upv")
    try:
        instance = boot(site, "ping -c 1 -W 1 198.51.100.99 >/dev/null || echo no way out")
        assert "no way out" in site.console(instance)
    finally:
        internet.mend("upv")
    assert " 0% packet loss" in internet.run("upv", ["ping", "-c", "1", "-W", "5", "198.51.100.99"])
    counted = internet.counted("upv")
    assert counted.received > 0
    assert counted.sent > 0


def test_the_site_chooses_an_address_and_tells_its_hardware_address(site: LocalSite) -> None:
    connector = site.connect(OURS)
    taken = launch(connector, replace(site.request(OURS, 1), address="10.77.2.10"))
    chosen = launch(connector, replace(site.request(OURS, 2), address=""))
    assert chosen.addresses == ("10.77.2.11",)
    assert launch(connector, replace(site.request(OURS, 2), address="")).id == chosen.id
    assert {one.macs for one in listed(connector)} == {("02:00:0a:4d:02:0a",), ("02:00:0a:4d:02:0b",)}
    assert Path(f"/proc/{site.process(taken).pid}").exists()


def test_a_router_can_make_tunnels_forward_and_filter(site: LocalSite) -> None:
    script = """
    openvpn --mktun --dev tun0 --dev-type tun >/dev/null && ip -br link show tun0 | grep -o tun0
    sysctl -w net.ipv4.ip_forward=1
    printf 'table inet t { chain f { type filter hook forward priority 0; policy drop; }; }' | nft -f -
    nft list tables
    """
    said = site.console(boot(site, script, Kind.ROUTER))
    assert "tun0\nnet.ipv4.ip_forward = 1\ntable inet t\n" in said


def test_only_workers_see_the_shared_folders(tmp_path: Path, site: LocalSite) -> None:
    # Where each VM has a folder of its own: elsewhere, as in a checkout, all of them see what the machine has.
    shared = Path(tempfile.mkdtemp(prefix="shared.", dir="/var/tmp"))
    (shared / "file").touch()
    other = LocalSite(
        tmp_path / "other", namespace="upv", bridge=LAN, gateway="10.77.2.1", prefix=24, shared=[str(shared)]
    )
    script = f"ls {shared} 2>&1"
    try:
        assert "file\n" in other.console(boot(other, script))
        router = boot(other, script, Kind.ROUTER, number=2)
        assert "No such file" in other.console(router)
    finally:
        other.clear()
        shutil.rmtree(shared)


def test_the_agent_runs_as_root_is_begun_again_and_restarts_with_all_it_started(site: LocalSite) -> None:
    instance = boot(site, AGENT)
    log = site.vm(instance) / "var" / "log" / "clues-agent.log"
    until("the agent to be begun again", lambda: log.exists() and log.read_text().count("begun") == 2)
    assert {line.split()[2] for line in log.read_text().splitlines()} == {"0"}
    inside = ["nsenter", "--target", str(site.process(instance).pid), *"--net --mount --pid --uts --ipc --".split()]
    network_of = Path(f"/proc/{site.process(instance).pid}/ns/net").readlink()
    before = sleepers(network_of)
    assert len(before) == 2
    subprocess.run([*inside, "/etc/clues/start", "clues-agent"], check=True, timeout=20)
    until("the agent to have restarted", lambda: log.read_text().count("begun") == 3)
    until("one sleeper", lambda: len(sleepers(network_of)) == 1)
    assert not before & sleepers(network_of)


def test_a_namespace_that_is_not_there_is_told(tmp_path: Path) -> None:
    site = LocalSite(tmp_path, namespace="nowhere", bridge=LAN, gateway="10.77.2.1", prefix=24)
    error = launch_error(site.connect(OURS), replace(site.request(OURS, 1), address="10.77.2.11"))
    assert isinstance(error, InvalidRequest)
    assert "no network namespace nowhere" in str(error)


def sleepers(network_of: Path) -> set[str]:
    """Processes that the agent has started, by their network namespace."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "ns" / "net").readlink() == network_of and b"86397" in (process / "cmdline").read_bytes():
                found.add(process.name)
        except OSError:
            continue
    return found
