"""When room comes free: running jobs end, nodes that boot are there, and whoever is ahead in the queue takes it first.

One :class:`Horizon` plays the queue once, in seconds from now.  Nodes are kept with what of them comes free when, as
shares of the node; a job takes the nodes that have its share first, and gives it back when it ends.  A share is rounded
up to a half, a quarter, ...: so nodes are searched in few heaps, and the work goes with the number of jobs, not with
jobs times nodes.  Times only ever get later, so an entry that has become too early is put right when it turns up.

That is Slurm's FIFO by priority.  What its backfill lets slip in between is not played: it makes starts earlier.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from math import ceil, inf, log2

from clues.model import Resources
from clues.planner.forecasts.spans import Span

#: Shares are not told apart finer than this.
_LEAST_SHARE = 1 / 64
_EPSILON = 1e-6


@dataclass(frozen=True, slots=True)
class Ask:
    """What a job takes where it can: so many nodes of these kinds, and that share of each."""

    kinds: tuple[int, ...]
    nodes: int
    share: float


def share_of(part: Resources, whole: Resources) -> float:
    """Return which share of a node a job takes: that of what it takes most of."""
    shares = [part.cpus / whole.cpus if whole.cpus else 0.0]
    shares.append(part.memory_mib / whole.memory_mib if whole.memory_mib else 0.0)
    shares.append(part.gpu_count / whole.gpu_count if whole.gpu_count else 0.0)
    return min(1.0, max(shares))


def rounded(share: float) -> float:
    """Return the next half, quarter, ... that is no less than *share*."""
    return 2.0 ** ceil(log2(max(share, _LEAST_SHARE)) - _EPSILON)


class Ground:
    """Nodes with what of them comes free when, in each of the ways in which the queue may go on."""

    def __init__(self) -> None:
        self.frees: dict[str, Sequence[tuple[Span, float]]] = {}
        #: by kind, the nodes that come free as a whole (as most do: one job holds them), and the others
        self.whole: dict[int, list[tuple[Span, str]]] = {}
        self.in_parts: dict[int, list[str]] = {}

    def add(self, name: str, kind: int, frees: Sequence[tuple[Span, float]]) -> None:
        """Add a node.

        :param frees: when (in each of the ways) which share of it comes free. What never does is left out; when all
            has come, all is free.
        """
        self.frees[name] = frees
        if len(frees) == 1:
            self.whole.setdefault(kind, []).append((frees[0][0], name))
        else:
            self.in_parts.setdefault(kind, []).append(name)

    def when_free(self, name: str, way: int) -> list[tuple[float, float]]:
        """Return when which share of a node comes free in one of the ways, the soonest first."""
        events = sorted([(span[way], share) for span, share in self.frees[name]])
        if events[-1:] and events[-1][0] == inf:
            return [one for one in events if one[0] != inf]
        rest = 1.0 - sum(share for _, share in events)
        if events and rest > _EPSILON:
            events[-1] = (events[-1][0], events[-1][1] + rest)
        return events


class Horizon:
    """One way in which the queue may go on."""

    def __init__(self, ground: Ground, way: int) -> None:
        """:param way: its place in the spans of the ground."""
        self._ground, self._way = ground, way
        #: of the nodes that were looked at: (when, which share of it comes free), ascending; None: nothing ever does
        self._free: dict[str, list[tuple[float, float]] | None] = {}
        self._heaps: dict[tuple[int, float], list[tuple[float, str]]] = {}
        self._whole: dict[int, list[tuple[float, str]]] = {}
        #: nodes that were taken so far: the work that was done
        self.work = 0

    def occupy(self, names: Iterable[str], share: float, start: float, run: float) -> None:
        """Have a job take its share of these nodes from *start* for *run* seconds; to be done before any :meth:`take`
        that comes after it in the queue."""
        for name in names:
            events = self._events(name)
            if events is not None:
                _consume(events, share, start)
                if start + run != inf:
                    insort(events, (start + run, share))

    def take(self, asks: Sequence[Ask], run: float) -> float:
        """Return when a job finds its nodes, and have it take them for *run* seconds.

        :param asks: where it could; the place where that is soonest is taken. *inf*: nowhere that can be told.
        """
        best, chosen, picked = inf, None, list[tuple[float, str, int]]()
        for ask in asks:
            found = self._pick(ask)
            at = found[-1][0] if len(found) == ask.nodes else inf
            if at < best:
                if chosen is not None:
                    self._put_back(picked, chosen.share)
                best, chosen, picked = at, ask, found
            else:
                self._put_back(found, ask.share)
        if chosen is not None:
            self.occupy((name for _, name, _ in picked), chosen.share, best, run)
            self._put_back(picked, chosen.share)
            self.work += chosen.nodes
        return best

    def _pick(self, ask: Ask) -> list[tuple[float, str, int]]:
        heaps = [(self._heap(kind, ask.share), kind) for kind in ask.kinds]
        found: list[tuple[float, str, int]] = []
        while len(found) < ask.nodes:
            heap, kind = min(heaps, key=lambda one: one[0][0] if one[0] else (inf, "")) if len(heaps) > 1 else heaps[0]
            if not heap:
                break
            at, name = heappop(heap)
            now = self._when(name, ask.share)
            if now > at:  # somebody has taken of it since
                if now != inf:
                    heappush(heap, (now, name))
                continue
            found.append((at, name, kind))
        return found

    def _heap(self, kind: int, share: float) -> list[tuple[float, str]]:
        heap = self._heaps.get((kind, share))
        if heap is None:
            whole, free = self._whole_of(kind), self._free
            heap = [one for one in whole if one[1] not in free]
            others = [*self._ground.in_parts.get(kind, ()), *(name for _, name in whole if name in free)]
            self._heaps[kind, share] = heap
            for name in others:
                at = _when(self._events(name) or (), share)
                if at != inf:
                    heappush(heap, (at, name))
        return heap

    def _whole_of(self, kind: int) -> list[tuple[float, str]]:
        """Return when each node comes free that does so as a whole, the soonest first (which is a heap, too)."""
        found = self._whole.get(kind)
        if found is None:
            times = [(span[self._way], name) for span, name in self._ground.whole.get(kind, ())]
            found = self._whole[kind] = sorted(one for one in times if one[0] != inf)
        return found

    def _events(self, name: str) -> list[tuple[float, float]] | None:
        if name not in self._free:
            self._free[name] = (self._ground.when_free(name, self._way) or None) if name in self._ground.frees else None
        return self._free[name]

    def _when(self, name: str, share: float) -> float:
        """Return when so much of a node is free."""
        if name not in self._free and len(frees := self._ground.frees[name]) == 1:
            return frees[0][0][self._way]
        return _when(self._events(name) or (), share)

    def _put_back(self, found: Iterable[tuple[float, str, int]], share: float) -> None:
        for at, name, kind in found:
            heappush(self._heaps[kind, share], (at, name))


def _when(events: Sequence[tuple[float, float]], share: float) -> float:
    """Return when so much of a node is free."""
    free = 0.0
    for at, amount in events:
        free += amount
        if free >= share - _EPSILON:
            return at
    return inf


def _consume(events: list[tuple[float, float]], share: float, start: float) -> None:
    """Take a share out of what is free by *start*, the latest first: the rest stays for others to use sooner."""
    for place in range(len(events) - 1, -1, -1):
        at, amount = events[place]
        if at > start + _EPSILON:
            continue
        used = min(amount, share)
        share -= used
        if amount - used <= _EPSILON:
            del events[place]
        else:
            events[place] = (at, amount - used)
        if share <= _EPSILON:
            return
