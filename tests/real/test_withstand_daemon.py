"""What happens to the daemon itself: a broken file at SIGHUP, and a wall clock that is set."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from functools import partial

import pytest

from clues.model import ClaimState
from tests.real.withstand_lab import Trial, trial
from tests.real.withstand_set_clock import environment

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def module_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    with trial(tmp_path_factory.mktemp("daemon"), cpu_nodes="cpu-[01-06]") as cluster:
        yield cluster


@pytest.fixture
def cluster(module_cluster: Trial) -> Iterator[Trial]:
    yield module_cluster
    module_cluster.settle()


def test_a_broken_file_at_sighup_changes_nothing_and_is_told_and_a_good_one_is_used(cluster: Trial) -> None:
    job = cluster.submit(seconds=6)
    run = cluster.running(job)
    good = cluster.config.read_text()
    cluster.config.write_text(good.replace("idle: 1s", "idle: soon", 1))
    line = 1 + next(number for number, text in enumerate(cluster.config.read_text().splitlines()) if "soon" in text)
    cluster.signal_daemon(signal.SIGHUP)
    (told,) = cluster.until("the mistake to be told", lambda: cluster.status()["troubles"])
    assert f"{cluster.config}:{line}:" in told
    assert "soon" in told
    cluster.ticks_pass(2)
    # a good one, with another idle time; the node stays up for longer than the old one
    cluster.config.write_text(good.replace("idle: 1s", "idle: 5s"))
    cluster.signal_daemon(signal.SIGHUP)
    cluster.until("the trouble to have gone", lambda: not cluster.status()["troubles"])
    assert len(cluster.completes(job)) == 1
    cluster.until("it to count as idle", lambda: cluster.claim_at(run.address).idle_since)
    cluster.until("it to go after all", lambda: cluster.claim_at(run.address).state is ClaimState.GONE, 30)
    (seconds,) = re.findall(r"ready -> draining: idle for ([0-9.]+) s", "\n".join(cluster.texts(run.node)))
    assert float(seconds) >= 5
    cluster.config.write_text(good)
    cluster.signal_daemon(signal.SIGHUP)


@pytest.mark.slow
def test_a_clock_that_is_set_fails_nothing_ends_nothing_and_is_told(cluster: Trial) -> None:
    """The daemon's wall clock alone is set, by libfaketime; Slurm's and the workers' go on."""
    offset = cluster.folder / "clock"
    offset.write_text("+0")
    cluster.stop_daemon()
    cluster.start_daemon(("-m", "tests.real.withstand_set_clock"), env=environment(offset))
    try:
        for site in cluster.plan.vms:
            cluster.faults(site).add("boot", "slow-boot", times=None, seconds=14, match={"node": "cpu-02"})
        running = cluster.submit("--nodelist=cpu-01", seconds=7)
        cluster.running(running)
        starting = cluster.submit("--nodelist=cpu-02")
        cluster.until_state("cpu-02", "booting")
        vms = set(cluster.living())
        for hour in ("+3600", "-3600"):
            offset.write_text(hour)
            cluster.until("the jump to be told", partial(_clock_trouble, cluster, hour[0]))
            cluster.ticks_pass(3)
            assert set(cluster.living()) == vms
            assert not [claim.reason for claim in cluster.claims() if claim.live and claim.failure]
        # set right again, back from the past: what has to go still goes, and what boots joins
        (run,) = cluster.completes(running)
        cluster.until("the idle VM to go", lambda: cluster.claim_at(run.address).state is ClaimState.GONE, 15)
        offset.write_text("+0")
        cluster.until("no jump to be told", lambda: not _clock_trouble(cluster, ""))
        assert len(cluster.completes(starting)) == 1
        stories = {node: cluster.texts(node) for node in ("cpu-01", "cpu-02")}
        assert not [text for story in stories.values() for text in story if "failed" in text], stories
    finally:
        cluster.stop_daemon()
        cluster.start_daemon()


def _clock_trouble(cluster: Trial, sign: str) -> bool:
    return any("clock was set" in text and f"is {sign}" in text for text in cluster.status()["troubles"])
