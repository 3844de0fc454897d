"""Quiet time: when a daemon that naps looks again, so that a year of jobs takes minutes.

A tick that would do nothing is left out. Which those are is told from the world itself, by rules that may wake the
daemon in vain but never let it miss anything:

* jobs that Slurm has started at its next pass need nobody, and neither does what ends while nothing waits;
* while jobs wait the daemon looks after every pass of Slurm's, unless the same jobs waited at its last look and all
  were to get their nodes; or that found no node and no offer for anything more, and nothing of that has changed since;
* a node that changes, a VM that ends, and every answer that is an error, or of which more may come, wake it in its
  usual rhythm (``quiet.py``);
* and where time alone can matter it wakes by itself: when an idle node's time is up (``idling.py``),
  when a breaker closes, when a pool's window opens or closes, and when a VM on its way has had its time.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from clues.model import Claim, ClaimState, ClusterSnapshot, Job, Kind, Published, Verdict
from clues.planner.market import standings
from clues.planner.queue.reasons import REASONS, Need, first_word
from clues.planner.supply.warm import warm_wanted
from clues.simulation.naps.idling import Idling
from clues.simulation.naps.sleeper import Sleeper
from clues.simulation.slurm.controller import SimSlurm
from clues.simulation.slurm.parts import JobState, SimJob
from clues.simulation.timeline import Event, Timeline

#: While something leaves, and nothing happens to it, it is looked at so often, in seconds; while something comes, or
#: jobs wait.
DOZE, PATIENCE = 60.0, 300.0
#: Claims of which the next thing that happens is told by the world; those that go on by themselves.
_PATIENT = frozenset({ClaimState.LAUNCHING, ClaimState.BOOTING, ClaimState.JOINING, ClaimState.DRAINING})
_IMPATIENT = frozenset({ClaimState.PLANNED, ClaimState.DRAINING, ClaimState.STOPPING, ClaimState.FAILED})
#: From Slurm's pass, or another change, to the look that it causes.
SOON, CHANGED = 0.2, 1.0
#: Windows of nodes that are kept warm are looked at so far ahead, in minutes.
WINDOWS = 360
#: The longest nap.
DAY = 86400.0

#: A job that waits: its id, how many tasks of it may start, and what for.
_Waiting = tuple[str, int, str]


class Naps:
    """Between one daemon and what happens in Slurm."""

    def __init__(self, time: Timeline, slurm: SimSlurm, daemon: Sleeper) -> None:
        self._time, self._slurm, self._daemon = time, slurm, daemon
        self._poke: Event | None = None
        #: what the daemon saw of the queue when it last decided
        self._queue_seen: tuple[ClusterSnapshot | None, list[_Waiting]] = (None, [])
        self.idling = Idling(time, slurm, daemon)
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
        if self._waits_as_seen() and not self._is_used_first():
            return  # what has ended meanwhile made room, and nothing of the queue has use for it
        if not self._nothing_to_be_had():
            self.poke(SOON)

    def _waits_as_seen(self) -> bool:
        """Whether the last decision was made for the very jobs that wait now, and each was to get its nodes. One that
        could not have them all may have them now, with those that have been left since."""
        seen, published = self._daemon.observer.snapshot, self._daemon.reconciler.published
        if seen.value is None or seen.error or published is None:
            return False
        if any(outlook.verdict is Verdict.BLOCKED for outlook in published.plan.outlooks.values()):
            return False
        if self._queue_seen[0] is not seen.value:
            self._queue_seen = (seen.value, [_waiting(job) for job in seen.value.jobs if job.pending])
        now = self._slurm.job_pictures()
        return self._queue_seen[1] == [_waiting(job) for job in now if job.pending]

    def _is_used_first(self) -> bool:
        """Whether a node has got its first job, which the daemon does not know yet."""
        return any(
            claim.state is ClaimState.READY and claim.used_at is None and not self._is_idle(claim)
            for claim in self._daemon.books.claims.values()
        )

    def _job_left(self, job: SimJob) -> None:
        """A job has ended: what waits for its place starts at Slurm's next pass. If nothing does, the node is idle."""
        if any("DRAIN" in node.flags and not node.jobs for node in map(self._slurm.nodes.__getitem__, job.on)):
            self.poke(CHANGED)  # it can be powered off
        self.idling.job_left(job)

    def tunnels_changed(self) -> None:
        """A router's tunnel has come up, or gone."""
        if self._daemon.up:
            self._daemon.observer.poll_tunnels()
            self._daemon.list_now()

    # --- how long ---

    def lasts(self, published: Published) -> float:
        """Return until when nothing can come of time alone, after a decision, in the world's seconds."""
        now, daemon, plan = self._time.passed, self._daemon, published.plan
        ends = [now + DAY, self._windows_end(now)]
        again = None if plan.again_at is None else self._time.seconds(plan.again_at)
        again = now + DOZE if again is not None and again <= now else again
        self.idling.decided(again)
        if not self.idling.is_simple:
            ends += [again] if again is not None else []
        ends += [end for claim in daemon.books.claims.values() if (end := self._deadline(claim, now)) is not None]
        pending = any(outlook.verdict.value in ("blocked", "buying") for outlook in plan.outlooks.values())
        if pending or daemon.books.memory.misread:
            later = [self._time.seconds(one.until) for one in daemon.books.memory.breakers.values()]
            ends += [one for one in later if one > now]
            ends.append(now + PATIENCE)
        return min(ends) + 0.01

    def _deadline(self, claim: Claim, now: float) -> float | None:
        """Return when a claim may move although nothing happens; None: never."""
        if claim.state is ClaimState.READY:
            return now + DOZE if claim.kind is Kind.ROUTER else None
        if claim.state not in _PATIENT or claim.kind is Kind.ROUTER:
            return now + DOZE
        pool = self._daemon.reconciler.settings.pools.get(claim.pool)
        if pool is None:
            return now + DOZE
        times = [
            (claim.launched_at or claim.since) + pool.boot_deadline,
            claim.since + pool.join_deadline,
            (claim.ready_at or claim.since) + pool.boot_deadline + pool.join_deadline,
        ]
        return min([now + PATIENCE, *(at for at in map(self._time.seconds, times) if at > now)])

    def goes_on(self, published: Published) -> bool:
        """Whether a claim that has just moved may move on at the next look without an answer to wait for."""
        plan = published.plan
        told: set[str] = set()
        for action in plan.actions:
            told.update(getattr(action, "nodes", ()))
            told.add(getattr(action, "key", ""))
        return any(
            claim.state in _IMPATIENT and claim.node not in told and claim.key not in told for claim in plan.claims
        )

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
        if any(claim.state is not ClaimState.READY for claim in daemon.books.claims.values()):
            return False
        if all(one.could_start == 0 for one in standings(published, daemon.clock.now())):
            self._full_at = now
            return True
        return False


def _waiting(job: Job) -> _Waiting:
    reason = first_word(job.reason)
    return job.id, job.count, "nodes" if REASONS.get(reason) is Need.NODES else reason


__all__ = ["Naps"]
