"""A central point with its broker: who is let in, what they get, and what may pass. Real OpenVPN, real nftables."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from clues.model import ClaimState, Kind
from tests.lab.internet import Internet
from tests.lab.vpn import Client, Vpn, member
from tests.lab.vpn_ca import SERVER, LabCa
from tests.lab.vpn_tools import NAMES, lan, listening, pings, run, send, wait_for
from vrouter.broker import status

pytestmark = pytest.mark.real

FRONT = "198.51.100.1"
HUB = [(FRONT, 1194)]


@pytest.fixture(scope="module")
def net() -> Iterator[Internet]:
    """The front-end's namespace, and those of three routers with a network each."""
    with Internet() as internet:
        internet.host("front", FRONT)
        run("front", "sysctl", "-qw", "net.ipv4.ip_forward=1")
        for number in (2, 3, 4):
            internet.host(f"r{number}", f"198.51.100.{number}")
            lan(f"r{number}", f"10.77.{number}.9/24")
        yield internet


@pytest.fixture
def vpn(net: Internet, tmp_path: Path) -> Iterator[Vpn]:
    """A cluster whose central point is not started yet."""
    with Vpn(tmp_path / "a", "front") as one:
        yield one


@contextmanager
def ends(*clients: Client) -> Iterator[None]:
    """End clients, whatever happens."""
    try:
        yield
    finally:
        for one in clients:
            one.kill()


def connected(vpn: Vpn, *numbers: int) -> list[Client]:
    """Return running clients of the members with these numbers."""
    clients = [vpn.client(f"key-{number}", f"r{number}", HUB).start() for number in numbers]
    for one in clients:
        one.up()
    return clients


def reaches(namespace: str, target: str, port: int) -> bool:
    """Tell whether a TCP connection gets any answer, be it a refusal by the other side's kernel."""
    code = (
        "import socket,sys\ntry:\n socket.create_connection((sys.argv[1],int(sys.argv[2])),1)\n"
        "except ConnectionRefusedError: pass\nexcept OSError: sys.exit(1)"
    )
    words = ["nsenter", f"--net={NAMES / namespace}", sys.executable, "-c", code, target, str(port)]
    return subprocess.run(words, check=False).returncode == 0


def test_members_get_their_addresses_and_reach_each_other_s_networks(vpn: Vpn) -> None:
    vpn.start(member(2), member(3))
    clients = connected(vpn, 2, 3)
    with ends(*clients):
        assert "10.77.252.11/22" in run("r2", "ip", "-br", "address", "show", "dev", "tun0")
        wait_for("the route to r3", lambda: "10.77.3.0/24" in run("front", "ip", "route"))
        assert pings("r2", "10.77.3.9", source="10.77.2.9", count=3)
        assert pings("r3", "10.77.252.1", source="10.77.3.9")

        def told() -> bool:
            word = status.read(vpn.settings.status)
            return word is not None and {one.claim for one in word.tunnels} == {"key-2", "key-3"}

        wait_for("the broker tells of both", told)
        word = status.read(vpn.settings.status)
        assert word is not None
        assert word.hub.up
        assert word.hub.trouble == ""
        (tunnel,) = [one for one in word.tunnels if one.claim == "key-2"]
        assert tunnel.address == "10.77.252.11"
        assert tunnel.real.startswith("198.51.100.2:")
        assert tunnel.received > 0


def test_a_client_that_leaves_takes_its_routes_along(vpn: Vpn) -> None:
    vpn.start(member(2, subnets=("10.77.2.0/24", "192.168.50.0/24")))
    (client,) = connected(vpn, 2)
    with ends(client):
        wait_for("the foreign range", lambda: "192.168.50.0/24" in run("front", "ip", "route"))
        client.kill(15)
        wait_for("no route", lambda: "proto 217" not in run("front", "ip", "route"))


def test_only_members_with_a_good_certificate_get_in(vpn: Vpn) -> None:
    other = LabCa("lab")
    clients = {
        "unknown": vpn.client("key-9", "r2", HUB),
        "stopping": vpn.client("key-4", "r2", HUB),
        "of another authority": vpn.client("key-2", "r3", HUB, ca=other),
        "a hub's": vpn.client("key-2", "r4", HUB, usage=SERVER),
        "expired": vpn.client("key-3", "r3", HUB, life=timedelta(seconds=-5)),
    }
    revoked = vpn.client("key-3", "r4", HUB)
    vpn.ca.revoked.add(revoked.serial)
    vpn.ca.write_crl(vpn.places.crl)
    vpn.start(member(2), member(3), member(4, state=ClaimState.STOPPING))
    with ends(*clients.values(), revoked):
        for one in (*clients.values(), revoked):
            one.start()
        for what in ("unknown", "stopping"):
            wait_for(what, lambda what=what: "AUTH_FAILED" in clients[what].log())  # type: ignore[misc]
        log = vpn.log
        wait_for("of another authority", lambda: "unable to get local issuer certificate: CN=key-2" in log("hub"))
        wait_for("a hub's", lambda: "unsuitable certificate purpose: CN=key-2" in log("hub"))
        wait_for("expired", lambda: "certificate has expired: CN=key-3" in log("hub"))
        wait_for("revoked", lambda: "certificate revoked: CN=key-3" in log("hub"))
        for one in (*clients.values(), revoked):
            assert "Initialization Sequence Completed" not in one.log()


def test_a_new_revocation_list_holds_from_the_next_handshake_on(vpn: Vpn) -> None:
    vpn.start(member(2))
    (client,) = connected(vpn, 2)
    with ends(client):
        vpn.ca.revoked.add(client.serial)
        vpn.ca.write_crl(vpn.places.crl)
        client.forget()
        assert client.process is not None
        client.process.send_signal(10)  # SIGUSR1: connect anew
        wait_for("refused", lambda: "certificate revoked" in vpn.log("hub"))
        assert "Initialization Sequence Completed" not in client.log()


def test_nobody_gets_in_before_the_members_are_known(vpn: Vpn) -> None:
    vpn.spawn("broker")
    vpn.spawn("hub")
    vpn.wait_up()
    client = vpn.client("key-2", "r2", HUB).start()
    with ends(client):
        wait_for("told to try again", lambda: "try again" in client.log())
        vpn.publish(member(2))
        client.up()  # and it did not give up meanwhile


def test_a_damaged_inventory_changes_nothing(vpn: Vpn) -> None:
    vpn.start(member(2), member(3))
    (client,) = connected(vpn, 2)
    later = vpn.client("key-3", "r3", HUB)
    with ends(client, later):
        vpn.places.inventory.write_text("{}")

        def told() -> bool:
            word = status.read(vpn.settings.status)
            return word is not None and "inventory" in word.hub.trouble

        wait_for("the broker says so", told)
        later.start().up()
        assert pings("r2", "10.77.252.1")


def test_a_packet_from_another_member_s_address_is_dropped(vpn: Vpn, tmp_path: Path) -> None:
    vpn.services = (("udp", 5000, 5000),)
    vpn.start(member(2), member(3))
    clients = connected(vpn, 2, 3)
    with ends(*clients), listening("front", 5000, tmp_path / "heard") as heard:
        send("r2", "10.77.3.9", "10.77.252.1", 5000, "spoofed")
        send("r2", "10.99.0.1", "10.77.252.1", 5000, "foreign")
        send("r2", "10.77.2.9", "10.77.252.1", 5000, "honest")
        wait_for("the honest one", lambda: "10.77.2.9 honest" in heard.read_text())
        assert "spoofed" not in heard.read_text()
        assert "foreign" not in heard.read_text()
        # Nor through the other door: a member's address does not come in from the internet.
        run("r4", "ip", "route", "add", "10.77.252.1/32", "via", FRONT)
        send("r4", "10.77.2.9", "10.77.252.1", 5000, "outside")
        send("r2", "10.77.2.9", "10.77.252.1", 5000, "again")
        wait_for("the next honest one", lambda: "again" in heard.read_text())
        assert "outside" not in heard.read_text()
    run("r4", "ip", "route", "del", "10.77.252.1/32", check=False)


def test_of_the_front_end_members_reach_only_what_is_named(vpn: Vpn) -> None:
    vpn.services = (("tcp", 6817, 6819), ("tcp", 6818, 6820))  # ranges may overlap
    vpn.start(member(2))
    (client,) = connected(vpn, 2)
    with ends(client):
        assert reaches("r2", "10.77.252.1", 6817)
        assert not reaches("r2", "10.77.252.1", 22)
        run("r2", "ip", "route", "add", f"{FRONT}/32", "dev", "tun0", "metric", "1", check=False)
        assert not reaches("r2", "10.77.252.1", 6816)


def test_exports_are_for_live_workers_only_wherever_they_are(vpn: Vpn, tmp_path: Path) -> None:
    vpn.exports = True
    worker = member(4, kind=Kind.WORKER, tunnel="", subnets=())
    vpn.start(worker)
    run("front", "ip", "route", "replace", "10.77.4.0/24", "via", "198.51.100.4")
    with listening("front", 2049, tmp_path / "heard") as heard:
        send("r4", "10.77.4.9", FRONT, 2049, "worker")
        wait_for("the worker's", lambda: "worker" in heard.read_text())
        send("r4", "10.77.4.8", FRONT, 2049, "neighbour")
        vpn.publish()
        wait_for(
            "it is out", lambda: "10.77.4.9" not in run("front", "nft", "list", "table", "inet", vpn.settings.table)
        )
        send("r4", "10.77.4.9", FRONT, 2049, "evicted")
        send("r4", "198.51.100.4", FRONT, 2049, "of another network")
        wait_for("the other's", lambda: "of another network" in heard.read_text())
        assert "neighbour" not in heard.read_text()
        assert "evicted" not in heard.read_text()
    run("front", "ip", "route", "del", "10.77.4.0/24")


def test_two_clusters_on_one_front_end_do_not_hear_each_other(vpn: Vpn, tmp_path: Path) -> None:
    vpn.services = (("udp", 5000, 5000),)
    other = Vpn(
        tmp_path / "b", "front", port=1195, network="10.78.0.0/16", transit="10.78.252.0/22", services=vpn.services
    )
    with other, listening("front", 5000, tmp_path / "front"), listening("r3", 5000, tmp_path / "r3"):
        vpn.start(member(2))
        other.start(member(3, tunnel="10.78.252.12", subnets=("10.78.3.0/24",)))
        mine, theirs = vpn.client("key-2", "r2", HUB), other.client("key-3", "r3", [(FRONT, 1195)])
        stranger = vpn.client("key-2", "r4", [(FRONT, 1195)])
        with ends(mine, theirs, stranger):
            mine.start().up()
            theirs.start().up()
            run("r2", "ip", "route", "add", "10.78.0.0/16", "dev", "tun0")
            wait_for("routes", lambda: "10.78.3.0/24" in run("front", "ip", "route"))
            for target in ("10.78.252.1", "10.78.252.12"):
                assert not pings("r2", target)
                send("r2", "10.77.252.11", target, 5000, f"across {target}")
            send("r2", "10.77.252.11", "10.77.252.1", 5000, "home")
            wait_for("the one to its own", lambda: "home" in (tmp_path / "front").read_text())
            assert "across" not in (tmp_path / "front").read_text() + (tmp_path / "r3").read_text()
            # A key of one cluster opens nothing at the other one, not even an answer.
            stranger.start()
            wait_for("the stranger tries", lambda: stranger.log().count("UDPv4 link remote") > 1, 15)
            assert "TLS: Initial packet" not in stranger.log()


def test_the_rules_go_only_when_asked_and_leave_others_alone(vpn: Vpn) -> None:
    run("front", "nft", "add", "table", "inet", "somebodys")
    vpn.start(member(2))
    assert vpn.settings.table in run("front", "nft", "list", "tables")
    vpn.kill("broker", 15)
    tables = run("front", "nft", "list", "tables")
    assert vpn.settings.table in tables
    assert "somebodys" in tables
    run("front", "nft", "delete", "table", "inet", "somebodys")


def test_a_port_of_the_management_interface_is_for_its_own_user_only(vpn: Vpn) -> None:
    vpn.start(member(2))
    vpn.kill("broker")
    with socket.socket(socket.AF_UNIX) as channel:
        channel.connect(str(vpn.settings.management))
        channel.settimeout(5)
        assert channel.recv(100).startswith(b">INFO")
    assert 'management-client-user "root"' in (vpn.settings.folder / "hub.conf").read_text()
