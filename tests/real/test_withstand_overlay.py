"""What a cluster with tunnels withstands: each of its processes killed under a running job, thieves, and liars.

The jobs run behind the router of the far site. The keys of tunnels are negotiated anew every few seconds, so that each
test meets several of these moments.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clues.bootstrap.tickets import Tickets
from clues.bootstrap.trust import TrustStore
from clues.inventory import Reader
from clues.model import Claim, ClaimState
from tests.lab.internet import in_namespace
from tests.lab.topology import PUBLIC
from tests.lab.vpn_tools import listening, run, send
from tests.real.overlay_lab import OverlayTrial, overlay_trial
from tests.unit.bootstrap.lab import make_request

pytestmark = pytest.mark.real

#: seconds between two negotiations of a tunnel's keys
RENEGOTIATE = 5

#: Tells whether a TCP connection to ADDRESS PORT from SOURCE is answered within two seconds.
CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 2, (sys.argv[3], 0))
    print("connected")
except OSError:
    print("refused")
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OverlayTrial]:
    with overlay_trial(
        tmp_path_factory.mktemp("overlay"),
        {"renegotiate": f"{RENEGOTIATE}s"},
        vms={"cesnet": 1, "upv": 2},
        cpu_nodes="cpu-[01-03]",
    ) as cluster:
        yield cluster


@pytest.fixture
def job(cluster: OverlayTrial) -> Iterator[int]:
    """A job behind the router. At the end it has to be the same run on the same VM, and its node got no
    other."""
    number = cluster.held_job("upv")
    cluster.router()
    worker = cluster.worker_of(number)
    bought = cluster.bought(worker.node)
    yield number
    assert cluster.front.job_state(number) == "RUNNING"
    cluster.release(number)
    after = cluster.again(worker)
    assert (after.state, after.instance_id) == (ClaimState.READY, worker.instance_id)
    assert cluster.bought(worker.node) == bought


def test_a_router_that_dies_is_replaced_and_its_workers_are_kept(cluster: OverlayTrial, job: int) -> None:
    router, worker = cluster.router(), cluster.worker_of(job)
    with cluster.flow(worker) as flow:
        began = time.time()
        cluster.pull_the_plug("upv", router.instance_id)
        cluster.until("the death to be seen", lambda: cluster.again(router).state is not ClaimState.READY)
        assert cluster.again(worker).state is ClaimState.READY, "an unreachable worker is unknown, not lost"
        after = cluster.router(but=router.key)
        assert (after.address, after.node) == (router.address, router.node)
        cluster.until("an answer through the new router", lambda: flow.answers()[-1] > began + 1)
        print(f"router killed: {flow.gap(began):.1f} s without an answer")
    assert cluster.again(router).failure == "vanished"


def test_openvpn_that_dies_in_the_router_is_started_again_and_nothing_else_happens(
    cluster: OverlayTrial, job: int
) -> None:
    router, worker = cluster.router(), cluster.worker_of(job)
    with cluster.flow(worker) as flow:
        began = time.time()
        cluster.in_vm(router, 'read -r pid </run/clues-agent/pids/tunnel.vpn && kill -9 "$pid"')
        cluster.until("a pause", lambda: flow.gap(began) > 0.5)
        paused = len(flow.answers())
        cluster.until("answers again", lambda: len(flow.answers()) > paused)
        gap = flow.gap(began)
        print(f"openvpn in the router killed: {gap:.1f} s without an answer")
    assert gap < 5
    assert cluster.router().key == router.key


def test_tunnels_are_back_within_ten_seconds_of_the_central_points_death(cluster: OverlayTrial, job: int) -> None:
    router = cluster.router()
    with cluster.flow(cluster.worker_of(job)) as flow:
        began = time.time()
        cluster.kill("hub")
        time.sleep(1)  # as its unit has it
        cluster.start_process("hub")
        cluster.until("answers again", lambda: flow.answers()[-1] > began + 1)
        gap = flow.gap(began)
        print(f"central point killed: {gap:.1f} s without an answer")
    assert gap < 10
    assert cluster.router().key == router.key


def test_a_broker_that_dies_costs_no_tunnel(cluster: OverlayTrial, job: int) -> None:
    router = cluster.router()
    with cluster.flow(cluster.worker_of(job)) as flow:
        began = time.time()
        cluster.kill("broker")
        time.sleep(1)  # as its unit has it
        cluster.start_process("broker")
        negotiations_pass(cluster, 2)
        gap = flow.gap(began)
        print(f"broker killed: {gap:.1f} s without an answer")
    assert gap < 2
    assert cluster.router().key == router.key


def test_tunnels_live_on_while_the_daemon_is_away(cluster: OverlayTrial, job: int) -> None:
    router = cluster.router()
    with cluster.flow(cluster.worker_of(job)) as flow:
        began = time.time()
        cluster.kill("cluesd")
        try:
            negotiations_pass(cluster, 4)
            gap = flow.gap(began)
            print(f"cluesd away for {time.time() - began:.0f} s: {gap:.1f} s without an answer")
        finally:
            cluster.start_process("cluesd")
    assert gap < 2
    assert cluster.router().key == router.key


def test_tunnels_need_neither_signer_nor_enrolment_and_a_new_worker_waits_for_them(
    cluster: OverlayTrial, job: int
) -> None:
    router = cluster.router()
    with cluster.flow(cluster.worker_of(job)) as flow:
        began = time.time()
        for name in ("signer", "enrol"):
            cluster.kill(name)
        try:
            waiting = cluster.submit("--constraint=cesnet", "--cpus-per-task=4")
            cluster.until("its VM", lambda: cluster.processes("cesnet"))
            negotiations_pass(cluster, 2)
            gap = flow.gap(began)
            assert cluster.front.job_state(waiting) == "PENDING"
        finally:
            for name in ("signer", "enrol"):
                cluster.start_process(name)
        cluster.completes(waiting, timeout=60)
        print(f"signer and enrolment away for {time.time() - began:.0f} s: {gap:.1f} s without an answer")
    assert gap < 2
    assert len(cluster.claims_for(waiting)) == 1
    assert cluster.router().key == router.key


def test_root_of_a_worker_cannot_speak_for_another_machine(cluster: OverlayTrial, job: int, tmp_path: Path) -> None:
    liar = cluster.worker_of(job)
    others = {site: cluster.held_job(site) for site in ("upv", "cesnet")}
    neighbour, far = (cluster.worker_of(one) for one in others.values())
    assert len({liar.address, neighbour.address, far.address}) == 3
    own, ears = cluster.network_of(liar), cluster.network_of(far)
    port = cluster.front.choose_ports()[0]
    with listening(ears, 5555, tmp_path / "heard") as heard:

        def has_heard(words: str) -> bool:
            send(own, liar.address, far.address, 5555, words)  # a datagram may get lost
            return words in heard.read_text()

        cluster.until("the first words", lambda: has_heard("first"))
        # the neighbour; nobody; the front-end; the central point; somebody at the listener's own site
        for source in (neighbour.address, "10.77.2.77", "10.77.0.1", "10.77.252.1", "10.77.1.77"):
            send(own, source, far.address, 5555, "a lie")
            assert connects(cluster, liar, port, source) == "refused", source
        cluster.until("the last words", lambda: has_heard("last"))
        assert "a lie" not in heard.read_text()
    assert connects(cluster, liar, port, liar.address) == "connected"
    for other in others.values():
        cluster.release(other)


def test_a_stolen_ticket_of_a_router_cuts_off_its_holder_and_the_next_router_serves(
    cluster: OverlayTrial, job: int, tmp_path: Path
) -> None:
    before = cluster.router()
    cluster.pull_the_plug("upv", before.instance_id)  # a ticket is good for some minutes: one that is fresh
    router = cluster.router(but=before.key)
    # The provider is slow to end the VM: what cuts it off is the eviction alone.
    cluster.faults("upv").add("terminate", "hang", seconds=10)
    with cluster.flow(router, "10.77.252.1") as flow:
        assert present_ticket(cluster, router, tmp_path) == "403"
        stolen = time.time()
        assert Reader(cluster.places.inventory).read().member(router.key) is None
        cluster.until("a pause", lambda: flow.answers()[-1] < time.time() - 4)
        last = flow.answers()[-1]
        print(f"ticket stolen: its holder's tunnel dead after {last - stolen:.2f} s")
    assert last - stolen < 1
    assert router.instance_id in cluster.processes("upv")
    assert cluster.again(router).failure == "stolen"
    assert cluster.router(but=router.key).key != before.key
    alarms = [one for one in cluster.get("events", about="router-upv", limit=500)["events"] if one["kind"] == "alarm"]
    assert any("with another key" in one["text"] for one in alarms), alarms


def negotiations_pass(cluster: OverlayTrial, count: int) -> None:
    """Wait until the central point has agreed upon new keys so many more times."""

    def seen() -> int:
        return cluster.log_of("hub").count("Control Channel: TLS")

    goal = seen() + count
    cluster.until(f"{count} negotiations", lambda: seen() >= goal, RENEGOTIATE * (count + 2) + 10)


def connects(cluster: OverlayTrial, claim: Claim, port: int, source: str) -> str:
    """Whether slurmctld answers root of a VM who calls from an address."""
    network, foreign = cluster.network_of(claim), source != claim.address
    if foreign:
        run(network, "ip", "address", "add", f"{source}/32", "dev", "lo")
    try:
        return run(network, sys.executable, "-c", CONNECT, "10.77.0.1", str(port), source).strip()
    finally:
        if foreign:
            run(network, "ip", "address", "del", f"{source}/32", "dev", "lo")


def present_ticket(cluster: OverlayTrial, claim: Claim, folder: Path) -> str:
    """Bring a claim's ticket with a key of one's own, from its own site; the answer's status."""
    header, body, trusted = folder / "header", folder / "body", folder / "ca.pem"
    header.write_text(f"Authorization: Ticket {Tickets.open(cluster.state).issue(claim.key)}\n")
    body.write_text(f"csr={make_request()[1]}\nCPUS=4\nMEMORY_MIB=4096\nGPUS=\nCLOCK={int(time.time())}\n")
    trusted.write_text(TrustStore(cluster.places.trust).bundle())
    port = cluster.document()["enrolment"]["public"].rpartition(":")[2]
    words = ["curl", "-q", "-sS", "--cacert", str(trusted), "-H", f"@{header}", "--data-binary", f"@{body}"]
    words += ["-o", "/dev/null", "-w", "%{http_code}", f"https://{PUBLIC}:{port}/v1/enrol"]
    done = subprocess.run(in_namespace("upv", words), capture_output=True, text=True, timeout=30, check=True)
    return done.stdout
