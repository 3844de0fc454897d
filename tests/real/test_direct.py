"""`attach: direct` on a whole cluster: a site without a router, whose worker has a tunnel of its own.

The site is behind NAT, and the addresses that it gives its VMs are none of the cluster's: Slurm knows its worker by its
end of the tunnel, and only by that.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from clues.inventory import Reader
from clues.model import Claim, ClaimState, Kind
from tests.lab.internet import LAN
from tests.real.overlay_lab import WHOLE, OverlayTrial, overlay_trial

pytestmark = pytest.mark.real

EDGE_PUBLIC, EDGE_LAN, EDGE_GATEWAY = "198.51.100.30", "192.168.30.0/24", "192.168.30.1"
EDGE = {
    "attach": "direct",
    "network": "",
    "egress": [f"{EDGE_PUBLIC}/32"],
    "namespace": "edge",
    "bridge": LAN,
    "gateway": EDGE_GATEWAY,
    "prefix": 24,
}
TUNNELS = IPv4Network("10.77.252.0/22")
PROGRAM = [sys.executable, "-c", "import sys; from clues.cli import main; sys.exit(main())"]

#: Two tasks of a job send each other data.
EXCHANGE = Path(__file__).parents[1] / "lab" / "demo" / "exchange.py"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OverlayTrial]:
    with overlay_trial(
        tmp_path_factory.mktemp("direct"),
        sites={"edge": EDGE},
        vms={"cesnet": 1, "edge": 1},
        pool={"span": True},
        cpu_nodes="cpu-[01-02]",
    ) as cluster:
        cluster.internet.site("edge", lan=EDGE_LAN, gateway=EDGE_GATEWAY, public=EDGE_PUBLIC)
        yield cluster


@pytest.fixture(scope="module")
def worker(cluster: OverlayTrial) -> Claim:
    """The worker of the site, which has run a job."""
    began = time.monotonic()
    job = cluster.submit("--constraint=edge")
    (run,) = cluster.completes(job, timeout=60)
    print(f"a job at a site with attach: direct: {time.monotonic() - began:.1f} s from sbatch to its end")
    return cluster.last_claim(run.node)


def test_its_worker_is_known_by_its_end_of_the_tunnel_and_no_router_was_started(
    cluster: OverlayTrial, worker: Claim
) -> None:
    assert worker.state is ClaimState.READY
    assert worker.address == worker.tunnel
    assert IPv4Address(worker.tunnel) in TUNNELS
    assert IPv4Address(worker.listed_addresses[0]) in IPv4Network(EDGE_LAN)
    assert cluster.front.node_field(worker.node, "NodeAddr") == worker.tunnel
    assert f"{worker.tunnel}/" in cluster.in_vm(worker, "ip -4 address show dev clues-tun")
    assert not [one for one in cluster.claims() if one.kind is Kind.ROUTER]


def test_a_gang_spans_the_front_ends_network_and_the_site(cluster: OverlayTrial, worker: Claim) -> None:
    (cluster.home / "exchange.py").write_text(EXCHANGE.read_text())
    cluster.completes(cluster.submit("--constraint=cesnet"), timeout=60)
    script = 'srun hostname >names && srun /usr/bin/python3 exchange.py "$PWD/result" 4'
    job = cluster.front.sbatch(script, "--nodes=2", "--ntasks=2", "--ntasks-per-node=1", *WHOLE)
    assert cluster.front.wait_job(job, "COMPLETED", "FAILED", timeout=60) == "COMPLETED"
    assert sorted((cluster.home / "names").read_text().split()) == ["cpu-01", "cpu-02"]
    assert '"bytes": 8388608' in (cluster.home / "result").read_text()
    sites = {one.offer.site for one in cluster.claims() if one.kind is Kind.WORKER and one.live}
    assert sites == {"cesnet", "edge"}


def test_its_worker_is_cut_off_within_a_second_when_evicted_and_cannot_come_back(
    cluster: OverlayTrial, worker: Claim
) -> None:
    # The provider is slow to end the VM: what cuts it off is the eviction alone.
    cluster.faults("edge").add("terminate", "hang", seconds=25)
    with cluster.flow(worker) as flow:
        words = [*PROGRAM, "--socket", str(cluster.socket), "vrouter", "evict", worker.node]
        said = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout
        evicted = time.time()
        assert worker.key in said
        assert Reader(cluster.places.inventory).read().member(worker.key) is None
        cluster.until("a pause", lambda: flow.answers()[-1] < time.time() - 4)
        last = flow.answers()[-1]
        print(f"evicted: dead after {last - evicted:.2f} s")
    assert last - evicted < 1
    cluster.until("it to try to come back", lambda: "certificate revoked" in cluster.log_of("hub"), 20)
    assert worker.instance_id in cluster.processes("edge"), "its VM has to live, or this shows nothing"
    cluster.until("its VM to be gone", lambda: worker.instance_id not in cluster.processes("edge"), 60)
    # and the site goes on with another one
    job = cluster.submit("--constraint=edge")
    (run,) = cluster.completes(job, timeout=60)
    after = cluster.last_claim(run.node)
    assert after.key != worker.key
    assert after.tunnel != worker.tunnel, "an end of a tunnel rests"
