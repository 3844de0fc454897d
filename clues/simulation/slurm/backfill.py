"""Which pending jobs start now, and where: priority FIFO with EASY backfill, over the nodes that are open.

The first job that cannot start gets a reservation at the earliest moment at which its nodes will be free, by the time
limits of the jobs that hold them.  A later job starts only if it does not delay that one.  As in Slurm 22.05, closed
nodes are in nobody's reckoning: while a job's nodes are not there, nothing is kept for it, and a lesser one may take
what was opened first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf

from clues.simulation.slurm.parts import SimJob, SimNode, SimReservation

Start = Callable[[SimJob, list[SimNode]], None]


class Scheduler:
    """One pass over the queue."""

    def __init__(
        self,
        nodes: Mapping[str, SimNode],
        by_partition: Mapping[str, Sequence[SimNode]],
        reservations: Iterable[SimReservation],
        now: float,
        depth: int,
    ) -> None:
        self._nodes, self._by_partition, self._now, self._depth = nodes, by_partition, now, depth
        self._reservations = [one for one in reservations if one.end > now]
        #: nodes with something free, by partition, fullest first
        self._room: dict[str, list[SimNode]] = {}

    def run(self, queue: Sequence[SimJob], start: Start) -> int:
        """Start what can start; return how many did. *start* takes the nodes and may split an array."""
        started, tried = 0, 0
        shadow, kept, head = inf, frozenset[str](), False
        failed: set[tuple[object, ...]] = set()
        for job in queue:
            if tried >= self._depth:
                break
            if job.held or job.eligible > self._now:
                continue
            tried += 1
            while job.startable() > 0 and job.state.value == "PENDING":
                in_time = self._now + (inf if job.limit is None else job.limit) <= shadow
                mark = (*job.kind, in_time, job.limit if self._reservations else None)
                chosen = None if mark in failed else self._find(job, frozenset() if in_time else kept)
                if chosen is None:
                    failed.add(mark)
                    if not head:
                        head = True
                        shadow, kept = self._reserve(job)
                        failed.clear()  # what failed as the head may fit beside it
                    break
                start(job, chosen)
                started += 1
                for node in chosen:
                    if not self._has_room(node):
                        self._room[job.partition].remove(node)
                if not job.tasks and job.state.value != "PENDING":
                    break
        return started

    def _find(self, job: SimJob, without: frozenset[str]) -> list[SimNode] | None:
        chosen: list[SimNode] = []
        wanted = frozenset(job.constraint.split("&")) if job.constraint else frozenset()
        for node in self._rooms(job.partition):
            if node.name in without or not self._fits(job, node, wanted):
                continue
            chosen.append(node)
            if len(chosen) == job.nodes:
                return chosen
        return None

    def _rooms(self, partition: str) -> list[SimNode]:
        rooms = self._room.get(partition)
        if rooms is None:
            rooms = [node for node in self._by_partition.get(partition, ()) if self._has_room(node)]
            # what is up comes before what would have to be powered up, the fullest first
            rooms.sort(
                key=lambda node: (
                    "POWERED_DOWN" in node.flags,
                    node.capacity.gpu_count,
                    node.capacity.cpus - node.used.cpus,
                    node.name,
                )
            )
            self._room[partition] = rooms
        return rooms

    def _has_room(self, node: SimNode) -> bool:
        # most nodes are closed
        if "DRAIN" in node.flags or not node.open:
            return False
        return node.used.cpus < node.capacity.cpus and not (node.jobs and node.completing)

    def _fits(self, job: SimJob, node: SimNode, wanted: frozenset[str]) -> bool:
        if not wanted <= node.active or (job.exclusive and node.jobs):
            return False
        if node.jobs and any(other.exclusive for other in node.jobs.values()):
            return False
        ends = inf if job.limit is None else self._now + job.limit
        if any(node.name in one.nodes and one.start < ends for one in self._reservations):
            return False
        return job.need.fits_in(node.capacity.minus(node.used) if node.jobs else node.capacity)

    def _reserve(self, job: SimJob) -> tuple[float, frozenset[str]]:
        """Return when the first job can start at the earliest and on which nodes; never, if they are not there."""
        wanted = frozenset(job.constraint.split("&")) if job.constraint else frozenset()
        times: list[tuple[float, str]] = []
        for node in self._by_partition.get(job.partition, ()):
            if "DRAIN" in node.flags or not node.serving or not wanted <= node.active:
                continue
            if (when := self._past_maintenance(job, node, self._free_at(job, node))) < inf:
                times.append((when, node.name))
        if len(times) < job.nodes:
            return inf, frozenset()
        times.sort()
        chosen = times[: job.nodes]
        return chosen[-1][0], frozenset(name for _, name in chosen)

    def _past_maintenance(self, job: SimJob, node: SimNode, when: float) -> float:
        ends = when + (inf if job.limit is None else job.limit)
        crossed = [one.end for one in self._reservations if node.name in one.nodes and one.start < ends]
        return max([when, *crossed])

    def _free_at(self, job: SimJob, node: SimNode) -> float:
        left = node.capacity.minus(node.used)
        if (job.need.fits_in(left) and not job.exclusive) or not node.jobs:
            return self._now if job.need.fits_in(node.capacity) else inf
        for other in sorted(node.jobs.values(), key=lambda one: (_ends(one), one.id)):
            left = left.plus(other.need)
            if job.need.fits_in(left) and not job.exclusive:
                return max(self._now, _ends(other))
        return max(self._now, max(map(_ends, node.jobs.values()))) if job.need.fits_in(node.capacity) else inf


def _ends(job: SimJob) -> float:
    return inf if job.limit is None or job.started is None else job.started + job.limit
