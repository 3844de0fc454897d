"""slurmctld forgets, falls silent, dies, comes back, reads its configuration anew: no job and no VM is lost by that.

What survives which of these, Slurm itself says (`test_lab.py`); here the daemon has to put right what did not.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.real.withstand_lab import Trial, trial

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def module_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    with trial(tmp_path_factory.mktemp("slurmctld"), cpu_nodes="cpu-[01-04]") as cluster:
        yield cluster


@pytest.fixture
def cluster(module_cluster: Trial) -> Iterator[Trial]:
    yield module_cluster
    module_cluster.settle()


@pytest.mark.slow
def test_slurmctld_away_for_ten_seconds_ends_no_vm_and_loses_no_job(cluster: Trial) -> None:
    running, pending = _running_and_pending(cluster)
    vms = set(cluster.living())
    cluster.front.scontrol("shutdown", "slurmctld")
    time.sleep(10)
    assert set(cluster.living()) == vms
    slurm = cluster.observation("slurm")
    # Slurm's own commands try again for longer than this before they say that they failed: until then the age tells
    assert slurm["age_seconds"] >= 8 or slurm["error"]
    cluster.front.restart_slurmctld()
    _all_complete_once(cluster, running, pending)


@pytest.mark.slow
def test_slurmctld_killed_and_restarted_ends_no_vm_and_loses_no_job(cluster: Trial) -> None:
    running, pending = _running_and_pending(cluster)
    _state_is_saved(cluster)
    cluster.front.kill_slurmctld()
    cluster.front.restart_slurmctld()
    _all_complete_once(cluster, running, pending)


@pytest.mark.slow
def test_slurmctld_that_answers_slowly_ends_no_vm_and_loses_no_job(cluster: Trial) -> None:
    running, pending = _running_and_pending(cluster)
    vms = set(cluster.living())
    with cluster.front.frozen():
        time.sleep(5)
        assert set(cluster.living()) == vms
        assert cluster.status()["tick"]  # the daemon itself goes on answering
    _all_complete_once(cluster, running, pending)


def test_a_reconfigure_leaves_nodes_bound_and_jobs_running(cluster: Trial) -> None:
    running, pending = _running_and_pending(cluster)
    run = cluster.running(running[0])
    node, claim = run.node, cluster.claim_at(run.address)
    cluster.front.scontrol("reconfigure")
    began = time.monotonic()
    cluster.until(
        "the site to be the node's active feature again",
        lambda: (
            set(cluster.front.node_field(node, "ActiveFeatures").split(",")) == {"cpu", claim.offer.site, "on-demand"}
        ),
    )
    print(f"active features asserted again after {time.monotonic() - began:.1f} s")
    assert cluster.front.node_field(node, "NodeAddr") == claim.address
    _all_complete_once(cluster, running, pending)


# Last of all: a slurmctld that forgot everything gives the same job ids out again.


def test_after_slurmctld_lost_its_state_every_node_is_closed_again_and_nothing_starts(cluster: Trial) -> None:
    before = cluster.asked_for()
    cluster.front.restart_slurmctld(clean=True)
    began, tick = time.monotonic(), cluster.status()["tick"]

    def all_closed() -> bool:
        return all("DRAIN" in cluster.front.node_flags(name) for name in cluster.nodes())

    cluster.until("every node to be closed", all_closed, 20)
    seconds, ticks = time.monotonic() - began, cluster.status()["tick"] - tick
    print(f"closed again {seconds:.1f} s after the restart, {ticks} ticks")
    assert seconds < 10
    cluster.ticks_pass(2)
    assert cluster.asked_for() == before
    assert not cluster.living()


@pytest.mark.slow
def test_a_slurmctld_that_lost_its_state_while_a_vm_served_leaves_nothing_behind(cluster: Trial) -> None:
    lost = cluster.submit(seconds=60)
    cluster.front.wait_job(lost, "RUNNING")
    cluster.front.restart_slurmctld(clean=True)
    new = cluster.submit()
    cluster.completes(new, timeout=60)
    cluster.wait_empty()


def _running_and_pending(cluster: Trial) -> tuple[list[int], list[int]]:
    """Two jobs that run on one node, and two that wait for VMs that boot."""
    running = [cluster.submit("--cpus-per-task=2", seconds=8) for _ in range(2)]
    for job in running:
        cluster.front.wait_job(job, "RUNNING")
    for site in cluster.plan.vms:
        cluster.faults(site).add("boot", "slow-boot", times=None, seconds=2)
    pending = [cluster.submit("--cpus-per-task=4") for _ in range(2)]
    cluster.until("VMs for the pending jobs", lambda: len(cluster.living()) == 3)
    return running, pending


def _state_is_saved(cluster: Trial) -> None:
    """Wait until slurmctld has written down what it knows: what it loses before that is not ours to bring back."""
    now = time.time()
    files = [cluster.front.folder / "state" / name for name in ("job_state", "node_state")]
    cluster.until(
        "slurmctld's state on disk", lambda: all(file.exists() and file.stat().st_mtime > now for file in files), 30
    )


def _all_complete_once(cluster: Trial, running: list[int], pending: list[int]) -> None:
    for job in [*running, *pending]:
        assert len(cluster.completes(job)) == 1, "a job was started twice"
    assert not [claim for claim in cluster.claims() if claim.failure in ("vanished", "provider")]
