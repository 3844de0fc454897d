"""The meter: who had a VM for how long, and how much of it jobs used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from clues.model import Billing, Pool, Resources
from clues.planner.money.billing import charged
from clues.simulation.slurm.controller import SimSlurm
from clues.simulation.slurm.parts import OVER, SimJob
from clues.simulation.timeline import Timeline
from clues.simulation.trials.outcome import Outcome, Share


@dataclass
class _Use:
    """One node's VM."""

    began: float
    site: str
    price: float
    shape: Resources
    pool: str
    billing: Billing
    busy_since: float | None = None
    busy: float = 0.0

    def cost(self, seconds: float) -> float:
        """Return what the provider charges for its first seconds."""
        return self.price * (charged(self.billing, timedelta(seconds=seconds)) / timedelta(hours=1))


class Meter:
    """Fills an :class:`Outcome` as jobs start and end, and VMs come and go."""

    def __init__(self, time: Timeline, slurm: SimSlurm, pools: Mapping[str, Pool], outcome: Outcome) -> None:
        self._time, self._slurm, self.outcome = time, slurm, outcome
        self._pool_of = {name: pool.name for pool in pools.values() for name in pool.nodes}
        self._using: dict[str, _Use] = {}
        self._site_of_node: dict[str, str] = {}
        self._cost = 0.0
        for name, pool in pools.items():
            outcome.pools[name] = Share()
            for offer in pool.offers:
                outcome.sites.setdefault(offer.site, Share())

    # --- VMs ---

    def vm_made(
        self, name: str, node: str, site: str, price: float, shape: Resources, billing: Billing | None = None
    ) -> None:
        """A VM begins to cost."""
        pool = self._pool_of.get(node, "")
        self._using[name] = _Use(self._time.passed, site, price, shape, pool, billing or Billing())
        self._site_of_node[node] = name

    def vm_ended(self, name: str) -> None:
        """A VM costs no more."""
        use = self._using.pop(name, None)
        if use is None:
            return
        self._idle(use)
        seconds = self._time.passed - use.began
        cost = use.cost(seconds)
        self._cost += cost
        for share in self._shares(use):
            share.vms += 1
            share.cost += cost
            share.hours += seconds / 3600 if use.pool else 0.0
            share.used_hours += use.busy / 3600
            share.cpu_hours_bought += use.shape.cpus * seconds / 3600 if use.pool else 0.0

    def _shares(self, use: _Use) -> list[Share]:
        found = [self.outcome.total, self.outcome.sites.setdefault(use.site, Share())]
        return [*found, self.outcome.pools[use.pool]] if use.pool else found

    def _idle(self, use: _Use) -> None:
        if use.busy_since is not None:
            use.busy += self._time.passed - use.busy_since
            use.busy_since = None

    # --- jobs ---

    def job_starts(self, job: SimJob) -> None:
        """Its nodes are busy from now on."""
        for node in job.on:
            use = self._using.get(self._site_of_node.get(node, ""))
            if use is not None and use.busy_since is None:
                use.busy_since = self._time.passed

    def job_ended(self, job: SimJob) -> None:
        """Count it, and what it used."""
        started = job.started if job.started is not None else self._time.passed
        for node in job.on:
            use = self._using.get(self._site_of_node.get(node, ""))
            if use is None:
                continue
            hours = job.need.cpus * (self._time.passed - started) / 3600
            for share in self._shares(use):
                share.cpu_hours += hours
            if not self._slurm.nodes[node].jobs:
                self._idle(use)
        if job.state in OVER and job.first_started is not None:
            self.outcome.add_job(job.first_started - job.submitted, job.runs)

    # --- over time ---

    def sample(self) -> None:
        """Put down where things are."""
        running = sum(use.cost(self._time.passed - use.began) for use in self._using.values())
        up = sum(1 for use in self._using.values() if use.pool)
        self.outcome.series.append((self._time.passed, up, len(self._slurm.queue), self._cost + running))

    def close(self) -> None:
        """The end: what still runs is counted up to now."""
        for name in list(self._using):
            self.vm_ended(name)
        self.outcome.unfinished = len(self._slurm.active)
