"""Quiet time: when a daemon that naps looks again, so that a year of jobs takes minutes.

A tick that would do nothing is left out. Which those are is told from the world itself, by rules that may wake the
daemon in vain but never let it miss anything:

* jobs that Slurm has started at its next pass need nobody, and neither does what ends while nothing waits, but for
  the moment from which an idle node's time runs;
* while jobs wait the daemon looks after every pass of Slurm's, unless its last look found no node and no offer for
  anything more, and since then nothing of that has changed;
* a node that changes, a VM that enrols or ends, and every answer to a call wake it in its usual rhythm;
* and where time alone can matter it wakes by itself: when an idle node's time is up, when a breaker closes, when a
  pool's window opens or closes, and every minute while a VM is on its way.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from clues.model import Claim, ClaimState, Published
from clues.planner.market import standings
from clues.planner.supply.warm import warm_wanted
from clues.simulation.sameness import ON_THEIR_WAY
from clues.simulation.sleeper import Sleeper
from clues.simulation.slurm import SimSlurm
from clues.simulation.slurm_parts import JobState, SimJob
from clues.simulation.timeline import Event, Timeline

#: While something is on its way, and nothing happens to it, it is looked at so often, in seconds; while jobs wait.
DOZE, PATIENCE = 60.0, 300.0
#: From Slurm's pass, or another change, to the look that it causes.
SOON, CHANGED = 0.2, 1.0
#: After the end of a node's last job it is looked at within this time: idle times are counted from there.
LEISURE = 10.0
#: Windows of nodes that are kept warm are looked at so far ahead, in minutes.
WINDOWS = 360
#: The longest nap.
DAY = 86400.0


class Naps:
    """Between one daemon and what happens in Slurm."""

    def __init__(self, time: Timeline, slurm: SimSlurm, daemon: Sleeper) -> None:
        self._time, self._slurm, self._daemon = time, slurm, daemon
        self._poke: Event | None = None
        self._glance: Event | None = None
        #: the tick after which nothing more could be bought, and how often the ledger had been written then
        self._full_at: tuple[int, int] | None = None
        self._asked = -1
        #: until then no pool's windows open or close
        self._same_until = 0.0
        slurm.on_change = lambda: self.poke(CHANGED)
        slurm.on_waiting, slurm.on_leisure = self._jobs_wait, self._job_left

    # --- what happens ---

    def cloud_changed(self, site: str) -> None:
        """A VM has ended, or its provider says so now."""
        if self._daemon.up:
            self._daemon.observer.hurry_listing(site)
            self._time.after(CHANGED, self._daemon.list_now)

    def poke(self, within: float) -> None:
        """Something happened that the daemon has to see."""
        if not self._daemon.up:
            return
        at = self._time.passed + within
        if self._poke is not None:
            if self._poke.deed is not None and self._poke.at <= at:
                return
            self._poke.cancel()
        self._poke = self._time.at(at, self._poked)

    def _poked(self) -> None:
        self._poke = None
        if self._is_as_seen():
            self._daemon.rest()
        else:
            self._daemon.look_now()

    def _is_as_seen(self) -> bool:
        """Whether a look would show what the last one did."""
        seen = self._daemon.observer.snapshot
        if seen.value is None or seen.error or self._slurm.touched:
            return False
        return [job.id for job in seen.value.jobs if job.pending] == [
            job.id for job in self._slurm.active.values() if job.state is JobState.PENDING
        ]

    def _jobs_wait(self) -> None:
        """A pass of Slurm's has left jobs in the queue."""
        if not self._nothing_to_be_had():
            self.poke(SOON)

    def _job_left(self, job: SimJob) -> None:
        """A job has ended: what waits for its place starts at Slurm's next pass. If nothing does, the node is idle."""
        idle = any(not self._slurm.nodes[name].jobs for name in job.on)
        if idle and (self._glance is None or self._glance.deed is None):
            self._glance = self._time.after(LEISURE, self._look_around)

    def _look_around(self) -> None:
        self._glance = None
        daemon = self._daemon
        for claim in daemon.books.claims.values():
            if claim.state is ClaimState.READY and self._is_idle(claim) and self._was_busy(claim):
                daemon.look_now()
                return

    # --- how long ---

    def lasts(self, published: Published) -> float:
        """Return until when nothing can come of time alone, after a tick that did nothing, in the world's seconds."""
        now, daemon, plan = self._time.passed, self._daemon, published.plan
        ends = [now + DAY, self._windows_end(now)]
        for claim in daemon.books.claims.values():
            if claim.state in ON_THEIR_WAY or (
                claim.state is ClaimState.READY and plan.again_at is None and self._is_idle(claim)
            ):
                ends.append(now + DOZE)
        if plan.again_at is not None:
            again = self._time.seconds(plan.again_at)
            ends.append(again if again > now else now + DOZE)
        pending = any(outlook.verdict.value in ("blocked", "buying") for outlook in plan.outlooks.values())
        if pending or daemon.books.memory.misread:
            later = [self._time.seconds(one.until) for one in daemon.books.memory.breakers.values()]
            ends += [one for one in later if one > now]
            ends.append(now + PATIENCE)
        return min(ends) + 0.01

    def _was_busy(self, claim: Claim) -> bool:
        """Whether the daemon does not know yet that the node is idle, or since when."""
        node = self._slurm.nodes.get(claim.node)
        last = node.last_busy if node is not None else None
        return claim.idle_since is None or (last is not None and last > claim.idle_since)

    def _windows_end(self, now: float) -> float:
        """Return when a pool may be to keep more nodes warm, or fewer."""
        pools = self._daemon.reconciler.settings.pools.values()
        if not any(warm.windows for pool in pools for warm in pool.keep_warm):
            return now + DAY
        if self._same_until <= now:
            view = self._daemon.reconciler.view()
            moments = (view.now.replace(second=0) + timedelta(minutes=1) * passed for passed in range(1, WINDOWS + 1))
            wanted = [warm_wanted(view, pool) for pool in pools]
            changed = (at for at in moments if [warm_wanted(replace(view, now=at), pool) for pool in pools] != wanted)
            end = next(changed, None)
            self._same_until = now + 60.0 * WINDOWS if end is None else self._time.seconds(end)
        return self._same_until

    def _is_idle(self, claim: Claim) -> bool:
        node = self._slurm.nodes.get(claim.node)
        return node is None or not node.jobs

    def _nothing_to_be_had(self) -> bool:
        """Whether the last tick did nothing for the jobs that wait as there is no node, or no offer, for any more; and
        nothing of that has changed since."""
        daemon, published = self._daemon, self._daemon.reconciler.published
        if published is None or published.plan.actions or not published.plan.outlooks:
            return False
        now = (published.ticks, daemon.ledger.changes)
        if self._full_at is not None and self._full_at[1] == now[1]:
            return True
        if self._asked == published.ticks or published.plan.claims:
            return False
        self._asked = published.ticks
        if any(claim.state in ON_THEIR_WAY for claim in daemon.books.claims.values()):
            return False
        if all(one.could_start == 0 for one in standings(published, daemon.clock.now())):
            self._full_at = now
            return True
        return False


__all__ = ["Naps"]
