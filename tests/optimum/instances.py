"""Seeded snapshots to plan for: jobs by shape, pools with real prices, sites with limits, nodes that are half free.

The prices are those of AWS in us-east-1 (on demand, Linux, per hour), which do not grow with the size alone: GPU
instances of one family cost 1.0 to 5.7 dollars for the first to the fourth GPU, and for the same GPU with four to
sixteen times the cores.  A site of one's own is cheaper and small, another cloud is dearer.

Shapes are made so that jobs and nodes fit badly: memory and cores in other ratios than the nodes have them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

#: name: CPUs, memory in GiB, GPUs, dollars an hour
AWS: Mapping[str, tuple[int, int, int, float]] = {
    "c7i.large": (2, 4, 0, 0.08925),
    "c7i.xlarge": (4, 8, 0, 0.1785),
    "c7i.2xlarge": (8, 16, 0, 0.357),
    "c7i.4xlarge": (16, 32, 0, 0.714),
    "c7i.8xlarge": (32, 64, 0, 1.428),
    "c7i.16xlarge": (64, 128, 0, 2.856),
    "m7i.large": (2, 8, 0, 0.1008),
    "m7i.xlarge": (4, 16, 0, 0.2016),
    "m7i.2xlarge": (8, 32, 0, 0.4032),
    "m7i.4xlarge": (16, 64, 0, 0.8064),
    "m7i.8xlarge": (32, 128, 0, 1.6128),
    "m7i.16xlarge": (64, 256, 0, 3.2256),
    "r7i.large": (2, 16, 0, 0.1323),
    "r7i.xlarge": (4, 32, 0, 0.2646),
    "r7i.2xlarge": (8, 64, 0, 0.5292),
    "r7i.4xlarge": (16, 128, 0, 1.0584),
    "r7i.8xlarge": (32, 256, 0, 2.1168),
    "g5.xlarge": (4, 16, 1, 1.006),
    "g5.2xlarge": (8, 32, 1, 1.212),
    "g5.4xlarge": (16, 64, 1, 1.624),
    "g5.8xlarge": (32, 128, 1, 2.448),
    "g5.12xlarge": (48, 192, 4, 5.672),
}

SIZES = (30, 60, 100, 300, 1000, 3000, 10_000)


@dataclass(frozen=True, slots=True)
class Ask:
    """Jobs that ask for the same: ``nodes`` nodes at one site, on each so much. ``site``: the only one allowed."""

    name: str
    count: int
    cpus: int
    gib: int
    gpus: int = 0
    nodes: int = 1
    site: str = ""
    priority: int = 0

    @property
    def each(self) -> tuple[int, int, int]:
        return self.cpus, self.gib, self.gpus


@dataclass(frozen=True, slots=True)
class PoolOf:
    """Nodes of one size, at most ``most`` more of them, and the price by site."""

    name: str
    size: tuple[int, int, int]
    most: int
    prices: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class SiteOf:
    """What a site still allows; None is no limit. ``quota_cpus`` is told by the provider."""

    name: str
    vms: int | None = None
    cpus: int | None = None
    gpus: int | None = None
    gib: int | None = None
    cost: float | None = None
    quota_cpus: int | None = None


@dataclass(frozen=True, slots=True)
class RoomOf:
    """Open nodes alike, of one pool and site, with so much free on each."""

    pool: str
    site: str
    free: tuple[int, int, int]
    count: int


@dataclass(frozen=True, slots=True)
class Instance:
    """One snapshot to plan for; ``scarce``: not everything can be had."""

    name: str
    asks: tuple[Ask, ...]
    pools: Mapping[str, PoolOf]
    sites: Mapping[str, SiteOf]
    room: tuple[RoomOf, ...] = field(default=())
    scarce: bool = False

    @property
    def jobs(self) -> int:
        return sum(ask.count for ask in self.asks)


def make_instance(seed: int) -> Instance:
    """Return one of the yardstick's snapshots; those of one seed are all alike."""
    chance = Random(seed)
    jobs = SIZES[seed % len(SIZES)]
    kinds = {30: 6, 60: 8, 100: 10, 300: 16, 1000: 25, 3000: 40, 10_000: 50}[jobs]
    flavors = chance.sample(sorted(name for name in AWS if name[0] != "g"), 4 if jobs <= 100 else 9)
    flavors += chance.sample(sorted(name for name in AWS if name[0] == "g"), 2 if jobs <= 100 else 3)
    scarce = seed % 10 == 9
    pools = _pools(chance, flavors, jobs)
    asks = _asks(chance, pools, jobs, kinds)
    sites = _sites(chance, asks, scarce=scarce)
    room = _room(chance, pools, min(1000, jobs // 10)) if seed % 3 == 2 else ()
    return Instance(f"seed-{seed}-{jobs}", asks, pools, sites, room, scarce)


def _pools(chance: Random, flavors: list[str], jobs: int) -> dict[str, PoolOf]:
    pools = {}
    for flavor in flavors:
        cpus, gib, gpus, price = AWS[flavor]
        # Slurm is told of some memory less than the flavor has, for the kernel and slurmd
        size = (cpus, gib - max(1, gib // 16), gpus)
        prices = {"aws": price, "other": round(price * chance.uniform(1.08, 1.4), 4)}
        if chance.random() < 0.5:
            prices["own"] = round(cpus * 0.01 + gib * 0.002 + gpus * 0.3, 4)
        name = flavor.replace(".", "-")
        pools[name] = PoolOf(name, size, max(20, min(jobs, 2000)), prices)
    return pools


def _asks(chance: Random, pools: Mapping[str, PoolOf], jobs: int, kinds: int) -> tuple[Ask, ...]:
    most_gib = max(pool.size[1] for pool in pools.values())
    gpu_sizes = [pool.size for pool in pools.values() if pool.size[2]]
    weights = [chance.expovariate(1.0) + 0.1 for _ in range(kinds)]
    left, asks = jobs, []
    for number, weight in enumerate(weights):
        count = (
            left if number == kinds - 1 else min(left - (kinds - 1 - number), max(1, int(jobs * weight / sum(weights))))
        )
        left -= count
        size = chance.choice(gpu_sizes) if chance.random() < 0.2 else None
        gpus = 0 if size is None else chance.choice([1, 1, 1, 2, 4])
        if size is not None:
            size = max(gpu_sizes, key=lambda one: one[2]) if gpus > size[2] else size
            gpus = min(gpus, size[2])
            cpus = chance.choice([1, 2, 3, 4, 6, 8])
            gib = chance.choice([2, 4, 7, 12, 15, 28])
            cpus, gib = min(cpus, size[0]), min(gib, size[1])
        else:
            size = chance.choice([pool.size for pool in pools.values() if not pool.size[2]])
            cpus = min(size[0], chance.choice([1, 1, 1, 2, 2, 3, 4, 5, 6, 8, 12, 16]))
            gib = max(1, min(size[1], most_gib, int(cpus * chance.choice([0.5, 1, 1.5, 2, 3, 4, 6, 7.5, 12]))))
        nodes = chance.choice([2, 2, 3, 4, 8]) if chance.random() < 0.15 else 1
        site = chance.choice(["aws", "other"]) if chance.random() < 0.06 else ""
        asks.append(Ask(f"k{number}", count, cpus, gib, gpus, nodes, site, priority=chance.randrange(1000)))
    return tuple(asks)


def _sites(chance: Random, asks: tuple[Ask, ...], *, scarce: bool) -> dict[str, SiteOf]:
    cpus = sum(ask.count * ask.nodes * ask.cpus for ask in asks)
    gpus = sum(ask.count * ask.nodes * ask.gpus for ask in asks)
    own = SiteOf(
        "own", vms=max(2, cpus // 100), cpus=max(16, cpus // chance.choice([4, 6, 10])), gpus=max(2, gpus // 5)
    )
    aws = SiteOf(
        "aws",
        gpus=max(8, gpus // 2),
        quota_cpus=max(64, int(cpus * chance.choice([0.4, 0.6, 2.0]))),
        cost=None if chance.random() < 0.5 else max(20.0, cpus * 0.03),
    )
    other = SiteOf("other", cpus=max(96, cpus // 4), gpus=max(4, gpus // 8)) if scarce else SiteOf("other")
    if scarce:
        own = SiteOf("own", vms=3, cpus=32, gpus=2)
        aws = SiteOf("aws", gpus=max(4, gpus // 6), quota_cpus=max(64, cpus // 5))
    return {site.name: site for site in (own, aws, other)}


def _room(chance: Random, pools: Mapping[str, PoolOf], count: int) -> tuple[RoomOf, ...]:
    """Half-free nodes, of few degrees, as jobs leave them."""
    found = []
    chosen = chance.sample(sorted(pools), 3)
    for name in chosen:
        size = pools[name].size
        for degree in (0.25, 0.5, 0.75):
            free = (max(1, int(size[0] * degree)), max(1, int(size[1] * degree)), int(size[2] * degree))
            found.append(RoomOf(name, "aws", free, max(1, count // 9)))
    return tuple(found)
