"""A gang whose one worker fails: the other is not given to a lesser job, and the gang runs whole, at one site."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.real.withstand_lab import Trial, trial

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    plan: dict[str, Any] = {"cpu_nodes": "cpu-[01-06]", "vms": {"cesnet": 2, "upv": 2}}
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


def _two(cluster: Trial, before: set[str]) -> list[str]:
    """The two instances of the gang, once both exist."""
    living = cluster.living()
    return living if len(living) == 2 and len({claim.key for claim in cluster.claims()} - before) >= 2 else []
