"""Two front-ends, of which one is active: it dies or sleeps, the other goes on; no VM is lost or doubled."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clues.cli.errors import CliError, Failed
from clues.standby.keeper import LOST
from tests.lab import crashing_daemon, freezing_daemon
from tests.lab.crash_lab import Watch
from tests.real.two_front_ends import TwoFrontEnds
from tests.real.withstand_lab import in_a_hurry

pytestmark = pytest.mark.real

#: The lease of 5 s, a quarter on top, a look, and a start of the daemon on a busy machine.
TAKEOVER_SECONDS = 25.0
#: The same, and a router that finds its central point dead after four seconds, and again.
TUNNEL_SECONDS = 40.0


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[TwoFrontEnds]:
    pair = TwoFrontEnds(tmp_path / "pair", in_a_hurry(cpu_nodes="cpu-[01-04]"))
    with pair:
        yield pair


def vms(pair: TwoFrontEnds) -> set[str]:
    return set(pair.living())


def test_when_the_active_one_dies_the_other_goes_on_with_all_of_its_vms(pair: TwoFrontEnds) -> None:
    # before: one is active, the other says so, and gives no orders
    told = pair.wait_state(pair.second, "standby")["troubles"]
    assert "is active" in told[0]
    with pytest.raises(Failed, match="is active"):
        pair.second.client.post("nodes/poweron", {"nodes": ["cpu-01"]})
    long = pair.submit(seconds=9)
    run = pair.running(long)
    before = vms(pair)
    assert len(before) == 1
    pair.client.post("pause")
    with Watch([pair.folder / "sites" / site for site in pair.plan.vms]) as watch:
        died = time.monotonic()
        pair.fail_over()
        assert time.monotonic() - died < TAKEOVER_SECONDS
        pair.look_at_second()
        # a standing order that was given a moment before holds
        assert pair.status()["state"] == "paused"
        pair.post("resume")
        assert vms(pair) == before
        more = pair.submit("--exclude=" + run.node)
        assert len(pair.completes(more)) == 1  # a new VM enrolled at the second front-end
        assert len(pair.completes(long)) == 1  # and the old one's job never noticed
        assert watch.doubles == []
    assert pair.claim_at(run.address).node == run.node
    assert any("has taken over from" in text for text in pair.texts("front-ends"))
    # the first one comes back, and stands by
    pair.start_daemon()
    first = pair.daemons
    assert not first.ended("cluesd")
    pair.wait_empty()
    for site in pair.plan.vms:
        keys = pair.launched(site)
        assert len(keys) == len(set(keys))  # nothing was asked for twice


@pytest.fixture
def drowsy(tmp_path: Path) -> Iterator[TwoFrontEnds]:
    pair = TwoFrontEnds(tmp_path / "pair", in_a_hurry(cpu_nodes="cpu-[01-04]"))
    pair.command = freezing_daemon.COMMAND
    with pair:
        yield pair


@pytest.mark.slow
def test_one_that_slept_through_its_lease_does_nothing_when_it_wakes(drowsy: TwoFrontEnds) -> None:
    """It sleeps at the worst moment: a launch is permitted and not sent. The other one sends it meanwhile."""
    pair = drowsy
    crashing_daemon.arm(pair.folder, ["effect:launch:before"])
    job = pair.submit(seconds=3)
    pair.until("it to sleep", lambda: not crashing_daemon.armed(pair.folder))
    assert vms(pair) == set()
    with Watch([pair.folder / "sites" / site for site in pair.plan.vms]) as watch:
        pair.fail_over(None)
        first = pair.daemons
        pair.look_at_second()
        pair.completes(job)
        asked, sent = pair.asked_for(), keys_sent(pair)
        pair.signal_daemon(signal.SIGCONT)
        pair.until("the sleeper to end", lambda: first.ended("cluesd"), 5)
        assert first.stop("cluesd") == LOST
        pair.ticks_pass(3)
        # at most the one call that it was about to send, which the other one knew and has sent: the same VM to a cloud
        assert pair.asked_for() - asked <= 1
        assert keys_sent(pair) == sent
        assert watch.doubles == []


def _runs(which: Any) -> bool:
    try:
        return bool(which.get("status")["state"] == "running")
    except CliError:
        return False


def keys_sent(pair: TwoFrontEnds) -> set[str]:
    return {key for site in pair.plan.vms for key in pair.launched(site)}


@pytest.mark.slow
def test_without_the_shared_folder_nobody_acts_and_nothing_is_lost(pair: TwoFrontEnds) -> None:
    job = pair.submit(seconds=10)
    run = pair.running(job)
    before = vms(pair)
    away = pair.folder / "away"
    pair.shared.rename(away)
    pair.until("the active one to stop acting", lambda: pair.daemon_ended, 10)
    assert pair.daemons.stop("cluesd") == LOST
    pair.launch_daemon()  # as systemd does
    for which in (pair, pair.second):
        told = pair.wait_state(which, "standby")["troubles"]
        assert any(str(pair.shared) in text for text in told), told
    assert vms(pair) == before
    away.rename(pair.shared)
    # whichever looks first has it: the one that had it has stopped in time
    pair.until("one of them to go on", lambda: [one for one in (pair, pair.second) if _runs(one)], 30)
    if _runs(pair.second):
        pair.look_at_second()
    (again,) = pair.completes(job)
    assert (again.node, again.address) == (run.node, run.address)
    assert pair.asked_for() == 1


@pytest.fixture
def tunnelled(tmp_path: Path) -> Iterator[TwoFrontEnds]:
    pair = TwoFrontEnds(
        tmp_path / "pair", in_a_hurry(overlay=True, cpu_nodes="cpu-[01-03]", vms={"cesnet": 1, "upv": 3})
    )
    with pair:
        yield pair


@pytest.mark.slow
def test_routers_go_on_at_the_second_front_end_with_the_jobs_behind_them(tunnelled: TwoFrontEnds) -> None:
    """The address has moved: central point, enrolment and all are the second front-end's, and no VM is told."""
    pair = tunnelled
    job = pair.submit("--constraint=upv", seconds=25)
    run = pair.running(job, 60)
    before = vms(pair)
    assert len(before) == 2  # the router and the worker
    died = time.monotonic()
    pair.fail_over()
    pair.look_at_second()
    pair.until("the router to have its tunnel again", lambda: _up(pair), 40)
    assert time.monotonic() - died < TUNNEL_SECONDS
    assert vms(pair) == before
    more = pair.submit("--constraint=upv", "--exclude=" + run.node)
    assert len(pair.completes(more, 60)) == 1  # enrolled through the tunnel
    (only,) = pair.completes(job, 60)
    assert only.address == run.address


def _up(pair: TwoFrontEnds) -> bool:
    return any(link["site"] == "upv" and link["state"] == "up" for link in pair.status()["links"])
