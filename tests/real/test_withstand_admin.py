"""An admin's own drain is law: the node is never used, its jobs end in peace, the reason outlives the VM."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clues.model import ClaimState
from tests.real.withstand_lab import Trial, trial

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def module_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    with trial(tmp_path_factory.mktemp("admin"), cpu_nodes="cpu-[01-02]") as cluster:
        yield cluster


@pytest.fixture
def cluster(module_cluster: Trial) -> Iterator[Trial]:
    yield module_cluster
    for node in ("cpu-01", "cpu-02"):
        if module_cluster.nodes()[node]["state"] == "held":
            module_cluster.front.update_node(node, "state=resume")
    module_cluster.settle()


def reason(cluster: Trial, node: str) -> str:
    """The node's whole reason; Slurm adds who gave it, in brackets."""
    return cluster.front.run(["sinfo", "--noheader", f"--nodes={node}", "--format=%E"]).stdout.strip()


def test_a_closed_node_that_an_admin_drained_is_never_used_and_comes_back_when_resumed(cluster: Trial) -> None:
    cluster.front.update_node("cpu-01", "state=drain", "reason=disk broken")
    cluster.until_state("cpu-01", "held")
    jobs = [cluster.submit("--cpus-per-task=4") for _ in range(2)]
    for job in jobs:
        (run,) = cluster.completes(job)
        assert run.node == "cpu-02"
    assert reason(cluster, "cpu-01") == "disk broken"
    assert not [one for one in cluster.claims() if one.node == "cpu-01"]
    assert "not ours" in cluster.explain("cpu-01")
    cluster.front.update_node("cpu-01", "state=resume")
    cluster.until("us to close it again", lambda: reason(cluster, "cpu-01") == "clues:off")
    assert {"DRAIN", "POWERED_DOWN"} <= cluster.front.node_flags("cpu-01")


def test_a_busy_node_that_an_admin_drained_keeps_its_job_then_ends_and_stays_out(cluster: Trial) -> None:
    job = cluster.submit("--nodelist=cpu-02", seconds=4)
    cluster.front.wait_job(job, "RUNNING")
    cluster.front.update_node("cpu-02", "state=drain", "reason=fan noisy")
    cluster.until("the claim to drain", lambda: cluster.last_claim("cpu-02").state is ClaimState.DRAINING)
    assert cluster.living(), "its VM was ended under the job"
    (run,) = cluster.completes(job)
    assert run.node == "cpu-02"
    cluster.until("its VM to end", lambda: not cluster.living())
    cluster.until("Slurm to have powered it down", lambda: "POWERED_DOWN" in cluster.front.node_flags("cpu-02"))
    cluster.until_state("cpu-02", "held")
    ended = cluster.last_claim("cpu-02").generation
    cluster.ticks_pass(3)
    assert cluster.front.node_flags("cpu-02") & {"DRAIN", "DOWN"}, "it was opened"
    assert reason(cluster, "cpu-02") == "fan noisy"
    assert not cluster.living()
    cluster.front.update_node("cpu-02", "state=resume")
    cluster.until("us to close it again", lambda: reason(cluster, "cpu-02") == "clues:off")
    (run,) = cluster.completes(cluster.submit("--nodelist=cpu-02"))
    assert cluster.claim_at(run.address).generation == ended + 1


@pytest.mark.slow
def test_a_job_that_slurm_starts_on_a_resumed_node_before_we_close_it_completes(cluster: Trial) -> None:
    # as long as a real VM takes, in whole seconds of Slurm: one that booted before its power-up is not believed
    for site in cluster.plan.vms:
        cluster.faults(site).add("boot", "slow-boot", times=None, seconds=3)
    cluster.front.update_node("cpu-01", "state=drain", "reason=new disk")
    cluster.until_state("cpu-01", "held")
    job = cluster.submit("--nodelist=cpu-01")
    cluster.ticks_pass(2)
    cluster.front.update_node("cpu-01", "state=resume")
    cluster.completes(job, timeout=60)


def test_an_admins_drain_of_a_joining_node_is_not_opened(cluster: Trial) -> None:
    for site in cluster.plan.vms:
        cluster.faults(site).add("boot", "slow-boot", times=None, seconds=2)
    job = cluster.submit("--nodelist=cpu-01")
    cluster.until_state("cpu-01", "booting")
    cluster.front.update_node("cpu-01", "state=drain", "reason=not today")
    cluster.until("the VM to have ended", lambda: cluster.last_claim("cpu-01").state is ClaimState.GONE)
    assert not cluster.runs(job)
    assert reason(cluster, "cpu-01") == "not today"
    assert not cluster.living()
