"""Worlds with a name: a small cluster, its jobs, and what the demon may do. :mod:`clues.simulation.play` lives one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from clues.model import (
    Attach,
    Billing,
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
from clues.simulation.demon import STORM, TUNNELS, Mischief
from clues.simulation.timeline import EPOCH
from clues.simulation.worlds.profiles import BAD_CALLS, BAD_FATES, BAD_LAUNCHES, CloudProfile, Delay, SlurmProfile
from clues.simulation.worlds.purses import ENDLESS, MANY, TIGHT_DAY, Purses
from clues.simulation.worlds.retiring import retiring

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


#: Mischief after which what is booked has to be what VMs cost all the same.
_PLAIN = {"daemon killed", "disk full", "site full", "operator wishes", "job cancelled"}


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

    @property
    def plain(self) -> bool:
        """Whether no clock is set there and no site hides its VMs for long: then the books say what they cost."""
        return set(self.mischief) <= _PLAIN and not self.script and self.cloud.calls == FAST.calls

    @property
    def harmless(self) -> bool:
        """Whether nothing goes wrong there but calls: then no job ever has to be begun again."""
        safe = set(self.mischief) <= {"daemon killed", "site full"} and not self.script and self.change is not eager
        return safe and not self.cloud.interruptions_per_hour and self.cloud.fates == FAST.fates


def eager(settings: Settings) -> Settings:
    """Return *settings* in whose pools Slurm's power saving picks the nodes."""
    pools = {name: replace(pool, mode=Mode.EAGER) for name, pool in settings.pools.items()}
    return replace(settings, pools=pools)


def in_periods(settings: Settings) -> Settings:
    """Return *settings* whose VMs at aws are charged for in half minutes, and for three minutes at least."""
    billing = Billing(timedelta(seconds=30), timedelta(minutes=3))

    def charged(pool: Pool) -> Pool:
        offers = [replace(one, billing=billing) if one.site == "aws" else one for one in pool.offers]
        return replace(pool, offers=tuple(offers))

    return replace(settings, pools={name: charged(pool) for name, pool in settings.pools.items()})


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
    # time is charged in steps, and the disk is full now and then: what is booked is what the VMs cost
    "books": Scenario({"daemon killed": Mischief(12), "disk full": Mischief(4, 150)}, jobs=24, change=in_periods),
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
