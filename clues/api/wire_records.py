"""What is told from the ledger: what was spent, and what became of each VM of a node."""

from __future__ import annotations

from dataclasses import dataclass

from clues.api.wire import VERSION, EventView, listed

#: By what money can be told apart.
COST_KEYS: dict[str, str] = {
    "pool": "pool of the node; empty: routers",
    "site": "site of the VM",
    "market": "on-demand or spot",
    "account": "Slurm account whose jobs ran there, or for which it was started; empty: nobody's",
    "user": "user whose jobs ran there; needs Slurm's accounting, as do the next two",
    "qos": "QOS of those jobs",
    "job": "one job",
    "day": "day, in the time zone of the budgets",
    "month": "month, in the time zone of the budgets",
}

#: Those of them that only Slurm's accounting knows.
OF_JOBS = frozenset({"user", "qos", "job"})


@dataclass(frozen=True, slots=True)
class CostRow:
    """What was spent on one thing; what it is not told apart by is empty."""

    month: str = ""
    day: str = ""
    pool: str = ""
    site: str = ""
    account: str = ""
    market: str = ""
    user: str = ""
    qos: str = ""
    job: str = ""
    #: why nobody stands there, where it is told apart by users, QOSs or jobs: ``idle``, ``router`` or ``unknown``;
    #: empty: somebody does
    use: str = ""
    amount: float = 0.0


@dataclass(frozen=True, slots=True)
class CostList:
    """What was spent in the hours that began from ``since`` on and before ``until``."""

    rows: tuple[CostRow, ...] = listed(CostRow)
    #: keys of :data:`COST_KEYS`, in the order asked for
    by: tuple[str, ...] = ()
    since: str = ""
    until: str = ""
    total: float = 0.0
    currency: str = ""
    #: whose jobs alone are told; empty: all
    user: str = ""
    apiVersion: str = VERSION  # noqa: N815


@dataclass(frozen=True, slots=True)
class DeedView:
    """What somebody did, or tried."""

    id: int
    at: str = ""
    #: a user's name, or a token's subject
    who: str = ""
    #: ``uid 1000``, or ``SUBJECT at ISSUER``
    identity: str = ""
    #: ``socket`` or ``token``
    way: str = ""
    #: ``POST /v1/nodes/drain``
    act: str = ""
    #: what it was done to, shortened
    target: str = ""
    #: ``done``, ``refused`` or ``failed``, and the answer's HTTP status
    result: str = ""
    status: int = 200
    #: why it was refused
    detail: str = ""


@dataclass(frozen=True, slots=True)
class AuditList:
    """What was done and tried, the latest first."""

    deeds: tuple[DeedView, ...] = listed(DeedView)
    #: give this as ``cursor`` to get older ones; empty: there are none
    next: str = ""
    apiVersion: str = VERSION  # noqa: N815


@dataclass(frozen=True, slots=True)
class ClaimStory:
    """One claim of a node, ended or not: when it came to what, and why. A time that has not come is empty."""

    claim: str
    generation: int = 0
    kind: str = ""
    state: str = ""
    site: str = ""
    #: flavor and market as people say it: ``g5.2xlarge spot``
    offer: str = ""
    image: str = ""
    price_per_hour: float | None = None
    instance: str = ""
    address: str = ""
    #: what it was bought for
    jobs: tuple[str, ...] = ()
    account: str = ""
    wanted_at: str = ""
    launched_at: str = ""
    #: first listed as running by its provider
    running_at: str = ""
    enrolled_at: str = ""
    checked_at: str = ""
    opened_at: str = ""
    #: when its first job was seen
    used_at: str = ""
    gone_at: str = ""
    #: its last word, and the short code of what made it fail
    reason: str = ""
    failure: str = ""
    #: what its provider charges for it so far, by its price; null where that is not known
    cost: float | None = None
    #: how long it has lived since its launch
    lived_seconds: float | None = None
    #: what the event log has of it, oldest first: each move with its reason
    events: tuple[EventView, ...] = listed(EventView)


@dataclass(frozen=True, slots=True)
class NodeHistory:
    """All that is kept of a node, the latest claim first."""

    node: str
    claims: tuple[ClaimStory, ...] = listed(ClaimStory)
    currency: str = ""
    #: give this as ``cursor`` to get older ones; empty: there are none
    next: str = ""
    apiVersion: str = VERSION  # noqa: N815
