"""What goes over the wire: the shapes of all answers of the API.

These are the API's contract, apart from the core's own model, so that the core may change and the answers
stay. Names follow ``clues.yaml``; ages are seconds, times are ISO 8601 in UTC, money is in ``currency``,
memory in MiB.

Both sides import this file, the command line too, which has to start quickly: so these are plain dataclasses,
and ``codec.py`` turns them into JSON and back. Every field that was added later has a default.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

#: The version of the API, in every answer and at the front of every path.
VERSION = "v1"


def listed(kind: type[Any]) -> Any:
    """A field that holds a tuple of *kind*, empty by default."""
    return field(default=(), metadata={"of": kind})


# --- nodes --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StateWord:
    """What one word of the STATE column means, and whether its nodes count as up, as starting or as
    closed."""

    group: str
    meaning: str


NODE_STATES: dict[str, StateWord] = {
    "off": StateWord("closed", "no VM, and none is wanted"),
    "wanted": StateWord("starting", "bought on paper, waits for its turn to be launched"),
    "launching": StateWord("starting", "the provider has been asked for a VM"),
    "booting": StateWord("starting", "the VM exists and boots"),
    "joining": StateWord("starting", "the VM has enrolled and is being checked before jobs may use it"),
    "idle": StateWord("up", "up, open and without a job"),
    "busy": StateWord("up", "jobs run on it"),
    "draining": StateWord("up", "takes no new job, lets the running ones end"),
    "stopping": StateWord("closed", "its VM is being ended"),
    "failed": StateWord("closed", "it did not work out; its VM, if there is one, will be ended"),
    "held": StateWord("closed", "somebody else drained it or took it down; left alone until they release it"),
    "down": StateWord("closed", "Slurm takes it for down, though its VM should run"),
    "disabled": StateWord("closed", "taken out of service with `clues disable`"),
    "unknown": StateWord("closed", "Slurm has not been read yet"),
    "on-premises": StateWord("up", "belongs to no pool: clues never changes it"),
}


@dataclass(frozen=True, slots=True)
class NodeView:
    """One Slurm node and the VM behind it."""

    name: str
    state: str
    pool: str = ""
    site: str = ""
    #: flavor and market as people say it: ``g5.2xlarge spot``
    offer: str = ""
    since: str = ""
    age_seconds: float | None = None
    jobs: tuple[str, ...] = ()
    #: null where the price is not known, or where there is no VM
    cost_per_hour: float | None = None
    reason: str = ""
    address: str = ""
    instance: str = ""
    #: launch key of its claim, the VM's tag
    claim: str = ""
    generation: int = 0
    #: a sysadmin's standing order
    wish: str = ""
    #: Slurm's own words
    slurm: tuple[str, ...] = ()
    cpus: int = 0
    memory_mib: int = 0
    gpus: str = ""


@dataclass(frozen=True, slots=True)
class NodeList:
    nodes: tuple[NodeView, ...] = listed(NodeView)
    currency: str = ""
    apiVersion: str = VERSION  # noqa: N815


# --- jobs ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class JobView:
    """One record of the queue; ``count`` tasks of an array may stand behind it."""

    id: str
    user: str = ""
    state: str = ""
    #: what stands between a pending job and its nodes: ``starting``, ``blocked``, ``waits``, ...
    verdict: str = ""
    pool: str = ""
    partitions: tuple[str, ...] = ()
    count: int = 1
    #: pending since its submission, running since its start
    since: str = ""
    age_seconds: float | None = None
    nodes: tuple[str, ...] = ()
    why: str = ""
    slurm_reason: str = ""
    priority: int = 0
    #: nodes that it needs at least
    nodes_wanted: int = 1
    #: a pending job (an array: its next task): what it waits for, and when it is expected to start. A time that nobody
    #: can tell is empty; an earliest without a latest is "not before"
    waits_for: str = ""
    start_early: str = ""
    start_likely: str = ""
    start_late: str = ""
    #: the same as seconds from now
    start_early_seconds: float | None = None
    start_late_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class JobList:
    jobs: tuple[JobView, ...] = listed(JobView)
    apiVersion: str = VERSION  # noqa: N815


# --- sites --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Resting:
    """An offer that failed lately and is left alone for a while."""

    offer: str
    code: str
    until: str
    again_seconds: float
    failures: int = 1
    words: str = ""


@dataclass(frozen=True, slots=True)
class SiteView:
    """One site: what runs there, what is allowed, how fresh its listing is."""

    name: str
    connector: str = ""
    attach: str = ""
    disabled: bool = False
    age_seconds: float | None = None
    error: str = ""
    vms: int = 0
    starting: int = 0
    stopping: int = 0
    cpus: int = 0
    gpus: int = 0
    vms_limit: int | None = None
    cpus_limit: int | None = None
    gpus_limit: int | None = None
    cost_per_hour: float = 0.0
    cost_limit: float | None = None
    resting: tuple[Resting, ...] = listed(Resting)
    #: until the credentials in use end; null where they do not, or nobody tells. Negative: they have
    credentials_seconds: float | None = None
    #: what a sysadmin should see to, in words
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SiteList:
    sites: tuple[SiteView, ...] = listed(SiteView)
    currency: str = ""
    apiVersion: str = VERSION  # noqa: N815


#: What stands between a pending job and its nodes (:class:`clues.model.Verdict`).
PENDING_STATES: dict[str, str] = {
    "served": "open nodes have room: Slurm will start it",
    "starting": "its nodes are on their way",
    "buying": "its nodes are being asked for",
    "blocked": "it needs nodes, and none can be had now; `clues explain JOB` tells why, site by site",
    "waits": "it waits for something that more nodes would not cure: a dependency, a limit, a licence",
    "never": "no node of any pool can ever run it",
    "unknown": "Slurm's reason is not known to clues: nothing is bought",
    "misread": "a node stood open for it in vain; nothing more is bought until it changes, or for a while",
}


# --- the whole cluster --------------------------------------------------------------------------------------

CLUSTER_STATES: dict[str, str] = {
    "running": "it buys and stops VMs as jobs need",
    "paused": "`clues pause`: nothing is bought or stopped until `clues resume`",
    "blind": "Slurm cannot be read: nothing is changed until it can",
}


@dataclass(frozen=True, slots=True)
class Observation:
    """How old the last good look at one source is, and the error of the latest try if that failed."""

    source: str
    age_seconds: float | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class WaitingJobs:
    """Pending jobs that wait for the same: how many, for what, and one of them as an example."""

    verdict: str
    jobs: int
    example: str
    pool: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class PoolRow:
    """A pool in numbers; ``up + starting + closed`` are all its nodes, ``busy`` (draining ones too) and
    ``idle`` are those up."""

    name: str
    nodes: int = 0
    up: int = 0
    busy: int = 0
    idle: int = 0
    starting: int = 0
    closed: int = 0
    jobs_waiting: int = 0
    waiting: tuple[WaitingJobs, ...] = listed(WaitingJobs)


@dataclass(frozen=True, slots=True)
class LinkView:
    """How one site outside the front-end's network is joined to it, all its tunnels together."""

    site: str
    #: ``router`` or ``direct``
    attach: str = ""
    #: one of :data:`clues.api.wire_vrouter.TUNNEL_STATES`; with direct attachment that of the worst tunnel
    state: str = ""
    #: since when it is in this state
    age_seconds: float | None = None
    #: live workers there
    workers: int = 0
    tunnels: int = 0
    tunnels_up: int = 0
    #: bytes that came from there and that went there, as the central points count them
    received: int = 0
    sent: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class BudgetView:
    """One budget in its present period, in the cluster's currency."""

    #: "the cluster", "pool gpu", "account physics"
    whose: str
    #: "hour", "day" or "month"
    period: str
    spent: float = 0.0
    limit: float = 0.0


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """The cluster in one screen."""

    cluster: str
    state: str
    at: str = ""
    tick: int = 0
    nodes_total: int = 0
    nodes_up: int = 0
    nodes_starting: int = 0
    cost_per_hour: float = 0.0
    spent_today: float = 0.0
    budget_per_day: float | None = None
    currency: str = ""
    budgets: tuple[BudgetView, ...] = listed(BudgetView)
    observations: tuple[Observation, ...] = listed(Observation)
    pools: tuple[PoolRow, ...] = listed(PoolRow)
    sites: tuple[SiteView, ...] = listed(SiteView)
    #: sites that tunnels join, as far as there is a VM
    links: tuple[LinkView, ...] = listed(LinkView)
    #: nodes that are not simply off, the most interesting first, and how many there are in all
    nodes: tuple[NodeView, ...] = listed(NodeView)
    nodes_not_off: int = 0
    jobs_waiting: tuple[WaitingJobs, ...] = listed(WaitingJobs)
    #: what keeps the daemon from its work
    troubles: tuple[str, ...] = ()
    apiVersion: str = VERSION  # noqa: N815


@dataclass(frozen=True, slots=True)
class EventView:
    """One entry of the event log; ids only grow."""

    id: int
    at: str = ""
    kind: str = ""
    subject: str = ""
    text: str = ""
    about: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EventList:
    events: tuple[EventView, ...] = listed(EventView)
    #: give this as ``after`` to get what comes next
    last: int = 0
    #: give this as ``cursor`` to get older ones; empty: there are none, or *after* was given
    next: str = ""
    apiVersion: str = VERSION  # noqa: N815


@dataclass(frozen=True, slots=True)
class Explanation:
    subject: str
    #: a few lines
    text: str = ""
    apiVersion: str = VERSION  # noqa: N815


@dataclass(frozen=True, slots=True)
class Accepted:
    """An order that is committed; it is carried out by the next ticks."""

    order: str
    nodes: tuple[str, ...] = ()
    who: str = ""
    #: those of them that have no VM, so that there is nothing to drain or to stop
    without_vm: tuple[str, ...] = ()
    apiVersion: str = VERSION  # noqa: N815


@dataclass(frozen=True, slots=True)
class VersionInfo:
    version: str
    cluster: str = ""
    started_at: str = ""
    tick: int = 0
    apiVersion: str = VERSION  # noqa: N815


@dataclass(frozen=True, slots=True)
class UnknownName:
    """A name that means nothing here, and those it may have been meant for."""

    name: str
    nearest: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a request failed, as RFC 9457 has it (``application/problem+json``)."""

    title: str
    status: int
    detail: str = ""
    type: str = "about:blank"
    unknown: tuple[UnknownName, ...] = listed(UnknownName)
    apiVersion: str = VERSION  # noqa: N815
