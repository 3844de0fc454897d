"""One consistent observation, what is remembered, and what is decided from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Generic, TypeVar

from clues.model.claim import Claim
from clues.model.cloud import Listing
from clues.model.cluster import ClusterSnapshot

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
class Breaker:
    """An offer (or a site) that failed lately: left alone until ``until``, longer at each failure in a row."""

    key: str
    code: str
    words: str
    since: datetime
    until: datetime
    failures: int = 1


@dataclass(frozen=True, slots=True)
class Misread:
    """A job for which a node stood open and idle in vain; buys nothing until its fingerprint changes."""

    job: str
    fingerprint: str
    since: datetime
    node: str


@dataclass(frozen=True, slots=True)
class Memory:
    """What experience taught; survives restarts. Breakers by offer key, misread jobs by job id."""

    breakers: Mapping[str, Breaker] = field(default_factory=dict)
    misread: Mapping[str, Misread] = field(default_factory=dict)


class Wish(StrEnum):
    """A sysadmin's standing order for a node."""

    ON = "on"
    OFF = "off"
    DRAIN = "drain"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Operator:
    """Standing orders given by command: buying paused, and wishes by node."""

    paused: bool = False
    wishes: Mapping[str, Wish] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class World:
    """Everything that a decision may look at, each part with its age. ``claims`` by launch key, ended ones left out."""

    lrms: Observed[ClusterSnapshot]
    listings: Mapping[str, Observed[Listing]]
    claims: Mapping[str, Claim]
    memory: Memory = field(default_factory=Memory)
    operator: Operator = field(default_factory=Operator)
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
    #: money spent today, in the cluster's currency
    spent_today: float = 0.0


# --- what is decided -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Launch:
    """Ask the provider for the VM of this claim (its ``launching`` is committed)."""

    key: str


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


Action = Launch | Terminate | Bind | Open | Drain | PowerOff | Pin


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
    memory: Memory = field(default_factory=Memory)
    #: wishes that are fulfilled and can be forgotten
    granted: tuple[str, ...] = ()
    #: instances with our tag that no claim knows and that could not be adopted yet
    orphans: tuple[str, ...] = ()
    #: what runs and starts now, per hour, in the cluster's currency
    cost_per_hour: float = 0.0
