"""Gangs: one whose worker fails runs whole before a lesser job, and each runs at the one site it was bought for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.real.withstand_lab import Trial, trial

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    # an idle node stays for longer than a worker takes from its enrolment to its opening
    plan: dict[str, Any] = {"cpu_nodes": "cpu-[01-06]", "vms": {"cesnet": 2, "upv": 2}, "idle": "4s"}
    with trial(tmp_path_factory.mktemp("gang"), **plan) as cluster:
        yield cluster


@pytest.mark.parametrize(
    "rest", ["0", pytest.param("1", marks=pytest.mark.slow)], ids=["first worker fails", "second worker fails"]
)
def test_a_gang_with_a_failed_worker_runs_whole_at_one_site_before_a_lesser_job(cluster: Trial, rest: str) -> None:
    before = {claim.key for claim in cluster.claims()}
    gang_options = ("--nodes=2", "--ntasks-per-node=1", "--cpus-per-task=4")
    for site in cluster.plan.vms:  # so that the lesser job is there before any of them is ready
        cluster.faults(site).add("boot", "slow-boot", times=2, seconds=1)
    gang = cluster.submit(*gang_options, seconds=1)
    both = cluster.until("the gang's VMs", lambda: _two(cluster, before))
    # its place is full with the gang, so it waits beside it; less than nothing of priority
    lesser = cluster.submit("--constraint=cesnet", "--nice=1000", seconds=1)
    site, instance = sorted(both)[int(rest)].split("/")
    cluster.pull_the_plug(site, instance)
    cluster.completes(gang, timeout=60)
    hosts = cluster.hosts(gang)
    assert len(hosts) == 2
    claims = [cluster.last_claim(node) for node in hosts]
    story = "\n".join(text for claim in cluster.claims_for(gang) for text in [claim.node, *cluster.texts(claim.key)])
    assert len({claim.offer.site for claim in claims}) == 1, f"it ran at {[one.offer.site for one in claims]}\n{story}"
    first_line = cluster.runs(gang)[0].at
    lesser_runs = cluster.completes(lesser, timeout=60)
    assert lesser_runs[0].at > first_line, "the lesser job took a node of the gang"
    # nobody ever had one of the gang's nodes open and used before the gang
    assert all(claim.used_at is None or claim.used_at.timestamp() >= first_line - 3 for claim in claims)
    cluster.settle()


WHOLE_NODE = "--cpus-per-task=4"


def _bought_at_upv(cluster: Trial, *options: str) -> tuple[int, dict[str, int]]:
    """A gang that is bought for upv while both VMs that cesnet may have are busy; it, and the jobs there by node."""
    cluster.settle(powered_down=True)
    singles = [cluster.submit("--constraint=cesnet", WHOLE_NODE, seconds=60) for _ in range(2)]
    busy = {cluster.running(one).node: one for one in singles}
    cluster.faults("upv").add("boot", "slow-boot", times=2, seconds=2)
    gang = cluster.submit("--nodes=2", "--ntasks-per-node=1", WHOLE_NODE, *options, seconds=1)
    cluster.until("both its VMs", lambda: len([one for one in cluster.living() if one.startswith("upv/")]) == 2)
    return gang, busy


def _constraint(cluster: Trial, job: int) -> str:
    return cluster.front.run(["squeue", "-h", "-j", str(job), "-o", "%f"]).stdout.strip()


def test_a_gang_starts_at_its_site_although_an_open_node_of_another_has_room(cluster: Trial) -> None:
    gang, busy = _bought_at_upv(cluster)
    cluster.until("its pin", lambda: _constraint(cluster, gang) == "upv")

    def enrolled() -> bool:
        return all(one.enrolled_at is not None for one in cluster.claims_for(gang))

    cluster.until("both to enrol", enrolled)
    # Slurm prefers nodes that follow upon each other: the last one of cesnet and the first one of upv
    last = max(busy)
    cluster.front.run(["scancel", str(busy[last])])
    cluster.completes(gang)
    hosts = cluster.hosts(gang)
    sites = {cluster.last_claim(node).offer.site for node in hosts}
    assert sites == {"upv"}, f"it ran on {hosts} at {sites}; {last} was free"
    assert "kept at upv, where its nodes come" in cluster.texts(f"job {gang}")
    cluster.settle()


def test_what_a_gang_asked_for_is_put_back_when_its_nodes_do_not_come(cluster: Trial) -> None:
    gang, _ = _bought_at_upv(cluster, "--constraint=cpu")
    cluster.until("its pin", lambda: _constraint(cluster, gang) == "cpu&upv")
    cluster.post("pause", {})
    nodes = [one.node for one in cluster.claims_for(gang)]
    cluster.post("nodes/poweroff", {"nodes": nodes})
    cluster.until("its own constraint", lambda: _constraint(cluster, gang) == "cpu")
    cluster.post("resume", {})
    cluster.completes(gang, timeout=60)
    cluster.settle()


def _two(cluster: Trial, before: set[str]) -> list[str]:
    """The two instances of the gang, once both exist."""
    living = cluster.living()
    return living if len(living) == 2 and len({claim.key for claim in cluster.claims()} - before) >= 2 else []
