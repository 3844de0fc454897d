"""Whole worlds under all kinds of faults come to rest, and nothing that must never happen does.

A seed that fails is replayed by the line that the failure prints.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from clues.simulation.play import Play, play
from clues.simulation.worlds.scarcity import ALL

#: Scenarios that take long have their place among the slow tests.
LONG = {"site-day": 1}

PLAYED = [(name, seed) for name in ALL if name not in LONG for seed in range(2)]
MORE = [(name, seed) for name in ALL for seed in range(2, 2 + LONG.get(name, 20))]


@pytest.mark.parametrize(("name", "seed"), PLAYED)
def test_the_world_comes_to_rest_and_nothing_broke(name: str, seed: int) -> None:
    play(name, seed)


@pytest.mark.slow
@pytest.mark.timeout(900)  # worlds that wait for new budgets live for days
@pytest.mark.parametrize(("name", "seed"), MORE)
def test_more_worlds_come_to_rest(name: str, seed: int) -> None:
    play(name, seed)


def test_the_same_seed_gives_the_same_log_to_the_byte() -> None:
    """In other processes, too, where sets have another order; else no seed could be replayed."""
    first = play("storm-private", 11).story
    again = play("storm-private", 11).story
    assert first.text() == again.text()
    for order in ("1", "2"):
        told = subprocess.run(
            [sys.executable, "-m", "clues.simulation.replay", "storm-private", "11"],
            env={**os.environ, "PYTHONHASHSEED": order},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert told.startswith(first.text())
        assert f"digest {first.digest[:16]}" in told
    assert play("storm-private", 12).story.digest != first.digest


def test_the_storm_is_one() -> None:
    """Were the demon asleep, the other tests would prove nothing."""
    worlds = [play(name, seed) for name in ("storm", "storm-private") for seed in range(3, 10)]
    told = "\n".join(world.story.text() for world in worlds)
    assert sum(world.daemon.kills for world in worlds) >= 8
    assert sum(cloud.failures for world in worlds for cloud in world.clouds.values()) > 100
    for fate in ("never-boots", "wrong-facts", "slow", "error", "vanishes"):
        assert f"fate {fate}" in told
    for deed in ("slurmctld out", "disk full", "site not listed", "clock set", "tunnel cut", "router mute"):
        assert f"demon: {deed}" in told
    assert sum(job.state == "COMPLETED" for world in worlds for job in world.jobs.values()) > 30


def test_the_kind_world_runs_every_job() -> None:
    world = play("kind", 3)
    assert {job.state for job in world.jobs.values() if not job.tasks} <= {"COMPLETED", "TIMEOUT", "RUNNING"}
    ended = [job for job in world.jobs.values() if job.ended is not None]
    assert len(ended) >= 14
    assert all(job.requeues == 0 for job in ended)


@pytest.mark.parametrize("seed", [1, 4])
def test_the_clock_is_set_back_by_half_a_day_and_the_daemon_starts_again(seed: int) -> None:
    """Neither an idle node nor an offer that failed once is kept until the clock has caught up."""
    play = Play("clock", seed)
    play.demon.mischief = {}
    play.world.time.at(1200, lambda: setattr(play.world.time, "set_by", -43200.0))
    play.world.time.at(1201, play.world.kill)
    play.run()
