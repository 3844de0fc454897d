"""One trial: a trace is played into a world whose daemon is the real one."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

from clues.model import Settings
from clues.simulation.clouds.vms import SimVM
from clues.simulation.slurm.parts import SimJob
from clues.simulation.trials.fitting import Fitted
from clues.simulation.trials.meter import Meter
from clues.simulation.trials.outcome import Outcome
from clues.simulation.world import Design, World
from clues.simulation.worlds.profiles import CALM_SLURM, CloudProfile, Delay

#: Points of the plots.
POINTS = 400
#: After the last submission, jobs have so long to end.
PATIENCE = 120 * 86400.0
#: The ledger forgets what has ended after so many events.
PRUNE = 20_000

Progress = Callable[[float], None]


@dataclass(frozen=True)
class Conditions:
    """What holds for all policies that are compared."""

    seed: int = 1
    boot: Delay = field(default_factory=lambda: Delay(120, 0.25, 20))
    interruptions_per_hour: float = 0.0


def restful(settings: Settings) -> Settings:
    """Return *settings* for a daemon that naps: what the world does wakes it, so nothing has to be looked at in vain,
    and what was seen stays true."""
    pace = replace(
        settings.pace,
        poke=timedelta(days=30),
        listing=timedelta(hours=6),
        listing_busy=timedelta(minutes=10),
        terms=timedelta(days=1),
        stale_after=timedelta(days=30),
    )
    return replace(settings, pace=pace)


def run_trial(
    name: str,
    settings: Settings,
    fitted: Fitted,
    conditions: Conditions,
    progress: Progress = lambda _: None,
    *,
    naps: bool = True,
) -> Outcome:
    """Play the jobs, which are used up by that; return what came of it.

    :param naps: leave out the ticks that would do nothing (:mod:`clues.simulation.naps.naps`).
    """
    began = time.monotonic()
    outcome = Outcome(name, settings.currency, misfits=sum(fitted.misfits.values()))
    profile = CloudProfile(
        provision=Delay(10),
        boot=conditions.boot,
        join=Delay(5),
        latency=Delay(1.0),
        ending=Delay(10),
        interruptions_per_hour=conditions.interruptions_per_hour,
    )
    paced = restful(settings) if naps else settings
    clouds = dict.fromkeys(settings.sites, profile)
    design = Design(paced, clouds, CALM_SLURM, brief=True, naps=naps, watched=False)
    world = World(conditions.seed, design)
    meter = Meter(world.time, world.slurm, settings.pools, outcome)
    world.vm_made, world.vm_ended = lambda vm: _made(meter, vm), lambda vm: meter.vm_ended(vm.id)
    world.slurm.on_start, world.slurm.on_end = meter.job_starts, meter.job_ended
    _play(world, meter, fitted, progress)
    meter.close()
    outcome.took, outcome.events = time.monotonic() - began, world.time.count
    return outcome


def _made(meter: Meter, vm: SimVM) -> None:
    meter.vm_made(vm.id, vm.node, vm.site, vm.price_per_hour, vm.request.shape, vm.request.offer.billing)


def _play(world: World, meter: Meter, fitted: Fitted, progress: Progress) -> None:
    last = fitted.jobs[-1][0] if fitted.jobs else 0.0
    left = len(fitted.jobs)
    jobs = fitted.jobs[::-1]  # and nobody else holds them, so that those that have ended are forgotten
    fitted.jobs.clear()

    def submit(job: SimJob) -> None:
        nonlocal left
        left -= 1
        world.slurm.submit(job)
        coming()

    def coming() -> None:
        if jobs:
            at, job = jobs.pop()
            world.time.at(at + 60.0, lambda: submit(job))

    step = max(60.0, last / POINTS)

    def sample() -> None:
        meter.sample()
        progress(min(1.0, world.time.passed / (last + 60.0)) if last else 1.0)
        if left or world.slurm.active:
            world.time.after(step, sample)

    coming()
    sample()
    pruned = 0
    while left or world.slurm.active or world.daemon.books.claims:
        if world.time.passed > last + PATIENCE or not world.step():
            break
        if world.time.count - pruned >= PRUNE:
            pruned = world.time.count
            world.ledger.prune()
    progress(1.0)
