"""What the cluster was like at a moment in the past."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Moment:
    """The cluster in numbers at one moment."""

    at: datetime
    #: nodes that were not off, as (site, pool, state, how many); a node without a VM has no site
    nodes: tuple[tuple[str, str, str, int], ...] = ()
    #: pending jobs as (verdict, how many)
    waiting: tuple[tuple[str, int], ...] = ()
    running: int = 0
    #: in the cluster's currency
    cost_per_hour: float = 0.0
