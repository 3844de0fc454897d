"""What may be bought: sites, offers and pools, as the configuration allows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from clues.model.resources import Resources


class Market(StrEnum):
    """How a VM is paid for."""

    ON_DEMAND = "on-demand"
    SPOT = "spot"


class Attach(StrEnum):
    """How a site's workers reach the overlay."""

    LOCAL = "local"
    ROUTER = "router"
    DIRECT = "direct"


class Mode(StrEnum):
    """Who picks the nodes: clues (planned) or Slurm's own power saving (eager)."""

    PLANNED = "planned"
    EAGER = "eager"


@dataclass(frozen=True, slots=True)
class Limits:
    """What may live at one site at once, routers included. None means no limit of ours."""

    vms: int | None = None
    cpus: int | None = None
    gpus: int | None = None
    memory_mib: int | None = None
    #: in the cluster's currency
    cost_per_hour: float | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """One way to get a VM of a pool's shape. ``price_per_hour`` is in the cluster's currency; None is unknown."""

    site: str
    flavor: str
    image: str
    market: Market = Market.ON_DEMAND
    price_per_hour: float | None = None
    zone: str = ""

    @property
    def key(self) -> str:
        """Name of this offer in the capacity memory and on screens: ``aws/g5.2xlarge/spot``."""
        return "/".join(part for part in (self.site, self.flavor, self.zone, self.market) if part)


@dataclass(frozen=True, slots=True)
class Site:
    """One account in one region of one cloud."""

    name: str
    connector: str
    attach: Attach = Attach.LOCAL
    limits: Limits = field(default_factory=Limits)
    #: the addresses workers get here; empty: the provider chooses
    network: str = ""
    #: a sysadmin has taken the site out of service in the configuration
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class Pool:
    """Slurm nodes of one shape, and the offers that satisfy it, cheapest known first only after placement."""

    name: str
    nodes: tuple[str, ...]
    shape: Resources
    offers: tuple[Offer, ...]
    features: frozenset[str] = frozenset()
    partitions: tuple[str, ...] = ()
    idle: timedelta = timedelta(minutes=10)
    mode: Mode = Mode.PLANNED
    keep_warm: int = 0
    #: a gang of this pool may span sites
    span: bool = False
    boot_deadline: timedelta = timedelta(minutes=15)
    join_deadline: timedelta = timedelta(minutes=5)

    @property
    def sites(self) -> tuple[str, ...]:
        """Sites that its offers can come from, in the order of the configuration."""
        return tuple(dict.fromkeys(offer.site for offer in self.offers))


@dataclass(frozen=True, slots=True)
class Pace:
    """The brakes and rhythms of the daemon."""

    #: longest time between two looks at Slurm, and between two listings of a site
    look: timedelta = timedelta(seconds=10)
    listing: timedelta = timedelta(seconds=30)
    #: the same while nodes are on their way in or out
    look_busy: timedelta = timedelta(seconds=1)
    listing_busy: timedelta = timedelta(seconds=5)
    #: how often sdiag's counters are asked
    poke: timedelta = timedelta(seconds=1)
    launches_per_tick: int = 50
    destroys_per_tick: int = 20
    #: an offer without capacity is left alone for so long, doubling up to the longest
    retry_offer: timedelta = timedelta(minutes=2)
    retry_offer_longest: timedelta = timedelta(minutes=30)
    #: an instance missing from two complete listings is believed gone after so long
    vanished_after: timedelta = timedelta(minutes=2)
    #: an observation older than this is not acted upon
    stale_after: timedelta = timedelta(minutes=2)
    #: a node stood open and idle for so long while its job stayed pending: the job was misread
    misread_after: timedelta = timedelta(seconds=60)
    #: ... and is believed again after so long, in case it was innocent
    misread_retry: timedelta = timedelta(hours=1)
    #: a worker whose clock is off by more is not opened (munge refuses credentials at 300 s)
    clock_skew: timedelta = timedelta(seconds=60)
    #: share of the shape's memory that a VM must really have (the kernel and firmware take some)
    memory_share: float = 0.9
    #: a ticket is good for so long after the VM was launched
    ticket: timedelta = timedelta(minutes=15)
    #: addresses rest so long after their VM is gone
    quarantine: timedelta = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole configuration as values, checked and with money in one currency."""

    cluster: str
    sites: Mapping[str, Site]
    pools: Mapping[str, Pool]
    currency: str = "EUR"
    pace: Pace = field(default_factory=Pace)
    #: spend limits in the cluster's currency; None is none
    budget_per_day: float | None = None

    def pool_of(self, node: str) -> Pool | None:
        """Return the pool that a node belongs to, or None when it is not ours."""
        for pool in self.pools.values():
            if node in pool.nodes:
                return pool
        return None
