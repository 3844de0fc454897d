"""When an idle node's time is up: told from the world, so that nobody looks at nodes that have long been busy again.

The daemon counts a node's idle time from when Slurm says that it was last busy, so it does not have to see the node
fall idle, as long as it looks once that time may have passed.
"""

from __future__ import annotations

from clues.model import Claim, ClaimState, Mode, Settings
from clues.simulation.naps.sleeper import Sleeper
from clues.simulation.slurm.controller import SimSlurm
from clues.simulation.slurm.parts import SimJob
from clues.simulation.timeline import Event, Timeline

#: Where more than the idle time of its pool hangs on it, a node that has fallen idle is looked at within this time, in
#: seconds: as the daemon's own rhythm would.
LEISURE = 10.0
#: So much later than its moment it is looked, in seconds, so that it has come by any reckoning.
AFTER = 0.01


class Idling:
    """Wakes one daemon when an idle node may have to go."""

    def __init__(self, time: Timeline, slurm: SimSlurm, daemon: Sleeper) -> None:
        self._time, self._slurm, self._daemon = time, slurm, daemon
        self._event: Event | None = None
        self._again_at: float | None = None

    @property
    def is_simple(self) -> bool:
        """Whether an idle node goes by its pool's idle time and nothing else."""
        return is_simple(self._daemon.reconciler.settings)

    def job_left(self, job: SimJob) -> None:
        """A job has ended: if nothing else starts in its place, its nodes are idle from now on."""
        if any(not self._slurm.nodes[name].jobs for name in job.on):
            self._wake_at(self._time.passed + self._wait())

    def _wait(self) -> float:
        """Return how long a node that falls idle now need not be looked at, in seconds."""
        pools = self._daemon.reconciler.settings.pools.values()
        return min(pool.idle.total_seconds() for pool in pools) if pools and self.is_simple else LEISURE

    def opened(self) -> None:
        """Nodes were opened: what no job takes is idle from now on."""
        self._wake_at(self._time.passed + self._wait())

    def decided(self, again_at: float | None) -> None:
        """Heed what the last decision said of when the next idle node goes, in the world's seconds."""
        self._again_at = again_at
        if again_at is not None and self.is_simple:
            self._wake_at(again_at)

    def _wake_at(self, moment: float) -> None:
        if self._event is not None and self._event.deed is not None:
            if self._event.at <= moment + AFTER:
                return
            self._event.cancel()
        self._event = self._time.at(moment + AFTER, self._look_around)

    def _look_around(self) -> None:
        self._event = None
        claims = self._daemon.books.claims.values()
        dues = [due for claim in claims if claim.state is ClaimState.READY and (due := self._due(claim)) is not None]
        first = min(dues, default=None)
        if first is None:
            return
        if first <= self._time.passed:
            self._daemon.look_now()
        else:
            self._wake_at(first)

    def _due(self, claim: Claim) -> float | None:
        """Return when a node may have to go; None: not before something else happens."""
        node = self._slurm.nodes.get(claim.node)
        if node is None or node.jobs:
            return None
        settings = self._daemon.reconciler.settings
        pool, last = settings.pools.get(claim.pool), node.last_busy
        if claim.idle_since is None or (last is not None and last > claim.idle_since):  # the daemon does not know yet
            since = claim.since if last is None else max(last, claim.since)
            return self._time.passed if pool is None or not self.is_simple else self._time.seconds(since + pool.idle)
        if pool is None or self._again_at is None or not self.is_simple:
            return None
        return max(self._time.seconds(claim.idle_since + pool.idle), self._again_at)


def is_simple(settings: Settings) -> bool:
    """Return whether idle nodes go by their pool's idle time and nothing else."""
    return not any(
        pool.idle_auto
        or (pool.idle_by_price and len({offer.price_per_hour for offer in pool.offers}) > 1)
        or pool.consolidate
        or pool.max_age is not None
        or pool.keep_warm
        or pool.hold
        or pool.mode is Mode.EAGER
        for pool in settings.pools.values()
    )


__all__ = ["Idling"]
