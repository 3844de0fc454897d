"""One consistent observation, what is remembered, and what is decided from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Generic, TypeVar

from clues.model.breaker import Breaker
from clues.model.claim import Claim
from clues.model.cloud import Flavor, Listing, Price, Quota
from clues.model.cluster import ClusterSnapshot
from clues.model.expectation import Accuracy, Boots, Forecast, Lulls, Seen, Spot
from clues.model.maintenance import Maintenance
from clues.model.money import Spent
from clues.model.overlay import OverlayStatus

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Observed(Generic[T]):
    """The last good value, when it was taken, and the error since, if the latest try failed. Unknown is never empty."""

    value: T | None = None
    taken_at: datetime | None = None
    error: str = ""

    def age(self, now: datetime) -> timedelta | None:
        """Return how old the value is; None when there is none. Never negative, whatever the clock did."""
        return None if self.taken_at is None else max(timedelta(0), now - self.taken_at)

    def fresh(self, now: datetime, limit: timedelta) -> T | None:
        """Return the value if it is no older than *limit* (and not from the future by more), else None."""
        if self.value is None or self.taken_at is None or abs(now - self.taken_at) > limit:
            return None
        return self.value


@dataclass(frozen=True, slots=True)
class SiteTerms:
    """What a site allows us and asks for its VMs, as its provider tells; each part is as old as its last good answer.

    A part that was answered (``taken_at``) and holds nothing is one that this provider does not tell.
    """

    quota: Observed[Quota] = field(default_factory=Observed)
    #: by the offers' keys
    prices: Observed[Mapping[str, Price]] = field(default_factory=Observed)
    #: by name
    flavors: Observed[Mapping[str, Flavor]] = field(default_factory=Observed)
    #: when the credentials in use end
    credentials: Observed[datetime] = field(default_factory=Observed)
    #: our claims that had a VM when the quota was asked for: what it says is in use holds them
    counted: Mapping[str, Claim] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Misread:
    """A job for which a node stood open and idle in vain; buys nothing until its fingerprint changes."""

    job: str
    fingerprint: str
    since: datetime
    node: str


@dataclass(frozen=True, slots=True)
class Pinned:
    """A pending gang that is kept in one site by its constraint, which its user gave otherwise."""

    job: str
    #: empty: its own constraint is being put back
    site: str
    #: the constraint that its user gave
    original: str
    #: how often Slurm was told in vain
    tries: int = 0


@dataclass(frozen=True, slots=True)
class Memory:
    """What experience taught, and what was changed for a while; survives restarts. Breakers by their keys, misread and
    pinned jobs by job id."""

    breakers: Mapping[str, Breaker] = field(default_factory=dict)
    misread: Mapping[str, Misread] = field(default_factory=dict)
    pins: Mapping[str, Pinned] = field(default_factory=dict)
    #: how often spot VMs were taken back, by offer
    spot: Mapping[str, Spot] = field(default_factory=dict)
    #: by site, which warning of its credentials' end was given
    warned: Mapping[str, str] = field(default_factory=dict)
    #: how long boots took lately, by offer (``site/flavor/market``) and by a router's node, the latest learnt last
    boots: Mapping[str, Boots] = field(default_factory=dict)
    #: by pool, for those with ``idle: auto``
    lulls: Mapping[str, Lulls] = field(default_factory=dict)
    #: of the jobs that ended last, the share of its time limit that each of them used
    runs: tuple[float, ...] = ()
    accuracy: Accuracy = field(default_factory=Accuracy)
    #: by budget, which warning was given of it, and in which period
    budgets: Mapping[str, str] = field(default_factory=dict)
    #: by the number of a maintenance, which warning was given of jobs that it will find running
    overstays: Mapping[str, str] = field(default_factory=dict)


class Wish(StrEnum):
    """A sysadmin's standing order for a node."""

    ON = "on"
    OFF = "off"
    DRAIN = "drain"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Operator:
    """Standing orders given by command: buying paused, wishes by node, and announced maintenance of sites."""

    paused: bool = False
    wishes: Mapping[str, Wish] = field(default_factory=dict)
    maintenance: tuple[Maintenance, ...] = ()
    #: the highest number that one of them ever had: an order to cancel one never meets another
    announced: int = 0


@dataclass(frozen=True, slots=True)
class World:
    """Everything that a decision may look at, each part with its age. ``claims`` by launch key, ended ones left out."""

    lrms: Observed[ClusterSnapshot]
    listings: Mapping[str, Observed[Listing]]
    claims: Mapping[str, Claim]
    memory: Memory = field(default_factory=Memory)
    operator: Operator = field(default_factory=Operator)
    #: what the central point last told of its tunnels
    overlay: Observed[OverlayStatus] = field(default_factory=Observed)
    #: what the sites allow and ask for; a site that is not in here has not been, and will not be, asked
    terms: Mapping[str, SiteTerms] = field(default_factory=dict)
    #: cluster's UUID: the tag that makes an instance ours
    cluster: str = ""
    #: ended claims whose launch key turned up in a listing all the same
    ended: Mapping[str, Claim] = field(default_factory=dict)
    #: highest generation that was ever used for a node
    generations: Mapping[str, int] = field(default_factory=dict)
    #: launch keys (and instance ids, while ending) with a provider call under way
    in_flight: frozenset[str] = frozenset()
    #: when this daemon started: whether a call sent before that was ever made is not known
    started_at: datetime | None = None
    #: what the last tick saw of the queue
    seen: Seen = field(default_factory=Seen)
    #: money spent so far, as far as it is booked
    spent: Spent = field(default_factory=Spent)


# --- what is decided -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Launch:
    """Ask the provider for the VM of this claim (its ``launching`` is committed)."""

    key: str


@dataclass(frozen=True, slots=True)
class LaunchTogether:
    """Ask the provider in one call for the VMs of all these claims, in this order (it is committed in each of them)."""

    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Terminate:
    """End one instance by its provider id."""

    key: str
    site: str
    instance_id: str


@dataclass(frozen=True, slots=True)
class Bind:
    """Tell Slurm where a node is now and which of its features are active."""

    node: str
    address: str
    features: frozenset[str]


@dataclass(frozen=True, slots=True)
class Open:
    """Let Slurm use these nodes, in one command."""

    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Drain:
    """Let Slurm start nothing new here; running jobs go on."""

    nodes: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class PowerOff:
    """Set these idle nodes down and let Slurm power them down; looked at again right before."""

    nodes: tuple[str, ...]
    reason: str
    #: the VM is gone by the provider's word: jobs there are lost already, do not wait for them
    vanished: bool = False


@dataclass(frozen=True, slots=True)
class Pin:
    """Keep a pending gang in one site by adding the site to its features; undone by an empty ``site``."""

    job: str
    site: str
    #: the constraint that its user gave, put back when unpinned
    original: str


@dataclass(frozen=True, slots=True)
class Reserve:
    """Let no job start on exactly these nodes that could not end before a maintenance begins; without nodes that
    is over. Times are aware UTC."""

    #: of the reservation, which is ours alone
    name: str
    begin: datetime
    end: datetime
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Release:
    """Let Slurm allocate these powered-down nodes of an eager pool: it powers up by itself which of them it wants."""

    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PowerUp:
    """Have Slurm power up these nodes of an eager pool, as if a job had been given them."""

    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Set down nodes that Slurm powers up and that get no VM, all in one command; so their jobs are requeued now, not
    at the end of ResumeTimeout."""

    nodes: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Annotate:
    """Tell the user of a job why it did not start, in a place that Slurm shows with the job."""

    job: str
    text: str


@dataclass(frozen=True, slots=True)
class Forget:
    """Remove these requests of the batch system: what they told is committed."""

    requests: tuple[str, ...]


Action = (
    Launch
    | LaunchTogether
    | Terminate
    | Bind
    | Open
    | Drain
    | PowerOff
    | Pin
    | Reserve
    | Release
    | PowerUp
    | GiveUp
    | Annotate
    | Forget
)


@dataclass(frozen=True, slots=True)
class Note:
    """One entry of the event log: what happened to what, and why, in words for people."""

    at: datetime
    kind: str
    subject: str
    text: str
    #: further names under which ``clues explain`` finds it
    about: tuple[str, ...] = ()


class Verdict(StrEnum):
    """What stands between a pending job and its nodes."""

    SERVED = "served"  # open nodes have room; Slurm will start it
    STARTING = "starting"  # nodes are on their way
    BUYING = "buying"  # nodes are being asked for in this tick
    BLOCKED = "blocked"  # nodes are needed, none can be had now
    WAITS = "waits"  # it waits for something that nodes do not cure, for now
    NEVER = "never"  # no node of ours will ever cure it
    UNKNOWN = "unknown"  # a reason that we do not know: buys nothing, is told
    MISREAD = "misread"  # a node stood open for it in vain


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the last tick found about one pending job."""

    job: str
    verdict: Verdict
    text: str
    pool: str = ""
    nodes: int = 0
    #: why each site cannot serve it now
    sites: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """The outcome of one decision: claims as they shall be (committed first), then effects, with their reasons."""

    claims: tuple[Claim, ...] = ()
    actions: tuple[Action, ...] = ()
    notes: tuple[Note, ...] = ()
    outlooks: Mapping[str, Outlook] = field(default_factory=dict)
    #: by pending job, when it is expected to start
    forecasts: Mapping[str, Forecast] = field(default_factory=dict)
    #: what this tick saw of the queue
    seen: Seen = field(default_factory=Seen)
    memory: Memory = field(default_factory=Memory)
    #: wishes that are fulfilled and can be forgotten
    granted: tuple[str, ...] = ()
    #: instances with our tag that no claim knows and that could not be adopted yet
    orphans: tuple[str, ...] = ()
    #: what runs and starts now, per hour, in the cluster's currency
    cost_per_hour: float = 0.0
    #: sites where the provider's quota stood against a VM that was wanted
    short_of_quota: frozenset[str] = frozenset()
    #: when time alone, with nothing else happening, makes the next idle node go; None: never
    again_at: datetime | None = None
