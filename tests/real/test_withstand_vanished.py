"""VMs that go without being asked: node down at once, job done elsewhere; and listings that only say so."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from clues.model import Claim, ClaimState
from tests.real.withstand_lab import Trial, trial

pytestmark = pytest.mark.real

VANISHED_AFTER = 3.0


@pytest.fixture(scope="module")
def module_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    pace = {"vanished_after": f"{VANISHED_AFTER:g}s"}
    with trial(tmp_path_factory.mktemp("vanished"), pace, cpu_nodes="cpu-[01-03]") as cluster:
        yield cluster


@pytest.fixture
def cluster(module_cluster: Trial) -> Iterator[Trial]:
    yield module_cluster
    module_cluster.settle()


def test_a_vm_whose_plug_is_pulled_takes_its_node_down_at_once_and_its_job_runs_elsewhere(cluster: Trial) -> None:
    job = cluster.submit("--cpus-per-task=4", seconds=3)
    run = cluster.running(job)
    node, claim = run.node, cluster.claim_at(run.address)
    cluster.pull_the_plug(claim.offer.site, claim.instance_id)
    pulled = time.time()
    cluster.front.wait_node(node, "DOWN", timeout=20)
    seconds = time.time() - pulled
    print(f"plug pulled -> node down {seconds:.1f} s")
    assert seconds < 8  # a listing (3 s) and a tick; Slurm alone would take SlurmdTimeout, 305 s
    runs = cluster.completes(job, timeout=60)
    assert len(runs) == 2
    assert runs[1].address != claim.address
    print(f"plug pulled -> the job's second start {runs[1].at - pulled:.1f} s")
    gone = _of(cluster, claim.key)
    assert (gone.state, gone.failure) == (ClaimState.GONE, "vanished")
    assert "says that VM" in " ".join(cluster.texts(node))


@pytest.mark.slow
def test_one_listing_that_lacks_a_vm_ends_nothing(cluster: Trial) -> None:
    job = cluster.submit("--cpus-per-task=4", seconds=8)
    run = cluster.running(job)
    node, claim = run.node, cluster.claim_at(run.address)
    faults = cluster.faults(claim.offer.site)
    faults.add("list", "lies", match={"node": node})
    cluster.until("the lie", lambda: faults.read()[0].used == 1)
    # a listing after it shows the VM again
    lists = len(_lists(cluster, claim.offer.site))
    cluster.until("two more listings", lambda: len(_lists(cluster, claim.offer.site)) >= lists + 2)
    assert len(cluster.completes(job)) == 1
    assert not cluster.last_claim(node).failure


def test_a_vm_that_listings_lack_for_long_is_believed_gone_and_leaves_nothing(cluster: Trial) -> None:
    job = cluster.submit("--cpus-per-task=4", seconds=3)
    run = cluster.running(job)
    node, claim = run.node, cluster.claim_at(run.address)
    faults = cluster.faults(claim.offer.site)
    # the job is to be still there when the VM is given up
    second = cluster.submit("--cpus-per-task=4", f"--nodelist={node}", seconds=20)
    faults.add("list", "lies", times=None, match={"node": node})
    cluster.until("the first lie", lambda: faults.read()[0].used >= 1)
    began = time.monotonic()
    cluster.until("the claim to be given up", lambda: _of(cluster, claim.key).failure, 30)
    seconds = time.monotonic() - began
    print(f"first listing without it -> given up {seconds:.1f} s (vanished_after {VANISHED_AFTER:g} s)")
    assert faults.read()[0].used >= 2
    assert seconds >= VANISHED_AFTER - 0.2
    # the site finds it again: it was ours, and is ended
    faults.clear()
    cluster.front.run(["scancel", str(second)])
    cluster.wait_empty()
    assert _of(cluster, claim.key).state is ClaimState.GONE


def _lists(cluster: Trial, site: str) -> list[object]:
    return [call for call in cluster.calls(site) if call.get("answer") == "list"]


def _of(cluster: Trial, key: str) -> Claim:
    return next(one for one in cluster.claims() if one.key == key)
