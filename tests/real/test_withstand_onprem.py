"""Nodes outside the pools: never changed by us, and their free room is used before anything is bought."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.machine import Machine
from tests.real.withstand_lab import Trial, trial

pytestmark = pytest.mark.real

ADDRESS = "10.77.250.1"

#: Jobs that may run in the machine room as well as in the pool.
ANYWHERE = "--partition=room,cpu"

#: Two nodes of the machine room in a partition of their own; the second one is switched off.
CONF = (
    f"NodeName=room-1 CPUs=4 RealMemory=1800 NodeAddr={ADDRESS} Feature=room State=UNKNOWN\n"
    "NodeName=room-2 CPUs=4 RealMemory=1800 NodeAddr=10.77.250.2 Feature=room State=UNKNOWN\n"
    "PartitionName=room Nodes=room-[1-2] State=UP\n"
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    with (
        trial(tmp_path_factory.mktemp("onprem"), cpu_nodes="cpu-[01-03]", slurm_conf=CONF) as cluster,
        Machine(cluster.front, "room-1", ADDRESS),
    ):
        cluster.front.wait_node("room-1", "IDLE", without=["NOT_RESPONDING", "UNKNOWN"], timeout=30)
        cluster.front.update_node("room-2", "state=down", "reason=power")
        yield cluster


def test_a_job_that_fits_on_a_node_outside_the_pools_runs_there_and_buys_nothing(cluster: Trial) -> None:
    cluster.ticks_pass(2)
    jobs = [cluster.submit(ANYWHERE, "--cpus-per-task=2", seconds=9) for _ in range(2)]
    for job in jobs:
        assert cluster.running(job).node == "room-1"
    cluster.ticks_pass(3)
    assert cluster.asked_for() == 0
    # it is full now: what does not fit there is bought, and no more
    (run,) = cluster.completes(cluster.submit(ANYWHERE, "--cpus-per-task=4"))
    assert run.node.startswith("cpu-")
    for job in jobs:
        cluster.completes(job)
    assert cluster.asked_for() == 1
    cluster.settle()
    # through all of this the room's nodes were left as they were: one open, the other down for its admin's reason
    assert "DOWN" in cluster.front.node_flags("room-2")
    assert cluster.front.node_field("room-2", "Reason") == "power"
    assert cluster.front.node_flags("room-1") == {"IDLE"}
    assert not [claim for claim in cluster.claims() if claim.node.startswith("room")]
    assert "belongs to no pool" in cluster.explain("room-1")
    log = cluster.front.log(lines=2000)
    changes = [line for line in log.splitlines() if "update_node: node room-" in line]
    assert len(changes) == 2, changes  # the reason and the state that this test set itself
    with pytest.raises(Exception, match="room-1"):
        cluster.post("nodes/drain", {"nodes": ["room-1"]})
