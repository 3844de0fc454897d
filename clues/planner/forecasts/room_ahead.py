"""The room that there will be: all nodes that serve or soon will, with what of them comes free when.

Nodes alike in what jobs may run there have one number, their kind: so a class of jobs is held against kinds, and the
queue is played ahead over few heaps (:mod:`clues.planner.forecasts.horizon`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from clues.model import COMING, Claim, ClaimState, ClusterSnapshot, Job, Market, Node
from clues.planner.forecasts.horizon import Ask, Ground, Horizon, rounded, share_of
from clues.planner.forecasts.spans import NOW, UNKNOWN, Runs, Span
from clues.planner.queue.bins import Likes, Origin
from clues.planner.queue.features import pool_features
from clues.planner.queue.jobclass import JobClass
from clues.planner.queue.room import reservations_by_node
from clues.planner.view import View

_NOT_RESERVED = frozenset[str]()


class RoomAhead:
    """That room in each of the three ways in which the queue may go on, to be taken from in the queue's order."""

    def __init__(
        self,
        view: View,
        snapshot: ClusterSnapshot,
        claims: Mapping[str, Claim],
        runs: Runs,
        ready: Callable[[str], Span],
    ) -> None:
        """:param claims: by node.
        :param ready: tells how long until a node that starts can be opened.
        """
        self._view, self._snapshot, self._claims, self._runs, self._ready = view, snapshot, claims, runs, ready
        self._reserved = reservations_by_node(snapshot)
        self._kinds: dict[Likes, int] = {}
        self._kind_of: dict[str, int] = {}
        #: the numbers once more by what is quicker to look up, for nodes of pools
        self._of_pools: dict[tuple[str, str, Market, frozenset[str], frozenset[str]], int] = {}
        ground = self._ground()
        self.ways = Horizon(ground, 0), Horizon(ground, 1), Horizon(ground, 2)

    def asks(self, classed: JobClass) -> list[Ask]:
        """Return where jobs of a class could find nodes: at one site, unless they may span them."""
        places: dict[tuple[str, int, float], list[int]] = {}
        for likes, kind in self._kinds.items():
            layout = classed.layout_for(likes)
            if layout is not None:
                site = "" if classed.spans else likes.site
                places.setdefault((site, layout.nodes, rounded(share_of(layout.each, likes.size))), []).append(kind)
        return [Ask(tuple(kinds), nodes, share) for (_, nodes, share), kinds in places.items()]

    def occupy(self, job: Job, classed: JobClass, names: Iterable[str], start: Span) -> None:
        """Have a job take its share of these nodes from *start* on; to be done before later ones take theirs."""
        run = self._runs.of(job)
        layout = classed.options[0].layout if classed.options else None
        for name in names:
            kind = self._kind_of.get(name)
            if kind is None or layout is None:
                continue
            node = self._snapshot.nodes[name]
            share = rounded(share_of(layout.each, node.capacity))
            for world, begins, lasts in zip(self.ways, start, run, strict=True):
                world.occupy((name,), share, begins, lasts)

    def _ground(self) -> Ground:
        ends: dict[str, list[Span]] = {}
        for job in self._view.running:
            span = self._runs.rest(job)
            for name in job.nodes:
                ends.setdefault(name, []).append(span)
        ground = Ground()
        for name, node in self._snapshot.nodes.items():
            kind = self._kind(name, node)
            if kind is None:
                continue
            self._kind_of[name] = kind
            running = ends.get(name, [])
            if node.usable or running:
                free = 0.0 if node.used.cpus >= node.capacity.cpus else 1.0 - share_of(node.used, node.capacity)
                frees = [(NOW, free)] if free > 0 else []
                left = 1.0 - free
                frees += [(span, left / len(running)) for span in running]
                if not running and left > 0:  # who is there is not known, nor for how long
                    frees.append((UNKNOWN, left))
            else:
                frees = [(self._ready(name), 1.0)]
            ground.add(name, kind, frees)
        return ground

    def _kind(self, name: str, node: Node) -> int | None:
        """Return the number of the nodes that are alike once they are free; None: no job will run there."""
        claim, pool = self._claims.get(name), self._view.pool_by_node.get(name)
        reserved = self._reserved.get(name, _NOT_RESERVED)
        if claim is None:
            if pool is not None or not node.usable:
                return None
            size, features = node.capacity, node.active_features
            return self._number(Likes(size, size, features, node.partitions, "", Origin.OPEN, reserved))
        if pool is None or claim.state is ClaimState.DRAINING or claim.probe or node.kept_by_admin:
            return None
        if claim.state not in COMING and not node.usable:
            return None
        site = claim.offer.site
        alike = (pool.name, site, claim.offer.market, node.partitions, reserved)
        kind = self._of_pools.get(alike)
        if kind is None:
            features = pool_features(pool, claim.offer)
            likes = Likes(pool.shape, pool.shape, features, node.partitions, site, Origin.OPEN, reserved)
            kind = self._of_pools[alike] = self._number(likes)
        return kind

    def _number(self, likes: Likes) -> int:
        return self._kinds.setdefault(likes, len(self._kinds))
