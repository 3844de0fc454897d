"""A site that is announced to be empty is, without a job being killed, and is used again afterwards."""

from __future__ import annotations

from datetime import timedelta

import pytest

from clues.model import Limits
from clues.simulation.demon import Mischief
from clues.simulation.play import Play
from clues.simulation.scenarios import FAST, Scenario
from clues.simulation.world import World

#: seconds: when it begins and ends, and how long before that nodes take no new jobs. No job may run for longer.
BEGIN, END, AHEAD = 2400.0, 3000.0, 1000.0
#: what was made just before has to end by itself
GRACE = 120.0


def lived(seed: int, site: str, ahead: float | None = AHEAD) -> tuple[World, list[int], int]:
    """Return a world in which a site's maintenance was announced early, how many VMs lived there at each minute of it,
    and how many were made there afterwards."""
    scenario = Scenario(
        {"daemon killed": Mischief(6)},
        FAST,
        lasts=4800.0,
        jobs=70,
        limits={"cesnet": Limits(vms=5), "aws": Limits(vms=6)},
    )
    play = Play("kind", seed, scenario=scenario)
    world, living, made = play.world, [], [0]
    cloud = world.clouds[site]
    epoch = world.daemon.clock.now()

    def announce() -> None:
        if not world.daemon.up:
            world.time.after(5, announce)
            return
        begin, end = epoch + timedelta(seconds=BEGIN), epoch + timedelta(seconds=END)
        lead = None if ahead is None else timedelta(seconds=ahead)
        world.daemon.call(lambda: world.daemon.counter.announce_maintenance(site, begin, end, lead, "admin"))

    world.time.at(30, announce)
    for minute in range(int(GRACE), int(END - BEGIN), 60):
        world.time.at(BEGIN + minute, lambda: living.append(len(list(cloud.living()))))
    world.time.at(END, lambda: made.__setitem__(0, cloud.made))
    play.run()
    return world, living, cloud.made - made[0]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("site", ["cesnet", "aws"])
def test_the_site_is_empty_in_time_and_nobodys_job_is_killed(site: str, seed: int) -> None:
    world, living, afterwards = lived(seed, site)
    assert set(living) == {0}, living
    assert all(job.requeues == 0 for job in world.jobs.values())
    assert afterwards > 0


def test_without_it_the_site_would_not_be_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the test above would prove nothing."""
    monkeypatch.setattr("clues.planner.view.upcoming", lambda *_: {})
    assert any(any(lived(seed, "cesnet")[1]) for seed in range(3))
