"""Lives one scenario through.

Every one ends in calm, and the world has to come to rest: all jobs done, no VM left, every node closed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from clues.model import Gpu, Mode, Resources
from clues.simulation.crash import Crash, When
from clues.simulation.demon import Demon
from clues.simulation.slurm.parts import SimJob, SimNode, SimReservation
from clues.simulation.world import Design, World
from clues.simulation.worlds.purses import account_of
from clues.simulation.worlds.scarcity import ALL
from clues.simulation.worlds.scenarios import JOBS_FOR, STATIC, Scenario, settings_of

#: After the faults and the last job all has to be over within so long, in seconds.
QUIET_WITHIN = 1800.0


class Play:
    """One scenario with one seed."""

    def __init__(self, name: str, seed: int, *, crash: Crash | None = None, scenario: Scenario | None = None) -> None:
        self.name, self.seed = name, seed
        self.scenario = scenario or ALL[name]
        self.world = World(seed, self._design(), replay=replay_command(name, seed, crash), crash=crash)
        self.demon = Demon(self.world, self.scenario.mischief, self.scenario.lasts)
        self._number = 100

    def run(self) -> World:
        """Live it through to its rest.

        :raises InvariantBroken: something happened that must never happen, or the world found no rest.
        """
        world, scenario = self.world, self.scenario
        self.demon.begin()
        self._plan_jobs()
        for share, deed in scenario.script:
            world.time.at(scenario.lasts * share, partial(self.demon.strike, deed))
        world.run_until(scenario.lasts + 1)
        end = scenario.lasts + scenario.rest_within
        while world.time.passed < end:
            world.run_until(min(end, world.time.passed + 60))
            self.demon._admin_resumes()
            if not self.unrest():
                break
        else:
            world.say_broken(f"no rest {scenario.rest_within:.0f} s after the faults: {self.unrest()}", *self._names())
        self._count()
        self._ends_well()
        return world

    def unrest(self) -> str:
        """Return in words what is not at rest; empty when all is."""
        world = self.world
        jobs = list(world.slurm.active)
        vms = [f"{vm.id} for {vm.node}" for cloud in world.clouds.values() for vm in cloud.living()]
        claims = [f"{one.key} {one.state}: {one.reason}" for one in world.daemon.books.claims.values()]
        nodes = [
            f"{node.name} {'DOWN ' if node.down else ''}{'+'.join(sorted(node.flags))} {node.reason}"
            for node in world.slurm.nodes.values()
            if node.cloud and not self._rests(node)
        ]
        parts = (("jobs", jobs), ("VMs", vms), ("claims", claims), ("nodes not closed", nodes))
        return "; ".join(f"{what} {', '.join(which)}" for what, which in parts if which)

    def _rests(self, node: SimNode) -> bool:
        """Whether a node without a VM is as it shall be: closed, or in an eager pool open to Slurm."""
        eager = any(node.name in pool.nodes and pool.mode is Mode.EAGER for pool in self.world.settings.pools.values())
        return "POWERED_DOWN" in node.flags and (not node.down if eager else "DRAIN" in node.flags)

    def _names(self) -> list[str]:
        world = self.world
        jobs = [f"job {name}" for name in world.slurm.active]
        return [*jobs, *(one.node for one in world.daemon.books.claims.values())]

    def _count(self) -> None:
        """Without flapping: a VM for each node that was wanted, again for what went wrong, and for what was ordered."""
        world = self.world
        wanted = sum(job.nodes * (1 + job.requeues) for job in world.jobs.values())
        failures = sum(cloud.failures for cloud in world.clouds.values())
        most = wanted + 2 * failures + 8 * self.demon.deeds + 4 * world.daemon.kills + 8
        most += 2 * world.watch.drains.count
        made = sum(cloud.made for cloud in world.clouds.values())
        if made > most:
            world.say_broken(f"{made} VMs were made for {wanted} wanted nodes and {failures} failures: it flaps")

    def _ends_well(self) -> None:
        """What only the end shows: nothing was paid for long that served nobody, all is booked, and no job suffered."""
        world, scenario = self.world, self.scenario
        ends = [job.ended for job in world.jobs.values() if job.ended is not None]
        quiet = world.time.passed - max(scenario.lasts, *ends)
        if quiet > QUIET_WITHIN:
            world.say_broken(f"there was no rest for {quiet:.0f} s after the faults and the last job")
        if scenario.plain:
            unseen = 3 * scenario.cloud.latency.median
            if text := world.watch.habits.misbooked(world.daemon.ledger, scenario.epoch, unseen):
                world.say_broken(text)
        began_again = [job.id for job in world.jobs.values() if job.requeues]
        if scenario.harmless and began_again:
            world.say_broken(
                f"job {began_again[0]} was begun again where nothing but calls fails", f"job {began_again[0]}"
            )

    def _design(self) -> Design:
        scenario = self.scenario
        return Design(
            settings=settings_of(scenario) if scenario.change is None else scenario.change(settings_of(scenario)),
            clouds=dict.fromkeys(scenario.limits, scenario.cloud),
            slurm=scenario.slurm,
            quotas=scenario.quotas,
            static=STATIC,
            epoch=scenario.epoch,
        )

    def _plan_jobs(self) -> None:
        chance, scenario = self.world.chance, self.scenario
        if scenario.maintenance:
            nodes = frozenset(self.world.settings.pools["cpu"].nodes[:3])
            start = scenario.lasts * 0.4
            self.world.slurm.reservations.append(SimReservation("maintenance", nodes, start, start + 600))
        for _ in range(scenario.jobs):
            at = chance.uniform(1, scenario.lasts * JOBS_FOR)
            self.world.time.at(at, partial(self.world.submit, self._job()))

    def _job(self) -> SimJob:
        chance = self.world.chance
        self._number += 1
        kind = chance.choice(["core", "core", "node", "node", "gang", "gang", "array", "gpu", "gpus", "site", "whole"])
        runs = chance.uniform(5, self.scenario.longest)
        limit = runs * chance.uniform(1.1, 3) if chance.random() < 0.9 else runs * 0.8
        make: dict[str, Callable[[], SimJob]] = {
            "core": lambda: self._one("cpu", 1, Resources(1, 1024), runs, limit),
            "node": lambda: self._one("cpu", 1, Resources(8, 8192), runs, limit),
            "gang": lambda: self._one(
                "cpu", chance.choice([2, 2, 3]), Resources(chance.choice([4, 8]), 4096), runs, limit
            ),
            "array": lambda: self._array(runs, limit),
            "gpu": lambda: self._one("gpu", 1, Resources(2, 4096, (Gpu("a10", 1),)), runs, limit),
            "gpus": lambda: self._one("gpu", 2, Resources(4, 4096, (Gpu("a10", 2),)), runs, limit),
            "site": lambda: replace(
                self._one("cpu", 1, Resources(4, 4096), runs, limit), constraint="aws", original="aws"
            ),
            "whole": lambda: replace(self._one("cpu", 1, Resources(1, 1024), runs, limit), exclusive=True),
        }
        return make[kind]()

    def _one(self, partition: str, nodes: int, need: Resources, runs: float, limit: float) -> SimJob:
        priority = self.world.chance.randint(1, 50)
        account = account_of(self._number)
        return SimJob(str(self._number), partition, nodes, need, runs, limit, priority, account=account)

    def _array(self, runs: float, limit: float) -> SimJob:
        chance = self.world.chance
        tasks = [runs * chance.uniform(0.5, 1.0) for _ in range(chance.randint(2, 12))]
        job = self._one("cpu", 1, Resources(2, 2048), runs, limit)
        return replace(job, tasks=tasks, throttle=chance.choice([0, 0, 3]))


def play(name: str, seed: int, *, crash: Crash | None = None) -> World:
    """Live through one scenario; return its world.

    :raises InvariantBroken: something was broken.
    """
    return Play(name, seed, crash=crash).run()


def replay_command(name: str, seed: int, crash: Crash | None) -> str:
    """Return the command that lives through a world again."""
    text = f"python -m clues.simulation.replay {name} {seed}"
    if crash is None or crash.step is None:
        return text
    return f"{text} --crash {crash}"


def parse_crash(text: str) -> Crash:
    """Return the crash that ``SOURCE:TARGET:WHEN:NTH`` names."""
    source, target, when, nth = text.split(":")
    return Crash((source, target), When(when), int(nth))
