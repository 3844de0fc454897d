"""Worlds with a name: a small cluster, its jobs, and what the demon may do. ``play(name, seed)`` lives one through.

Every scenario ends in calm, and the world has to come to rest: all jobs done, no VM left, every node closed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from clues.model import (
    Attach,
    Gpu,
    Limits,
    Market,
    Mode,
    Offer,
    Pace,
    Pool,
    Resources,
    RouterPlan,
    Settings,
    Site,
)
from clues.simulation.crash import Crash, When
from clues.simulation.demon import STORM, TUNNELS, Demon, Mischief
from clues.simulation.profiles import BAD_CALLS, BAD_FATES, BAD_LAUNCHES, CloudProfile, Delay, SlurmProfile
from clues.simulation.purses import ENDLESS, MANY, TIGHT_DAY, Purses, account_of
from clues.simulation.retiring import retiring
from clues.simulation.slurm_parts import SimJob, SimNode, SimReservation
from clues.simulation.timeline import EPOCH
from clues.simulation.world import Design, World

CPU = Resources(8, 30 * 1024)
GPU = Resources(8, 60 * 1024, (Gpu("a10", 2),))
STATIC = (("head-1", "cpu", Resources(2, 4096)),)

#: Jobs come for the first part of the faults' time only, so that some of them meet the calm.
JOBS_FOR = 0.7
#: After the faults everything has to be over within so long, in seconds.
REST_WITHIN = 5 * 3600.0

FAST = CloudProfile(
    provision=Delay(5, 0.3, 1),
    boot=Delay(25, 0.4, 5),
    join=Delay(5, 0.3, 1),
    ending=Delay(8, 0.4, 1),
    gone_shown=40,
    latency=Delay(0.8, 0.7, 0.05),
    lag=Delay(2.0, 0.8),
)
BAD = replace(FAST, launches=BAD_LAUNCHES, calls=BAD_CALLS, fates=BAD_FATES, forgetful=0.02)

PACE = Pace(
    look=timedelta(seconds=10),
    look_busy=timedelta(seconds=3),
    poke=timedelta(seconds=3),
    listing=timedelta(seconds=15),
    listing_busy=timedelta(seconds=6),
    vanished_after=timedelta(seconds=40),
    retry_offer=timedelta(seconds=30),
    retry_offer_longest=timedelta(minutes=5),
    misread_after=timedelta(seconds=90),
)


QUICK_SLURM = SlurmProfile(power_down=12, resume_timeout=200, slurmd_timeout=90, requeue=20)


@dataclass(frozen=True)
class Scenario:
    """One kind of world."""

    mischief: Mapping[str, Mischief] = field(default_factory=dict)
    cloud: CloudProfile = FAST
    #: aws lies behind a router
    private: bool = False
    #: how long faults and jobs go on, in seconds, and how many jobs come on average
    lasts: float = 2400.0
    jobs: int = 14
    #: further things that happen: (share of the time, what the demon does)
    script: tuple[tuple[float, str], ...] = ()
    pace: Pace = PACE
    limits: Mapping[str, Limits] = field(
        default_factory=lambda: {"cesnet": Limits(vms=5), "aws": Limits(vms=4, gpus=4)}
    )
    quotas: Mapping[str, Limits] = field(default_factory=dict)
    purses: Purses = ENDLESS
    spot: bool = False
    #: ... and on-demand VMs of the same flavor compete with them
    on_demand_too: bool = False
    slurm: SlurmProfile = QUICK_SLURM
    rest_within: float = REST_WITHIN
    epoch: datetime = EPOCH
    maintenance: bool = False
    #: the longest job, in seconds
    longest: float = 300.0
    #: what is otherwise in the configuration
    change: Callable[[Settings], Settings] | None = None


def eager(settings: Settings) -> Settings:
    """Return *settings* in whose pools Slurm's power saving picks the nodes."""
    pools = {name: replace(pool, mode=Mode.EAGER) for name, pool in settings.pools.items()}
    return replace(settings, pools=pools)


_LONG = {name: replace(one, per_hour=one.per_hour / 12) for name, one in STORM.items()}

SCENARIOS: Mapping[str, Scenario] = {
    "kind": Scenario(),
    "kind-private": Scenario(private=True),
    "storm": Scenario(STORM, BAD),
    "storm-private": Scenario({**STORM, **TUNNELS}, BAD, private=True),
    "spot": Scenario(STORM, replace(BAD, interruptions_per_hour=6), spot=True),
    "errors": Scenario(
        cloud=replace(
            FAST,
            launches={"good": 70, **dict.fromkeys(("transient", "throttled", "lost-before", "lost-after"), 7.5)},
            calls={"good": 70, **dict.fromkeys(("transient", "throttled", "lost-before", "lost-after"), 7.5)},
        )
    ),
    "late": Scenario(
        cloud=replace(FAST, launches={"good": 60, "late": 15, "liar": 10, "lost-after": 8, "lost-before": 7})
    ),
    # several VMs in one call, whose answer may be lost, late, or for a part of them only
    "together": Scenario(
        {"daemon killed": Mischief(12), "operator wishes": Mischief(10), "site full": Mischief(6, 300)},
        replace(
            FAST,
            batch=4,
            lag=Delay(5, 0.8),
            capacity={"m": 3, "c7i": 3, "g5": 2},
            launches={"good": 50, "late": 8, "lost-after": 20, "lost-before": 12, "transient": 5, "quota": 5},
        ),
        jobs=30,
        limits={"cesnet": Limits(vms=8), "aws": Limits(vms=8, gpus=8)},
        quotas={"aws": Limits(vms=4)},
    ),
    "eventual": Scenario(cloud=replace(FAST, forgetful=0.15, lag=Delay(8, 0.8))),
    "blinking": Scenario(
        cloud=replace(FAST, forgetful=0.4, ending=Delay(2), calls={"good": 50, "lost-before": 30, "transient": 20}),
        mischief={"operator wishes": Mischief(20)},
        jobs=20,
    ),
    "slurm-lost": Scenario({"slurmctld out": Mischief(6, 900), "half a command": Mischief(12)}),
    "forgetful-slurm": Scenario({**STORM, "slurmctld forgets": Mischief(4)}, BAD),
    "clock": Scenario({"clock set": Mischief(40), "daemon killed": Mischief(10)}),
    "ledger-lost": Scenario({**STORM, "ledger lost": Mischief(4)}, BAD),
    "ledger-lost-private": Scenario({**STORM, **TUNNELS, "ledger lost": Mischief(3)}, BAD, private=True),
    "shortage": Scenario(
        cloud=replace(FAST, capacity={"m": 1, "c7i": 1, "g5": 1}),
        quotas={"aws": Limits(vms=3)},
        mischief={"site full": Mischief(8, 900), "VM lost": Mischief(6)},
        jobs=20,
    ),
    "budget": Scenario(purses=TIGHT_DAY, jobs=24, rest_within=2 * 86400.0, epoch=EPOCH + timedelta(hours=16.5)),
    "budgets": Scenario({"daemon killed": Mischief(6)}, purses=MANY, jobs=30, rest_within=6 * 86400.0),
    "maintenance": Scenario(maintenance=True),
    "site-maintenance": Scenario(
        {"site maintenance": Mischief(12, 1500), "daemon killed": Mischief(6), "operator wishes": Mischief(4)}, jobs=30
    ),
    "completing": Scenario(
        {"operator wishes": Mischief(30), "admin drains": Mischief(20, 200), "job cancelled": Mischief(20)},
        slurm=replace(QUICK_SLURM, completing=Delay(25, 0.4, 5)),
        jobs=24,
    ),
    "slow-answers": Scenario(
        {"daemon killed": Mischief(6), "operator wishes": Mischief(10)},
        replace(FAST, latency=Delay(8, 0.4, 0.5), provision=Delay(1), boot=Delay(4, 0.5, 1)),
    ),
    "recalled": Scenario(
        {"daemon killed": Mischief(6)},
        replace(FAST, boot=Delay(60)),
        slurm=replace(QUICK_SLURM, latency=Delay(2.5, 0.5, 0.1)),
        jobs=40,
    ),
    "retiring": Scenario(
        {"image changed": Mischief(2), "daemon killed": Mischief(2)},
        lasts=5400.0,
        jobs=40,
        longest=1500.0,
        change=retiring,
        limits={"cesnet": Limits(vms=5), "aws": Limits(vms=6, gpus=4)},
    ),
    # both pools are eager, and offers that have no room are refused in the middle of gangs
    "eager": Scenario(
        {"daemon killed": Mischief(8), "site full": Mischief(6, 300), "VM lost": Mischief(4)},
        replace(FAST, capacity={"m": 3, "c7i": 3, "g5": 2}),
        jobs=24,
        change=eager,
    ),
    "vanishing": Scenario({"VM lost": Mischief(20), "slurmd restarts": Mischief(20)}, jobs=20),
    "site-day": Scenario(
        {"site lost": Mischief(0.25, 86400), **_LONG},
        replace(FAST, boot=Delay(90)),
        lasts=86400.0,
        jobs=60,
        private=True,
    ),
}


def settings_of(scenario: Scenario) -> Settings:
    """Return the small cluster: two pools at two sites with narrow limits."""
    market = Market.SPOT if scenario.spot else Market.ON_DEMAND
    cpu = Pool(
        name="cpu",
        nodes=tuple(f"cpu-{n}" for n in range(1, 8)),
        shape=CPU,
        offers=(
            Offer("cesnet", "m", "worker", price_per_hour=0.1),
            Offer("aws", "c7i", "worker", market=market, price_per_hour=0.4),
            *([Offer("aws", "c7i", "worker", price_per_hour=1.0)] if scenario.on_demand_too else []),
        ),
        partitions=("cpu",),
        idle=timedelta(seconds=90),
        boot_deadline=timedelta(seconds=150),
        join_deadline=timedelta(seconds=60),
    )
    gpu = replace(
        cpu,
        name="gpu",
        nodes=("gpu-1", "gpu-2"),
        shape=GPU,
        offers=(Offer("aws", "g5", "worker", price_per_hour=1.2),),
        partitions=("gpu",),
    )
    sites = {name: Site(name, "simulated", limits=limits) for name, limits in scenario.limits.items()}
    if scenario.private:
        router = RouterPlan(
            offer=Offer("aws", "t3.micro", "router", price_per_hour=0.05),
            shape=Resources(1, 1024),
            linger=timedelta(seconds=60),
            boot_deadline=timedelta(seconds=150),
            join_deadline=timedelta(seconds=30),
            silent_after=timedelta(seconds=20),
        )
        sites["aws"] = replace(sites["aws"], attach=Attach.ROUTER, router=router)
    pools = {pool.name: replace(pool, budget=scenario.purses.pools.get(pool.name, pool.budget)) for pool in (cpu, gpu)}
    return Settings(
        "small",
        sites,
        pools,
        pace=scenario.pace,
        budgets=scenario.purses.budgets,
    )


def scenario_named(name: str) -> Scenario:
    """Return one of :data:`SCENARIOS`, or of those of :mod:`clues.simulation.scarcity`."""
    from clues.simulation.scarcity import ALL  # which is made of what stands here

    return ALL[name]


class Play:
    """One scenario with one seed."""

    def __init__(self, name: str, seed: int, *, crash: Crash | None = None, scenario: Scenario | None = None) -> None:
        self.name, self.seed = name, seed
        self.scenario = scenario or scenario_named(name)
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
