"""A daemon that naps does what one that never does: it only leaves out ticks that would do nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from clues.model import Limits, Offer, Pool, Resources, Settings, Site, Warm, Window
from clues.simulation.trials.fitting import fit
from clues.simulation.trials.outcome import Outcome
from clues.simulation.trials.traces import TraceJob
from clues.simulation.trials.trial import Conditions, run_trial
from clues.simulation.worlds.profiles import Delay

#: Looks are up to ten seconds apart in the usual rhythm, and of what is started a few follow each other.
SECONDS = 25.0


def _settings(vms: int | None, nodes: int = 6) -> Settings:
    offers = (Offer("own", "m", "i", price_per_hour=0.1), Offer("rented", "m", "i", price_per_hour=0.3))
    names = tuple(f"cpu-{number}" for number in range(1, nodes + 1))
    pool = Pool("cpu", names, Resources(8, 32768), offers, partitions=("cpu",))
    sites = {"own": Site("own", "none", limits=Limits(vms=vms)), "rented": Site("rented", "none")}
    return Settings("naps", sites, {"cpu": pool})


def test_a_nap_ends_when_a_window_opens_and_when_it_closes() -> None:
    """From 8 to 10 on Monday: the world begins at 6, and a boot takes two minutes."""
    window = Window(frozenset({0}), 8 * 60, 10 * 60, ZoneInfo("UTC"))
    settings = _settings(None)
    pool = replace(settings.pools["cpu"], keep_warm=(Warm(2, (window,)),))
    jobs = [TraceJob("1", 0.0, 60.0, 1), TraceJob("2", 2 * 3600 + 60, 60.0, 8), TraceJob("3", 4.5 * 3600, 60.0, 1)]
    awake, napping = _both(replace(settings, pools={"cpu": pool}), jobs, Conditions(boot=Delay(120)))
    assert awake.waits[1] < 60 < awake.waits[0]
    assert napping.waits == pytest.approx(awake.waits, abs=SECONDS)
    assert napping.total.vms == awake.total.vms
    assert napping.total.cost == pytest.approx(awake.total.cost, rel=0.02)


def _jobs(count: int, apart: float, sizes: tuple[int, ...], seed: int) -> list[TraceJob]:
    chance, at, jobs = Random(seed), 0.0, []
    for number in range(count):
        at += chance.expovariate(1 / apart)
        runs = chance.uniform(60, 1500)
        jobs.append(TraceJob(str(number), at, runs, chance.choice(sizes), 2 * runs))
    return jobs


def _both(settings: Settings, jobs: list[TraceJob], conditions: Conditions) -> tuple[Outcome, Outcome]:
    awake, napping = (
        run_trial("clues", settings, fit(jobs, settings), conditions, naps=naps) for naps in (False, True)
    )
    return awake, napping


@pytest.mark.parametrize(
    ("apart", "sizes", "vms", "nodes", "seed"),
    [
        pytest.param(900.0, (1, 8), None, 6, 6, id="a job now and then"),
        pytest.param(150.0, (1, 2, 4), None, 6, 6, id="jobs that share nodes"),
        pytest.param(60.0, (8,), 1, 3, 6, id="more jobs than the pool can hold"),
        pytest.param(300.0, (8, 16, 32), 2, 6, 6, id="gangs"),
        pytest.param(300.0, (8, 16, 32), 2, 6, 8, id="gangs that can be had once others have ended"),
    ],
)
def test_naps_change_no_decision(apart: float, sizes: tuple[int, ...], vms: int | None, nodes: int, seed: int) -> None:
    # where a job comes within seconds of an idle node's end the two take different ways, as two real runs would
    settings, jobs = _settings(vms, nodes), _jobs(16, apart, sizes, seed=seed)
    awake, napping = _both(settings, jobs, Conditions(boot=Delay(120)))
    assert len(awake.waits) == len(napping.waits) == len(jobs)
    assert napping.total.vms == awake.total.vms
    assert {name: site.vms for name, site in napping.sites.items()} == {
        name: site.vms for name, site in awake.sites.items()
    }
    assert sorted(napping.waits) == pytest.approx(sorted(awake.waits), abs=SECONDS)
    assert napping.total.cost == pytest.approx(awake.total.cost, rel=0.02)
    assert napping.events < awake.events / 3


@pytest.mark.parametrize(
    ("more", "vms"),
    [
        pytest.param({"idle_auto": True}, None, id="idle times that are learnt"),
        pytest.param({"idle_by_price": True}, 1, id="idle times that depend on the price"),
        pytest.param({"consolidate": True}, None, id="nodes that are spared"),
    ],
)
def test_naps_change_no_decision_where_more_than_the_idle_time_hangs_on_an_idle_node(
    more: dict[str, Any], vms: int | None
) -> None:
    settings, jobs = _settings(vms), _jobs(12, 600.0, (1, 8, 16), seed=3)
    settings = replace(settings, pools={name: replace(pool, **more) for name, pool in settings.pools.items()})
    awake, napping = _both(settings, jobs, Conditions(boot=Delay(120)))
    assert napping.total.vms == awake.total.vms
    assert sorted(napping.waits) == pytest.approx(sorted(awake.waits), abs=SECONDS)
    assert napping.total.cost == pytest.approx(awake.total.cost, rel=0.02)


def test_a_vm_whose_boot_fails_is_missed_in_time() -> None:
    """Nothing happens while it does not boot: its deadline alone ends it, and another one is bought."""
    settings = _settings(None)
    slow = replace(settings.pools["cpu"], boot_deadline=timedelta(minutes=4))
    jobs = [TraceJob("1", 0.0, 60.0, 8)]
    settings = replace(settings, pools={"cpu": slow})
    awake, napping = _both(settings, jobs, Conditions(seed=2, boot=Delay(220, 0.3)))
    assert napping.total.vms == awake.total.vms > 1
    assert napping.waits == pytest.approx(awake.waits, abs=2 * SECONDS)
