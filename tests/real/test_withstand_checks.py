"""The second and the third VM of a node: nothing runs there before its checks, however its node was left by the first.

A node that has been up once is DOWN in Slurm, not IDLE, and slurmctld has seen its slurmd before: that is where a
worker once got a job before it was checked. The programmed VMs are wrong in one thing each.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from clues.model import ClaimState
from tests.real.withstand_lab import Trial, trial

pytestmark = pytest.mark.real

#: What is wrong with the later VMs of a node, at which site that one is made, the code of the failure, and the words
#: that its reason must hold. A wrong clock is told by the VM itself, and it gets no secret then. Pool cpu asks cesnet
#: first, pool gpu upv; after a failure the other one is asked.
WRONG = {
    "cpu-01": (
        ("cesnet", "wrong-memory", 0, "check", "memory"),
        ("upv", "wrong-clock", 400, "boot", "the clock is off by"),
    ),
    "gpu-01": (("upv", "wrong-gpus", 0, "check", "GPU"),),
}

#: VMs that have no more than their shape wants, so that half of it is too little.
FLAVORS = {"small": {"cpus": 4, "memory": "2GiB"}, "gpu.small": {"cpus": 4, "memory": "2GiB", "gpus": "a10:1"}}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    # an offer rests for longer than it takes until the node can be used again: the next VM is made at the other site
    rest = {"retry_offer": "8s", "retry_offer_longest": "8s"}
    plan: dict[str, Any] = {"cpu_nodes": "cpu-01", "gpu_nodes": "gpu-01", "site": {"flavors": FLAVORS}, "pace": rest}
    with trial(tmp_path_factory.mktemp("checks"), **plan) as cluster:
        yield cluster


def test_no_job_runs_on_a_later_vm_of_a_node_before_its_checks_passed(cluster: Trial) -> None:
    options = {node: [f"--partition={node[:3]}", *(["--gres=gpu:1"] if node == "gpu-01" else [])] for node in WRONG}
    first = {node: cluster.submit(*words) for node, words in options.items()}
    for job in first.values():
        cluster.completes(job)
    cluster.settle(powered_down=True)
    for node, faults in WRONG.items():
        for site, fault, seconds, _, _ in faults:
            cluster.faults(site).add("boot", fault, seconds=seconds, match={"node": node})
    second = {node: cluster.submit(*words) for node, words in options.items()}
    for node, job in second.items():
        runs = cluster.completes(job, timeout=60)
        *failed, good = cluster.claims_for(job)
        assert [one.failure for one in failed] == [code for _, _, _, code, _ in WRONG[node]]
        for claim, (*_, word) in zip(failed, WRONG[node], strict=True):
            assert word in claim.reason
            assert claim.opened_at is None
            assert any(word in text for text in cluster.texts(node))
        assert good.state in (ClaimState.READY, ClaimState.DRAINING, ClaimState.STOPPING, ClaimState.GONE)
        # it was started once, on the VM that passed, and after that had
        (run,) = runs
        assert run.address == good.address
        assert run.address not in {one.address for one in failed}
        assert good.ready_at is not None
        assert run.at >= good.ready_at.timestamp()
        assert len({one.generation for one in [*failed, good]}) == len(failed) + 1
    cluster.settle()
