"""What goes over the wire about a rehearsal: what the next tick would do, and cost.

As in :mod:`clues.api.wire`: names follow ``clues.yaml``, every field that was added later has a default.
"""

from __future__ import annotations

from dataclasses import dataclass

from clues.api.wire import VERSION, listed


@dataclass(frozen=True, slots=True)
class PurchaseView:
    """VMs that would be started alike."""

    #: empty: the router of its site
    pool: str
    site: str = ""
    flavor: str = ""
    zone: str = ""
    market: str = ""
    #: the offer's name: ``aws/g5.2xlarge/spot``
    offer: str = ""
    count: int = 0
    nodes: tuple[str, ...] = ()
    #: pending jobs that they would be bought for
    jobs: tuple[str, ...] = ()
    #: of one VM, and of all of them; null where it is not known
    price_per_hour: float | None = None
    cost_per_hour: float | None = None


#: What would become of a node.
CHANGES: dict[str, str] = {
    "open": "opened: Slurm may start jobs there",
    "drain": "drained: it takes no new job, those that run go on",
    "end": "its VM would be ended",
}


@dataclass(frozen=True, slots=True)
class ChangeView:
    """What would become of one node."""

    node: str
    #: one of :data:`CHANGES`
    change: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class FateView:
    """What would become of one pending job."""

    id: str
    user: str = ""
    verdict: str = ""
    pool: str = ""
    why: str = ""
    waits_for: str = ""
    start_early: str = ""
    start_likely: str = ""
    start_late: str = ""
    start_early_seconds: float | None = None
    start_late_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class PlanView:
    """A decision of which nothing was carried out."""

    #: the changes of the configuration that it was made with
    what_if: tuple[str, ...] = ()
    at: str = ""
    #: why nothing would be done at all; empty: there is no such reason
    blind: str = ""
    paused: bool = False
    purchases: tuple[PurchaseView, ...] = listed(PurchaseView)
    changes: tuple[ChangeView, ...] = listed(ChangeView)
    jobs: tuple[FateView, ...] = listed(FateView)
    #: what runs and starts, before and after
    cost_per_hour_now: float = 0.0
    cost_per_hour_then: float = 0.0
    currency: str = ""
    apiVersion: str = VERSION  # noqa: N815
