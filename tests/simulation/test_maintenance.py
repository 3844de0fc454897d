"""A site that is announced to be empty is, without a job being killed, and is used again afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from clues.model import Limits
from clues.simulation.demon import Mischief
from clues.simulation.play import Play
from clues.simulation.slurm.parts import SimJob
from clues.simulation.world import World
from clues.simulation.worlds.scenarios import FAST, Scenario

#: seconds: when it begins, how long it is, and how long before that nodes take no new jobs. No job may run for longer.
BEGIN, LONG, AHEAD = 2400.0, 600.0, 1000.0
#: what was made just before has to end by itself
GRACE = 120.0


@dataclass
class Lived:
    """A world in which a site's maintenance was announced early."""

    world: World
    #: how many VMs lived there at each minute of it
    living: list[int] = field(default_factory=list)
    #: how many were made there until it was over, and afterwards
    before: int = 0
    afterwards: int = 0
    #: when jobs were started there
    starts: list[float] = field(default_factory=list)


def lived(seed: int, site: str, ahead: float | None = AHEAD, begin: float = BEGIN, jobs: int = 70) -> Lived:
    """Live through one in which the maintenance begins after so many seconds."""
    scenario = Scenario(
        {"daemon killed": Mischief(6)},
        FAST,
        lasts=max(2 * BEGIN, begin + 2 * LONG),
        jobs=jobs,
        limits={"cesnet": Limits(vms=5), "aws": Limits(vms=6)},
    )
    play = Play("kind", seed, scenario=scenario)
    world, one = play.world, Lived(play.world)
    cloud, on_start = world.clouds[site], world.slurm.on_start
    epoch = world.daemon.clock.now()

    def announce() -> None:
        if not world.daemon.up:
            world.time.after(5, announce)
            return
        first, last = epoch + timedelta(seconds=begin), epoch + timedelta(seconds=begin + LONG)
        lead = None if ahead is None else timedelta(seconds=ahead)
        world.daemon.call(lambda: world.daemon.counter.announce_maintenance(site, first, last, lead, "admin"))

    def starts(job: SimJob) -> None:
        on_start(job)
        one.starts += [world.time.passed for vm in job.vms if vm.startswith(f"{site}-")]

    world.slurm.on_start = starts
    world.time.at(30, announce)
    for minute in range(int(GRACE), int(LONG), 60):
        world.time.at(begin + minute, lambda: one.living.append(len(list(cloud.living()))))
    world.time.at(begin + LONG, lambda: setattr(one, "before", cloud.made))
    play.run()
    one.afterwards = cloud.made - one.before
    return one


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("site", ["cesnet", "aws"])
def test_the_site_is_empty_in_time_and_nobodys_job_is_killed(site: str, seed: int) -> None:
    one = lived(seed, site)
    assert set(one.living) == {0}, one.living
    assert all(job.requeues == 0 for job in one.world.jobs.values())
    assert one.afterwards > 0


@pytest.mark.parametrize(("kept", "seed"), [(True, 0), (False, 0)])
def test_jobs_that_end_in_time_are_started_there_until_it_begins(
    kept: bool, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Slurm keeps the nodes free they need not be closed an hour ahead; if that were not seen, they would be."""
    if not kept:
        monkeypatch.setattr("clues.planner.view.kept_free", lambda *_: {})
    begin = 5400.0
    one = lived(seed, "cesnet", None, begin, jobs=150)
    assert set(one.living) == {0}, one.living
    assert all(job.requeues == 0 for job in one.world.jobs.values())
    assert any(begin - 3500 < at < begin for at in one.starts) is kept
    assert not [at for at in one.starts if begin < at < begin + LONG]
    assert not one.world.slurm.reservations


def test_without_it_the_site_would_not_be_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the test above would prove nothing."""
    monkeypatch.setattr("clues.planner.view.upcoming", lambda *_: {})
    assert any(any(lived(seed, "cesnet").living) for seed in range(3))
