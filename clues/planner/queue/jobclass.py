"""Jobs that want the same: what a class of jobs accepts, worked out once for all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from math import inf
from typing import NamedTuple

from clues.model import ClusterSnapshot, Job, Market, Node, Offer, Pool, Request, Reservation, Resources
from clues.planner.queue.bins import Bin, Likes
from clues.planner.queue.constraint import Alternatives, UnreadableConstraint, parse_constraint, satisfied
from clues.planner.queue.features import pool_features
from clues.planner.queue.layout import Layout, lay_out
from clues.planner.queue.nearest import Hopeless, Misfit, find_misfit, hopeless
from clues.planner.view import View
from clues.units import show_duration


class ClassKey(NamedTuple):
    """Two jobs with the same key are served alike by the same nodes. (A tuple: there is one for each job.)"""

    request: Request
    partitions: tuple[str, ...]
    constraint: str
    wanted_nodes: frozenset[str]
    excluded_nodes: frozenset[str]
    reservation: str
    #: the reservations that a run from now on would cross
    crossed: frozenset[str]
    #: the Slurm account, where it has a budget of its own
    account: str = ""
    #: pools whose cheaper spot VMs are waited for
    waits_for_spot: frozenset[str] = frozenset()
    #: sites where it could not end before their maintenance
    too_late_at: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Option:
    """One way to buy for a class: nodes of a pool at an offer, and how the job lies on them."""

    pool: Pool
    offer: Offer
    layout: Layout
    #: what decides between options: cost, GPUs that would lie idle, time to ready, then as they are configured
    order: tuple[float, int, int, int, int]
    #: why it is not taken yet, in words; empty: it may be
    waits: str = ""


@dataclass
class JobClass:
    """What jobs of one class accept, and what was found out about them in this decision."""

    key: ClassKey
    alternatives: Alternatives
    options: list[Option]
    #: the pools that can never hold it
    misfits: Sequence[Misfit]
    default_memory: int
    #: the version of the room in which nothing fits, of all of it and of the open nodes alone; -1: not looked yet
    exhausted: int = -1
    open_exhausted: int = -1
    #: the version of the room in which there is not even a part of a gang's
    parted: int = -1
    refusals: dict[str, str] = field(default_factory=dict)
    _layouts: dict[int, Layout | None] = field(default_factory=dict)
    _hopeless: Hopeless | None = None
    _each: dict[tuple[int, int], Resources] = field(default_factory=dict)

    def hopeless(self, view: View, snapshot: ClusterSnapshot) -> Hopeless:
        """Return what is said of the jobs where no pool can hold them."""
        if self._hopeless is None:
            key = self.key
            self._hopeless = hopeless(view, snapshot, key.request, key.partitions, self.alternatives, self.misfits)
        return self._hopeless

    @cached_property
    def fewest_nodes(self) -> int:
        """How many nodes one of its tasks takes where it takes the fewest money."""
        return self.options[0].layout.nodes if self.options else 1

    @cached_property
    def spans(self) -> bool:
        """Whether its nodes may lie at different sites: a pool that allows it says so."""
        return any(option.pool.span for option in self.options)

    def each_at(self, pool: Pool, offer: Offer) -> Resources:
        """Return what one task, or its share, takes of a node of this option."""
        if not self._each:
            self._each.update(((id(one.pool), id(one.offer)), one.layout.each) for one in self.options)
        return self._each[id(pool), id(offer)]

    def layout_on(self, room: Bin) -> Layout | None:
        """Return how the job lies on nodes of this bin's size; None when the bin is not for this class."""
        number = room.number
        if number not in self._layouts:
            self._layouts[number] = self.layout_for(room.likes)
        return self._layouts[number]

    def layout_for(self, likes: Likes) -> Layout | None:
        """Return how the job lies on nodes of these likes; None when they are not for this class."""
        key = self.key
        if key.partitions and likes.partitions.isdisjoint(key.partitions):
            return None
        if likes.reservations and not self._reserved_for_us(likes.reservations):
            return None
        if key.reservation and key.reservation not in likes.reservations:
            return None
        if not satisfied(self.alternatives, likes.features):
            return None
        layout = lay_out(key.request, likes.size, self.default_memory)
        if layout is None or not layout.each.fits_in(likes.free):
            return None
        return None if key.request.exclusive and not likes.empty else layout

    def accepts_name(self, name: str) -> bool:
        """Whether the job's own lists of nodes allow this one."""
        if name in self.key.excluded_nodes:
            return False
        wanted = self.key.wanted_nodes
        return not wanted or name in wanted or len(wanted) < max(1, self.key.request.nodes_min)

    def accepts_new(self, node: Node, reservations: frozenset[str]) -> bool:
        """Whether a VM may be started at this node for the class."""
        if self.key.partitions and node.partitions.isdisjoint(self.key.partitions):
            return False
        if self.key.reservation and self.key.reservation not in reservations:
            return False
        return self.accepts_name(node.name) and (not reservations or self._reserved_for_us(reservations))

    def _reserved_for_us(self, reservations: frozenset[str]) -> bool:
        return not (reservations & self.key.crossed) - {self.key.reservation}


def class_key(
    job: Job,
    snapshot: ClusterSnapshot,
    crossed: frozenset[str],
    account: str = "",
    waits_for_spot: frozenset[str] = frozenset(),
    too_late_at: frozenset[str] = frozenset(),
) -> ClassKey:
    """Return what decides how *job* is served.

    :param crossed: see :func:`crossed_by`.
    :param account: its Slurm account, if that has a budget of its own.
    :param waits_for_spot: the pools for whose spot VMs it still waits.
    :param too_late_at: the sites where it could not end before their maintenance.
    """
    partitions = job.partitions or ((snapshot.default_partition,) if snapshot.default_partition else ())
    return ClassKey(
        job.request,
        partitions,
        job.constraint,
        job.wanted_nodes,
        job.excluded_nodes,
        job.reservation,
        crossed,
        account,
        waits_for_spot,
        too_late_at,
    )


def fingerprint(job: Job) -> str:
    """Return a short text that changes when the job asks for something else."""
    parts = (
        job.request,
        job.partitions,
        job.constraint,
        sorted(job.wanted_nodes),
        sorted(job.excluded_nodes),
        job.reservation,
        job.licenses,
        job.time_limit,
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def make_class(
    key: ClassKey, view: View, snapshot: ClusterSnapshot, partitions: Mapping[str, frozenset[str]]
) -> JobClass:
    """Work out which pools and offers can serve a class.

    :param partitions: by pool, those that its nodes are in.

    :raises UnreadableConstraint: when its constraint is not modelled.
    """
    alternatives = parse_constraint(key.constraint)
    options: list[Option] = []
    misfits: list[Misfit] = []
    default_memory = snapshot.default_memory_per_cpu_mib
    for rank, pool in enumerate(view.settings.pools.values()):
        layout = lay_out(key.request, pool.shape, default_memory)
        fitting = [offer for offer in pool.offers if satisfied(alternatives, pool_features(pool, offer))]
        away = bool(key.partitions) and partitions[pool.name].isdisjoint(key.partitions)
        most = len(pool.nodes) if layout is None or layout.nodes <= len(pool.nodes) else _nodes_for(key, snapshot)
        if layout is None or not fitting or away or layout.nodes > most:
            misfit = find_misfit(
                pool,
                key.request,
                key.partitions,
                alternatives,
                partitions=partitions[pool.name],
                features=[pool_features(pool, offer) for offer in pool.offers],
                nodes_in_all=most,
                default_memory_mib=default_memory,
            )
            misfits.append(misfit)
            continue
        costs = {offer: view.expected_cost(pool, offer, layout.nodes) for offer in fitting}
        spot = min((cost for one, cost in costs.items() if one.market is Market.SPOT), default=inf)
        for place, offer in enumerate(fitting):
            waits = pool.name in key.waits_for_spot and offer.market is not Market.SPOT and spot < costs[offer]
            text = f"only when it has waited for spot for {show_duration(pool.spot_fallback_after)}" if waits else ""
            if offer.site in key.too_late_at:
                text = f"{view.maintenance[offer.site]}: it might not have ended by then"
            order = costs[offer] * layout.nodes, pool.shape.gpu_count, view.ready_in(pool, offer), rank, place
            options.append(Option(pool, offer, layout, order, text))
    options.sort(key=lambda option: option.order)
    return JobClass(key, alternatives, options, misfits, default_memory)


def _nodes_for(key: ClassKey, snapshot: ClusterSnapshot) -> int:
    """Return how many nodes there are for a class in all: of every pool, and of none."""
    wanted = key.partitions
    return sum(1 for one in snapshot.nodes.values() if not wanted or not one.partitions.isdisjoint(wanted))


def crossed_by(time_limit: timedelta | None, snapshot: ClusterSnapshot, now: datetime) -> frozenset[str]:
    """Return the reservations that a run from now on would cross, if it took all of its time (no limit: all)."""
    return frozenset(one.name for one in snapshot.reservations if _crosses(one, time_limit, now))


def _crosses(reservation: Reservation, time_limit: timedelta | None, now: datetime) -> bool:
    """Whether a run that starts now would still go on when the reservation begins (no limit: it would)."""
    if reservation.end <= now:
        return False
    return time_limit is None or reservation.start < now + time_limit


__all__ = [
    "ClassKey",
    "JobClass",
    "Option",
    "UnreadableConstraint",
    "class_key",
    "crossed_by",
    "fingerprint",
    "make_class",
]
