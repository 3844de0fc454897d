"""What may be bought: sites, offers and pools, as the configuration allows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from clues.model.money import Budget, Budgets
from clues.model.resources import Resources
from clues.model.windows import Warm


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
class Billing:
    r"""In which steps a provider charges for a VM's time: whole ``period``\ s (nothing: by the moment), and for no less
    than ``minimum``."""

    period: timedelta = timedelta(0)
    minimum: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Offer:
    """One way to get a VM of a pool's shape. ``price_per_hour`` is in the cluster's currency; None is unknown."""

    site: str
    flavor: str
    image: str
    market: Market = Market.ON_DEMAND
    price_per_hour: float | None = None
    zone: str = ""
    billing: Billing = Billing()

    @property
    def key(self) -> str:
        """Name of this offer in the capacity memory and on screens: ``aws/g5.2xlarge/spot``."""
        return "/".join([part for part in (self.site, self.flavor, self.zone, self.market) if part])


@dataclass(frozen=True, slots=True)
class RouterPlan:
    """The VM that carries a site's network to the central point, and when it goes again."""

    offer: Offer
    #: what it counts for in the site's limits; what the flavor has, where that is known
    shape: Resources = field(default_factory=Resources)
    #: kept for so long after the site's last worker
    linger: timedelta = timedelta(minutes=10)
    boot_deadline: timedelta = timedelta(minutes=10)
    #: from its enrolment until its tunnel is up
    join_deadline: timedelta = timedelta(minutes=2)
    #: a router whose tunnel is down for so long while its VM runs is replaced
    silent_after: timedelta = timedelta(minutes=1)
    #: where routers of other sites reach it from outside, ``host`` or ``host:port``; empty: nowhere
    public: str = ""


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
    #: only with ``attach: router``
    router: RouterPlan | None = None
    #: ranges that the site's VMs appear from in the internet; empty: not known
    egress: tuple[str, ...] = ()
    #: other networks there that its workers have to reach
    tenant_networks: tuple[str, ...] = ()

    @property
    def router_node(self) -> str:
        """Name of the site's router, which is no node of Slurm's."""
        return f"router-{self.name}"


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
    #: the idle time follows from what boots and idle hours cost, and from how soon the pool's nodes are wanted again
    idle_auto: bool = False
    #: nodes that cost more than those of the pool's cheapest offer are kept idle for a shorter time than :attr:`idle`
    idle_by_price: bool = False
    #: a VM that is older takes no further job; None: none is too old
    max_age: timedelta | None = None
    #: nodes whose image or boot would be another one today go when they are idle
    drift: bool = True
    #: half-used nodes are drained when others have room for their work
    consolidate: bool = False
    #: at most this share of the ready nodes (and at least one) is out of service for one of these three reasons
    disrupt: float = 0.1
    #: by site, a fingerprint of what VMs are told at their boot; a site that is not in here: not known
    recipes: Mapping[str, str] = field(default_factory=dict)
    mode: Mode = Mode.PLANNED
    #: a purchase waits so long after its last job for more, and so long after its first at most (None: as long); jobs
    #: of these partitions do not
    hold: timedelta = timedelta(0)
    max_wait: timedelta | None = None
    at_once: frozenset[str] = frozenset()
    #: nodes that stay up although no job needs them; where several hold at a moment, the largest number
    keep_warm: tuple[Warm, ...] = ()
    #: a gang of this pool may span sites
    span: bool = False
    #: a job waits so long for a spot VM, where that is cheaper, before it gets one on demand
    spot_fallback_after: timedelta = timedelta(0)
    boot_deadline: timedelta = timedelta(minutes=15)
    join_deadline: timedelta = timedelta(minutes=5)
    budget: Budget = field(default_factory=Budget)

    @property
    def sites(self) -> tuple[str, ...]:
        """Sites that its offers can come from, in the order of the configuration."""
        return tuple(dict.fromkeys(offer.site for offer in self.offers))

    @property
    def markets(self) -> tuple[Market, ...]:
        """How its VMs can be paid for, in the order of the configuration."""
        return tuple(dict.fromkeys(offer.market for offer in self.offers))

    @property
    def declared_features(self) -> tuple[str, ...]:
        """All Slurm features that its nodes may have: once bound, those of one site and one market are active."""
        return tuple(dict.fromkeys((self.name, *sorted(self.features), *self.sites, *self.markets)))


@dataclass(frozen=True, slots=True)
class Pace:
    """The brakes and rhythms of the daemon."""

    #: longest time between two looks at Slurm, and between two listings of a site
    look: timedelta = timedelta(seconds=10)
    listing: timedelta = timedelta(seconds=30)
    #: the same while nodes are on their way in or out
    look_busy: timedelta = timedelta(seconds=1)
    listing_busy: timedelta = timedelta(seconds=5)
    #: how often a site's quota, prices and flavors are asked
    terms: timedelta = timedelta(minutes=5)
    #: how often sdiag's counters are asked
    poke: timedelta = timedelta(seconds=1)
    launches_per_tick: int = 50
    destroys_per_tick: int = 20
    #: an offer without capacity is left alone for so long, doubling up to the longest
    retry_offer: timedelta = timedelta(minutes=2)
    retry_offer_longest: timedelta = timedelta(minutes=30)
    #: a pool is closed when so many of its VMs in a row came to nothing, at all of its offers
    close_pool_after: int = 3
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
    #: of the cluster and of Slurm's accounts
    budgets: Budgets = field(default_factory=Budgets)
    #: what one unit of another currency is worth in the cluster's
    rates: Mapping[str, float] = field(default_factory=dict)

    def pool_of(self, node: str) -> Pool | None:
        """Return the pool that a node belongs to, or None when it is not ours."""
        for pool in self.pools.values():
            if node in pool.nodes:
                return pool
        return None
