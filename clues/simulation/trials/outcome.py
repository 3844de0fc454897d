"""What is measured of a trial, and how it is reckoned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

#: A job shorter than this counts as so long in its slowdown, as in the literature (10 s).
BOUND = 10.0


@dataclass
class Share:
    """One pool or site. Hours are node-hours; ``cpu_hours`` those that jobs used, of those that were bought."""

    vms: int = 0
    cost: float = 0.0
    hours: float = 0.0
    used_hours: float = 0.0
    cpu_hours: float = 0.0
    cpu_hours_bought: float = 0.0

    @property
    def utilisation(self) -> float:
        return self.cpu_hours / self.cpu_hours_bought if self.cpu_hours_bought else 0.0

    def as_json(self) -> dict[str, float]:
        return {
            "vms": self.vms,
            "cost": round(self.cost, 2),
            "node_hours": round(self.hours, 2),
            "node_hours_used": round(self.used_hours, 2),
            "node_hours_wasted": round(self.hours - self.used_hours, 2),
            "utilisation": round(self.utilisation, 4),
        }


@dataclass
class Outcome:
    """One policy on one trace."""

    name: str
    currency: str = "EUR"
    waits: list[float] = field(default_factory=list)
    slowdowns: list[float] = field(default_factory=list)
    unfinished: int = 0
    misfits: int = 0
    total: Share = field(default_factory=Share)
    pools: dict[str, Share] = field(default_factory=dict)
    sites: dict[str, Share] = field(default_factory=dict)
    #: (seconds, nodes up, jobs waiting, cost so far)
    series: list[tuple[float, int, int, float]] = field(default_factory=list)
    #: real seconds that it took, and events that happened
    took: float = 0.0
    events: int = 0
    #: it is re-implemented from published rules, or a bound that nobody can reach
    remark: str = ""

    def add_job(self, wait: float, runs: float) -> None:
        """Count a job that has ended."""
        self.waits.append(wait)
        self.slowdowns.append(max(1.0, (wait + runs) / max(runs, BOUND)))

    @property
    def mean_wait(self) -> float:
        return sum(self.waits) / len(self.waits) if self.waits else 0.0

    @property
    def mean_slowdown(self) -> float:
        return sum(self.slowdowns) / len(self.slowdowns) if self.slowdowns else 0.0

    def wait_at(self, share: float) -> float:
        """Return the wait that this share of the jobs did not exceed."""
        return percentile(self.waits, share)

    def as_json(self) -> dict[str, Any]:
        return {
            "policy": self.name,
            "remark": self.remark,
            "jobs": len(self.waits),
            "jobs_unfinished": self.unfinished,
            "jobs_that_fit_no_pool": self.misfits,
            "wait_mean_seconds": round(self.mean_wait, 1),
            "wait_median_seconds": round(self.wait_at(0.5), 1),
            "wait_p95_seconds": round(self.wait_at(0.95), 1),
            "bounded_slowdown_mean": round(self.mean_slowdown, 3),
            "currency": self.currency,
            **self.total.as_json(),
            "pools": {name: one.as_json() for name, one in self.pools.items()},
            "sites": {name: one.as_json() for name, one in self.sites.items()},
            "simulated_events": self.events,
            "took_seconds": round(self.took, 1),
        }


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that this share of *values* does not exceed; 0 of none."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
