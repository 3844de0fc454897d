"""What the page, and whoever else follows the cluster, is sent: one whole picture, then what has changed in it.

Times stand here as moments, not as ages: an age changes although nothing has.
"""

from __future__ import annotations

from dataclasses import dataclass

from clues.api.wire import VERSION, ClusterStatus, JobView, NodeView, listed


@dataclass(frozen=True, slots=True)
class Change:
    """What is new since the change before. In a first one everything is."""

    tick: int
    #: when the tick was
    at: str
    #: pools, sites, money, troubles, without nodes: one, or none where all that is as before
    status: tuple[ClusterStatus, ...] = listed(ClusterStatus)
    #: nodes that changed
    nodes: tuple[NodeView, ...] = listed(NodeView)
    #: names of nodes that are no more
    gone: tuple[str, ...] = ()
    #: whether the queue changed; then the whole of it, pending jobs first, as many as are worth showing
    queue_changed: bool = False
    jobs: tuple[JobView, ...] = listed(JobView)
    #: how many jobs are in the queue
    jobs_total: int = 0
    apiVersion: str = VERSION  # noqa: N815


@dataclass(frozen=True, slots=True)
class NodeCount:
    """So many nodes in one state; those without a VM have no site."""

    site: str
    pool: str
    state: str
    count: int


@dataclass(frozen=True, slots=True)
class JobCount:
    """So many pending jobs that wait for the same."""

    verdict: str
    count: int


@dataclass(frozen=True, slots=True)
class MomentView:
    """The cluster in numbers at one moment of the past."""

    at: str
    #: nodes that were off are left out
    nodes: tuple[NodeCount, ...] = listed(NodeCount)
    waiting: tuple[JobCount, ...] = listed(JobCount)
    running: int = 0
    cost_per_hour: float = 0.0


@dataclass(frozen=True, slots=True)
class HistoryList:
    """Moments a minute apart, oldest first; gaps are times without a daemon."""

    moments: tuple[MomentView, ...] = listed(MomentView)
    currency: str = ""
    #: give this as ``cursor`` to get later ones; empty: there are none
    next: str = ""
    apiVersion: str = VERSION  # noqa: N815
