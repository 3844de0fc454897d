"""Jobs that nodes do not help buy nothing, jobs that cannot be served say why, and no job buys for ever."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Any

import pytest

from tests.lab.frontend import LabError
from tests.real.withstand_lab import Trial, trial

pytestmark = pytest.mark.real

NODES = "cpu-[01-06]"

#: A cluster-wide licence that no job shall get; partitions are the fragment's.
CONF = "Licenses=solver:1\n"


@pytest.fixture(scope="module")
def module_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    plan: dict[str, Any] = {"cpu_nodes": NODES, "vms": {"cesnet": 1, "upv": 3}, "slurm_conf": CONF}
    # looks are close, and idle nodes stay for longer than it takes to see that one stands in vain
    pace = {"misread_after": "3s", "look": "1s"}
    with trial(tmp_path_factory.mktemp("demand"), pace, idle="2s", **plan) as cluster:
        yield cluster


@pytest.fixture
def cluster(module_cluster: Trial) -> Iterator[Trial]:
    yield module_cluster
    module_cluster.settle()


def test_a_job_pinned_to_a_full_site_waits_says_why_and_runs_when_there_is_room(cluster: Trial) -> None:
    busy = cluster.submit("--constraint=cesnet", "--cpus-per-task=4", seconds=4)
    cluster.running(busy)
    before = cluster.asked_for()
    pinned = cluster.submit("--constraint=cesnet", "--cpus-per-task=4")
    # the busy node's time is not over: its end is not known
    cluster.until("it to be blocked", lambda: cluster.verdict(pinned) == "blocked")
    assert "1 of 1 VMs in use" in cluster.explain(pinned)
    assert "Expected start by " in cluster.explain(pinned)
    told = next(one for one in cluster.get("jobs")["jobs"] if one["id"] == str(pinned))
    assert told["waits_for"] == "running jobs of cpu"
    assert cluster.asked_for() == before
    (run,) = cluster.completes(pinned)
    assert cluster.claim_at(run.address).offer.site == "cesnet"
    early, late = (datetime.fromisoformat(told[key]).timestamp() for key in ("start_early", "start_late"))
    assert early <= run.at <= late, "the other job's time limit is five minutes"
    assert late - early < 320


def test_held_dependent_and_later_jobs_and_a_refused_one_buy_nothing(cluster: Trial) -> None:
    before = cluster.asked_for()
    held = cluster.submit("--hold")
    waiting = [held, cluster.submit(f"--dependency=afterok:{held}"), cluster.submit("--begin=now+1hour")]
    with pytest.raises(LabError, match="configuration is not available"):
        cluster.submit("--partition=gpu", "--gres=gpu:9")
    for job in waiting:
        cluster.until("the daemon to know it", partial(_is_known_to_wait, cluster, job))
        assert cluster.explain(job)
    cluster.ticks_pass(3)
    assert cluster.asked_for() == before
    cluster.front.scontrol("release", str(held))
    for job in waiting[:2]:
        cluster.completes(job)


def test_a_job_that_leaves_its_open_node_alone_buys_its_nodes_once_and_not_again(cluster: Trial) -> None:
    # nodes 01 and 03 are not contiguous, which Slurm says only by not starting it
    others = {"nodes": ["cpu-02", "cpu-[04-06]"]}
    cluster.post("nodes/disable", others)
    try:
        cluster.ticks_pass(1)
        before = cluster.asked_for()
        job = cluster.submit("--nodes=2", "--contiguous", "--ntasks-per-node=1", "--constraint=upv")
        cluster.until("it to count as misread", lambda: cluster.verdict(job) == "misread", 30)
        cluster.until("its nodes to have gone", lambda: not cluster.living(), 30)
        cluster.ticks_pass(5)
        assert cluster.asked_for() == before + 2
        assert cluster.front.job_state(job) == "PENDING"
        assert "it did not start" in cluster.explain(job)
        cluster.front.run(["scancel", str(job)])
    finally:
        cluster.post("nodes/enable", others)


@pytest.mark.slow
def test_a_job_without_its_licence_does_not_buy_again_and_again(cluster: Trial) -> None:
    before = cluster.asked_for()
    first = cluster.submit("--licenses=solver:1", "--cpus-per-task=4", seconds=14)
    cluster.running(first)
    second = cluster.submit("--licenses=solver:1", "--cpus-per-task=4")
    cluster.front.wait_job(first, "COMPLETED", timeout=40)
    assert cluster.asked_for() <= before + 2, "VMs were bought one after the other for a licence"
    cluster.completes(second)


def test_a_job_that_would_run_into_a_reservation_buys_nothing_and_a_short_one_runs(cluster: Trial) -> None:
    start = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(time.time() + 300))
    cluster.front.scontrol(
        *f"create reservation reservationname=maint nodes={NODES} starttime={start} duration=60".split(),
        "users=clues",
        "flags=maint,ignore_jobs",
    )
    try:
        before = cluster.asked_for()
        long = cluster.front.sbatch("true", "--time=60")
        cluster.until("the daemon to know it", lambda: cluster.verdict(long))
        cluster.ticks_pass(3)
        assert cluster.asked_for() == before
        assert cluster.verdict(long) == "blocked"
        short = cluster.front.sbatch("true", "--time=1")
        cluster.front.wait_job(short, "COMPLETED")
        assert cluster.front.job_state(long) == "PENDING"
        assert cluster.asked_for() == before + 1
        cluster.front.run(["scancel", str(long)])
    finally:
        cluster.front.scontrol("delete", "reservationname=maint")


def _is_known_to_wait(cluster: Trial, job: int) -> bool:
    return cluster.verdict(job) in ("never", "waits")
