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
from heapq import heapify, heappop, heappush
from math import ceil, inf, log2

from clues.model import Resources

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


class Horizon:
    """One way in which the queue may go on."""

    def __init__(self) -> None:
        #: by node: (when, which share of it comes free), ascending; and its kind
        self._free: dict[str, list[tuple[float, float]]] = {}
        self._by_kind: dict[int, list[str]] = {}
        self._heaps: dict[tuple[int, float], list[tuple[float, str]]] = {}
        #: nodes that were taken so far: the work that was done
        self.work = 0

    def add(self, name: str, kind: int, frees: Iterable[tuple[float, float]]) -> None:
        """Add a node with what of it comes free when; what never does is left out. When all has come, all is free."""
        known = events = sorted(frees)
        if events[-1:] and events[-1][0] == inf:
            known = [one for one in events if one[0] != inf]
        elif events:
            rest = 1.0 - (events[0][1] if len(events) == 1 else sum(share for _, share in events))
            if rest > _EPSILON:
                known[-1] = (known[-1][0], known[-1][1] + rest)
        if known:
            self._free[name] = known
            self._by_kind.setdefault(kind, []).append(name)

    def occupy(self, names: Iterable[str], share: float, start: float, run: float) -> None:
        """Have a job take its share of these nodes from *start* for *run* seconds; to be done before any :meth:`take`
        that comes after it in the queue."""
        for name in names:
            events = self._free.get(name)
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
            now = _when(self._free[name], ask.share)
            if now > at:  # somebody has taken of it since
                if now != inf:
                    heappush(heap, (now, name))
                continue
            found.append((at, name, kind))
        return found

    def _heap(self, kind: int, share: float) -> list[tuple[float, str]]:
        heap = self._heaps.get((kind, share))
        if heap is None:
            times = ((_when(self._free[name], share), name) for name in self._by_kind.get(kind, ()))
            heap = self._heaps[kind, share] = [one for one in times if one[0] != inf]
            heapify(heap)
        return heap

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
