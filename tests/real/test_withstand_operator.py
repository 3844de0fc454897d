"""A sysadmin's orders through the real command line do what they say; without a daemon it says so in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.withstand_lab import Trial, trial

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def module_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    with trial(tmp_path_factory.mktemp("operator"), cpu_nodes="cpu-[01-04]", idle="4s") as cluster:
        yield cluster


@pytest.fixture
def cluster(module_cluster: Trial) -> Iterator[Trial]:
    yield module_cluster
    clues(module_cluster, "resume")
    clues(module_cluster, "enable", "cpu-[01-04]")
    module_cluster.settle()


def clues(cluster: Trial, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as an admin does."""
    argv = [str(Path(sys.executable).with_name("clues")), *words]
    environment = {**os.environ, "CLUES_SOCKET": str(cluster.socket)}
    return subprocess.run(argv, capture_output=True, text=True, timeout=20, env=environment)


def ordered(cluster: Trial, *words: str) -> str:
    """Run an order that must be accepted; what it printed."""
    done = clues(cluster, *words)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_poweron_starts_a_vm_without_jobs_and_poweroff_stops_it(cluster: Trial) -> None:
    ordered(cluster, "poweron", "cpu-03")
    cluster.front.wait_node("cpu-03", "IDLE", without=["DRAIN", "NOT_RESPONDING", "POWERED_DOWN"])
    assert len(cluster.living()) == 1
    assert not cluster.get("jobs")["jobs"]
    ordered(cluster, "poweroff", "cpu-03")
    cluster.wait_empty()
    assert cluster.last_claim("cpu-03").reason == "operator: off"


def test_drain_lets_the_job_end_and_then_stops_the_vm(cluster: Trial) -> None:
    job = cluster.submit("--nodelist=cpu-01", seconds=4)
    run = cluster.running(job)
    ordered(cluster, "drain", "cpu-01")
    cluster.until("Slurm to know it", lambda: "DRAIN" in cluster.front.node_flags("cpu-01"))
    assert cluster.front.job_state(job) == "RUNNING"
    assert cluster.living()
    assert cluster.completes(job) == [run]
    cluster.wait_empty()


@pytest.mark.slow
def test_a_disabled_node_is_not_used_until_it_is_enabled(cluster: Trial) -> None:
    ordered(cluster, "disable", "cpu-[01-03]")
    (run,) = cluster.completes(cluster.submit())
    assert run.node == "cpu-04"
    waiting = cluster.submit("--nodelist=cpu-02")
    cluster.until("it to be blocked", lambda: cluster.verdict(waiting) == "blocked")
    cluster.ticks_pass(3)
    assert cluster.nodes()["cpu-02"]["state"] == "disabled"
    ordered(cluster, "enable", "cpu-02")
    cluster.completes(waiting)


def test_a_paused_cluster_launches_nothing_until_it_is_resumed(cluster: Trial) -> None:
    ordered(cluster, "pause")
    before = cluster.asked_for()
    job = cluster.submit()
    cluster.until("it to be blocked", lambda: cluster.verdict(job) == "blocked")
    cluster.ticks_pass(3)
    assert cluster.asked_for() == before
    assert "paused" in ordered(cluster, "status")
    assert "paused" in ordered(cluster, "explain", str(job))
    ordered(cluster, "resume")
    cluster.completes(job)


def test_wrong_names_are_refused_as_a_whole_in_words(cluster: Trial) -> None:
    done = clues(cluster, "disable", "cpu-01", "cpu-99")
    assert done.returncode == 1
    assert "cpu-99" in done.stderr
    assert "Traceback" not in done.stderr
    assert not cluster.nodes()["cpu-01"]["wish"]
    assert clues(cluster, "drain", "cpu-[01").returncode == 2


def test_without_a_daemon_the_command_line_says_so_in_one_line_and_exits_3(cluster: Trial) -> None:
    cluster.stop_daemon()
    try:
        for words in (["status"], ["drain", "cpu-01"], ["explain", "cpu-01"]):
            done = clues(cluster, *words)
            assert done.returncode == 3
            assert len(done.stderr.splitlines()) == 1
            assert "cluesd" in done.stderr
            assert not done.stdout
    finally:
        cluster.start_daemon()
