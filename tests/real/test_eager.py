"""Eager pools on a real Slurm: its power saving picks the nodes, clues makes the VMs, and frees jobs that get none."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest

from clues.config import load
from clues.model import ClaimState
from clues.offline import build_lrms
from clues.registry import find_plugins
from tests.real.withstand_lab import Trial, trial

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def module_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    # Slurm takes no machine that says that it booted before it was asked for. A VM here claims to have done so up to
    # two seconds before its boot time is over, and slurmctld reckons up to one more, as it rounds to whole seconds.
    pool = {"boot_deadline": "30s", "join_deadline": "30s"}
    with trial(
        tmp_path_factory.mktemp("eager"),
        pool=pool,
        boot_time="3s",
        slurm_conf="DebugFlags=Power\n",
        eager=("cpu",),
        cpu_nodes="cpu-[01-03]",
        gpu_nodes="gpu-01",
        idle="3s",
    ) as cluster:
        yield cluster


@pytest.fixture
def cluster(module_cluster: Trial) -> Iterator[Trial]:
    yield module_cluster
    module_cluster.settle(60)


def step(cluster: Trial) -> tuple[int, str]:
    """Run a job of one step, which starts as soon as its node has come (22.05: a batch job waits for slurmctld's next
    half-minute); its id, and the address of its VM."""
    script = 'echo "$SLURM_JOB_ID $(hostname -I)"'
    said = cluster.front.run(["srun", "--partition=cpu", "sh", "-c", script], timeout=60).stdout.split()
    return int(said[0]), said[1]


def test_slurm_takes_the_fragment_of_planned_and_eager_pools(cluster: Trial) -> None:
    loaded = load(cluster.config, find_plugins())
    told = build_lrms(loaded, "").check_config(loaded.settings)
    ours = ("eager", "Program", "Suspend", "requests", "clues-")
    assert [one for one in told if any(word in one for word in ours)] == []


def test_slurm_powers_up_the_node_of_a_job_and_down_again(cluster: Trial) -> None:
    job, address = step(cluster)
    (claim,) = cluster.claims_for(job)
    assert address == claim.address
    assert "Slurm waits for it" in " ".join(cluster.texts(claim.node))
    cluster.until("its VM to end", lambda: not cluster.living(), 30)
    assert "Slurm has powered it down" in cluster.last_claim(claim.node).reason
    requests = cluster.texts(claim.node)
    assert any(text.startswith(f"Slurm asks: resume {claim.node} for {job}") for text in requests)
    assert any(text.startswith(f"Slurm asks: suspend {claim.node}") for text in requests)
    assert list(cluster.places.requests.iterdir()) == []
    cluster.until("its claim to be closed", lambda: cluster.last_claim(claim.node).state is ClaimState.GONE)


def test_a_planned_pool_beside_it_is_served_and_left_alone_by_slurms_power_saving(cluster: Trial) -> None:
    job = cluster.submit("--partition=gpu", "--gres=gpu:1", seconds=5)
    node = cluster.running(job).node
    assert node == "gpu-01"
    cluster.completes(job)
    cluster.until("clues to let it go", lambda: "idle for" in cluster.last_claim(node).reason, 20)


def test_a_refused_launch_is_made_good_by_the_next_offer_and_the_job_notices_nothing(cluster: Trial) -> None:
    cluster.faults("cesnet").add("launch", "no-capacity")
    job, address = step(cluster)
    claims = cluster.claims_for(job)
    assert len(claims) == 2, cluster.texts(claims[0].node)
    bad, good = claims
    assert (bad.offer.site, bad.failure, good.offer.site) == ("cesnet", "no-capacity", "upv")
    assert bad.node == good.node
    assert address == good.address
    assert "Restarts=0 " in cluster.front.scontrol("show", "job", str(job))
    # its VM would never register if it had booted before Slurm asked for it
    assert _asked_for(cluster, bad.node) <= bad.created_at


def test_a_gang_that_cannot_be_had_whole_is_requeued_at_once_and_gets_its_nodes_later(cluster: Trial) -> None:
    for site in ("cesnet", "upv"):
        # one of the two is made, the other is refused
        cluster.faults(site).add("launch", "no-capacity", times=None, match={"node": "cpu-02"})
    job = cluster.submit("--partition=cpu", "--nodes=2", "--nodelist=cpu-[01-02]")
    cluster.until("no VM to be left", lambda: not cluster.living(), 20)
    cluster.until("its user to be told why", lambda: "no VM for cpu-0" in _comment(cluster, job))
    for site in ("cesnet", "upv"):
        cluster.faults(site).clear()
    nodes = ("cpu-01", "cpu-02")
    ready = ClaimState.READY
    cluster.until("both to come", lambda: all(cluster.last_claim(node).state is ready for node in nodes), 60)
    assert cluster.front.job_state(job) in ("CONFIGURING", "RUNNING", "COMPLETED")


def test_what_slurm_asks_while_cluesd_is_away_is_done_when_it_is_back(cluster: Trial) -> None:
    cluster.stop_daemon()
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(step, cluster)
        cluster.until("the hook to have asked", lambda: list(cluster.places.requests.iterdir()))
        cluster.start_daemon()
        job, address = waiting.result(60)
    assert [claim.address for claim in cluster.claims_for(job)] == [address]
    assert list(cluster.places.requests.iterdir()) == []


def _asked_for(cluster: Trial, node: str) -> datetime:
    """When Slurm's power saving last asked for a node's machine, by its own log."""
    lines = (cluster.front.folder / "log" / "slurmctld.log").read_text().splitlines()
    *_, last = (line for line in lines if f"waking nodes {node}" in line)
    return datetime.fromisoformat(last[1:24]).astimezone()


def _comment(cluster: Trial, job: int) -> str:
    return cluster.front.scontrol("show", "job", str(job)).partition("AdminComment=clues: ")[2]
