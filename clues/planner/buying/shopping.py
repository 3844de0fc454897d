"""What is lacking, bought together: jobs become classes with counts, nodes and offers become sources, and the plan that
:mod:`clues.planner.buying.packing` makes of them becomes purchases, each with the jobs that it is for.

The plan is made for all jobs at once, so that the offer follows from what all of them cost. What is bought, and in
which order, follows from priority: each purchase has the rank of its most urgent job.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from itertools import islice, repeat
from math import isfinite

from clues.model import ANY_GPU, Market, Node, Offer, Pool, Resources
from clues.planner.buying.packing import Problem, Source, Unit, Vector, Wanted, pack
from clues.planner.buying.placement import Buyer
from clues.planner.buying.purchase import Kind, Lacking, Lot, Part, Purchase
from clues.planner.queue.bins import Bins, Likes, Origin
from clues.planner.queue.features import pool_features
from clues.planner.queue.jobclass import JobClass, Option
from clues.planner.view import View

#: where prices are the same the smaller node is taken, and the one without GPUs: so little of a price is the size's
_SIZE_COUNTS = 1e-3
#: then the one that is sooner ready: so little is each half minute's
_SLOWNESS_COUNTS = 1e-6
#: so many tasks of so many kinds, from the most urgent on, are planned together; the others are bought for by
#: themselves, after these. It is kinds that take time, not tasks
MOST_TASKS = 20_000
MOST_KINDS = 100
#: an offer whose price cannot be reckoned with is taken last
_DEAREST = 1e4


class Shopping:
    """Plans purchases for many jobs, and makes them."""

    def __init__(self, view: View, buyer: Buyer, bins: Bins, reserved: Mapping[str, frozenset[str]]) -> None:
        self._view, self._buyer, self._bins, self._reserved = view, buyer, bins, reserved

    def plan(self, lacking: Sequence[Lacking]) -> list[Purchase]:
        """Return what to buy for these jobs, which come in the order of their priority."""
        lacking = list(_most_urgent(one for one in lacking if _can_be_planned(one)))
        numbers: dict[Kind, int] = {}
        kinds: list[tuple[JobClass, Part]] = []
        numbered: list[tuple[int, Lacking]] = []
        queue: list[tuple[int, int]] = []
        for one in lacking:
            number = numbers.setdefault(one.kind, len(kinds))
            if number == len(kinds):
                kinds.append((one.group, one.part))
            numbered.append((number, one))
            if queue and queue[-1][0] == number:
                queue[-1] = (number, queue[-1][1] + one.count)
            else:
                queue.append((number, one.count))
        if not queue or self._view.world.operator.paused:
            return []
        lots, sources, offers, limits = self._sources([group for group, _ in kinds])
        if not sources:
            return []
        classes = [self._wanted(number, group, part, lots, offers) for number, (group, part) in enumerate(kinds)]
        units = sorted(
            pack(Problem(sources, classes, limits, queue)).units,
            key=lambda unit: (
                sum(sources[node.source].price for node in unit.nodes) / len(unit.nodes),
                [node.source for node in unit.nodes],
            ),
        )
        purchases = []
        for unit in units:
            spots = [offers[node.source] for node in unit.nodes]
            purchases.append(Purchase([(lots[place], offer) for place, offer in spots]))
        self._assign(numbered, classes, units, purchases)
        of_rank = {one.rank: one.group for one in lacking}
        known: dict[Hashable, Resources] = {}
        for purchase in purchases:
            purchase.loads = self._loads(purchase, of_rank, known)
        return sorted((one for one in purchases if one.tasks), key=lambda one: one.rank)

    def _sources(
        self, groups: Sequence[JobClass]
    ) -> tuple[list[Lot], list[Source], list[tuple[int, Offer]], list[float]]:
        lots = [lot for pool in self._view.settings.pools.values() for lot in self._lots(pool, groups)]
        rows: dict[tuple[str, str], int] = {}
        limits: list[float] = []
        found: list[tuple[int, Offer, float, tuple[tuple[int, float], ...]]] = []

        def row(name: tuple[str, str], left: float) -> int:
            if name not in rows:
                rows[name] = len(limits)
                limits.append(max(0.0, left))
            return rows[name]

        for place, lot in enumerate(lots):
            wanted = {
                id(option.offer)
                for number in lot.accepts
                for option in groups[number].options
                if option.pool is lot.pool
            }
            for offer in lot.pool.offers:
                if id(offer) not in wanted or self._buyer.why_not(lot.pool, offer, 1):
                    continue
                uses = [(row(name, left), each) for name, left, each in self._buyer.left(lot.pool, offer)]
                uses.append((row(("lot", str(place)), len(lot.nodes)), 1.0))
                cost = self._view.expected_cost(lot.pool, offer)
                found.append((place, offer, cost if isfinite(cost) else _DEAREST, tuple(uses)))
        sizes = [_size_of(lots[place].pool.shape) for place, *_ in found]
        cheapest = min(
            (cost / size for (_, _, cost, _), size in zip(found, sizes, strict=True) if cost > 0), default=1000.0
        )
        slowness = [self._view.ready_in(lots[place].pool, offer) for place, offer, *_ in found]
        sources = [
            Source(
                _vector(lots[place].pool.shape, lots[place].pool.shape),
                cost + cheapest * size * (_SIZE_COUNTS + _SLOWNESS_COUNTS * min(99, slow)),
                uses,
                f"{offer.site} {offer.zone}".rstrip(),
            )
            for (place, offer, cost, uses), size, slow in zip(found, sizes, slowness, strict=True)
        ]
        return lots, sources, [(place, offer) for place, offer, *_ in found], limits

    def _lots(self, pool: Pool, groups: Sequence[JobClass]) -> list[Lot]:
        concerned = [n for n, group in enumerate(groups) if any(option.pool is pool for option in group.options)]
        by_name = [number for number in concerned if groups[number].key.excluded_nodes]
        found: dict[tuple[frozenset[str], frozenset[str], tuple[bool, ...]], Lot] = {}
        none = frozenset[str]()
        for node in self._buyer.vacant(pool) if concerned else ():
            reserved = self._reserved.get(node.name, none)
            named = tuple([groups[number].accepts_name(node.name) for number in by_name]) if by_name else ()
            key = node.partitions, reserved, named
            lot = found.get(key)
            if lot is None:
                accepts = frozenset(number for number in concerned if groups[number].accepts_new(node, reserved))
                lot = found[key] = Lot(pool, [], accepts)
            lot.nodes.append(node)
        return list(found.values())

    def _wanted(
        self, number: int, group: JobClass, part: Part, lots: Sequence[Lot], offers: Sequence[tuple[int, Offer]]
    ) -> Wanted:
        """Return how many nodes one needs where: of a gang, fewer where a part of it has some already."""
        options: dict[int, Option] = {id(option.offer): option for option in group.options if not option.waits}
        fits = {}
        for source, (place, offer) in enumerate(offers):
            option = options.get(id(offer))
            if option is not None and option.pool is lots[place].pool and number in lots[place].accepts:
                nodes = option.layout.nodes - (part.nodes if offer.site == part.site else 0)
                fits[source] = (max(1, nodes), _vector(option.layout.each, option.pool.shape))
        return Wanted(fits)

    def _assign(
        self,
        lacking: Iterable[tuple[int, Lacking]],
        classes: Sequence[Wanted],
        units: Sequence[Unit],
        purchases: Sequence[Purchase],
    ) -> None:
        """Give the places on planned nodes to jobs, the most urgent first."""
        places: dict[int, list[tuple[Purchase, tuple[int, ...]]]] = {}
        for unit, purchase in zip(units, purchases, strict=True):
            for name, chosen in unit.gangs:
                places.setdefault(name, []).append((purchase, chosen))
            for at, node in enumerate(unit.nodes):
                for name, count in node.filling.items():
                    if classes[name].fits[node.source][0] == 1:
                        places.setdefault(name, []).extend(repeat((purchase, (at,)), count))
        next_of = {name: iter(found) for name, found in places.items()}
        for number, one in lacking:
            for purchase, chosen in islice(next_of.get(number, ()), one.count):
                purchase.jobs[one.rank] = one.job
                purchase.tasks.setdefault(one.rank, []).append(chosen)
                if one.part.nodes and purchase.site == one.part.site:
                    purchase.completes[one.rank] = chosen, one.part.mates

    @staticmethod
    def _loads(purchase: Purchase, groups: Mapping[int, JobClass], known: dict[Hashable, Resources]) -> list[Resources]:
        """Return what is taken of each node.

        :param known: what was found already of nodes that hold the same: most are alike.
        """
        held: list[dict[int, int]] = [{} for _ in purchase.spots]  # by class, how many tasks
        classes: dict[int, JobClass] = {}
        for rank, spots in purchase.tasks.items():
            group = groups[rank]
            name = id(group)
            classes[name] = group
            for spot in spots:
                for at in spot:
                    held[at][name] = held[at].get(name, 0) + 1
        loads = []
        for (lot, offer), here in zip(purchase.spots, held, strict=True):
            key = id(lot.pool), id(offer), tuple(here.items())
            load = known.get(key)
            if load is None:
                parts = [classes[name].each_at(lot.pool, offer).times(count) for name, count in here.items()]
                load = known[key] = reduce(Resources.plus, parts) if parts else Resources()
            loads.append(load)
        return loads

    def buy(self, purchase: Purchase) -> bool:
        """Make a planned purchase; False when it cannot be had, for all that was planned."""
        nodes = self._vacant(purchase)
        first = purchase.jobs[purchase.rank]
        if nodes is None or not self._can_be_had(purchase, first.account):
            return False
        purchase.nodes = nodes
        gangs = purchase.gangs()
        tasks: list[dict[int, int]] = [{} for _ in nodes]  # of each node, how many of which job
        for rank, spots in sorted(purchase.tasks.items()):
            for at in (at for spot in spots for at in spot):
                tasks[at][rank] = tasks[at].get(rank, 0) + 1
        for at, (node, (lot, offer), here) in enumerate(zip(nodes, purchase.spots, tasks, strict=True)):
            jobs = [purchase.jobs[rank].id for rank in here]
            reason, label, size = f"for job {jobs[0] if jobs else first.id}", "", 0
            if at in gangs:
                gang, size = gangs[at]
                label = gang.array_id or gang.id
                reason += f" ({size} nodes)"
            if len(jobs) > 1:
                reason += f" and {len(jobs) - 1} more"
            self._buyer.buy(lot.pool, offer, node, jobs, reason, label, size, first.account, tuple(here.values()))
            features = pool_features(lot.pool, offer)
            reservations = self._reserved.get(node.name, frozenset())
            shape = lot.pool.shape
            free = shape.minus(purchase.loads[at])
            self._bins.add(
                Likes(shape, free, features, node.partitions, offer.site, Origin.BOUGHT, reservations), node.name
            )
        return True

    def _vacant(self, purchase: Purchase) -> list[Node] | None:
        """Return a vacant node for each that is planned; None when there are too few."""
        wanted = Counter(id(lot) for lot, _ in purchase.spots)
        found = {
            id(lot): lot.vacant(wanted[id(lot)], self._buyer)
            for lot in {id(lot): lot for lot, _ in purchase.spots}.values()
        }
        if any(len(found[name]) < count for name, count in wanted.items()):
            return None
        return [found[id(lot)].pop(0) for lot, _ in purchase.spots]

    def _can_be_had(self, purchase: Purchase, account: str) -> bool:
        """Whether nothing forbids it: neither the nodes of one offer nor, where there are several, all together."""
        counts: dict[tuple[int, int], tuple[Pool, Offer, int]] = {}
        for lot, offer in purchase.spots:
            key = id(lot.pool), id(offer)
            _, _, count = counts.get(key, (lot.pool, offer, 0))
            counts[key] = lot.pool, offer, count + 1
        size = len(purchase.spots)
        if any(
            self._buyer.why_not(pool, offer, count, account, whole=size > 1) for pool, offer, count in counts.values()
        ):
            return False
        if len(counts) == 1:
            return True
        taken: dict[tuple[str, str], float] = {}
        for pool, offer, count in counts.values():
            for limit, left, each in self._buyer.left(pool, offer):
                taken[limit] = taken.get(limit, 0.0) + each * count
                if taken[limit] > left + 1e-9 * max(1.0, left):
                    return False
        return not self._buyer.brakes(size)


def _most_urgent(lacking: Iterable[Lacking]) -> Iterator[Lacking]:
    left, kinds = MOST_TASKS, set[Kind]()
    for one in lacking:
        kinds.add(one.kind)
        if left <= 0 or len(kinds) > MOST_KINDS:
            return
        yield one if one.count <= left else replace(one, count=left)
        left -= one.count


def _can_be_planned(one: Lacking) -> bool:
    """Whether a job can be planned for by its shape: it names no nodes and stands by itself. What spot VMs are worth
    to a gang depends on its size, and prices here do not; and what is planned together is of one site."""
    options = one.group.options
    if not options or one.group.key.wanted_nodes or one.job.het_id:
        return False
    if one.group.spans and options[0].layout.nodes > 1:
        return False
    return options[0].layout.nodes == 1 or all(option.offer.market is not Market.SPOT for option in options)


def _size_of(shape: Resources) -> float:
    return shape.cpus + shape.memory_mib / 4096 + 10.0 * shape.gpu_count


def _vector(resources: Resources, shape: Resources) -> Vector:
    """Return resources in the places that nodes of *shape* have: CPUs, memory, each type of GPU."""
    types = [gpu.type for gpu in shape.gpus]
    counts = dict.fromkeys(types, 0)
    for gpu in resources.gpus:
        kind = gpu.type
        if kind == ANY_GPU and kind not in counts:  # of the type that there is most of
            kind = max(shape.gpus, key=lambda one: one.count).type
        counts[kind] = counts.get(kind, 0) + gpu.count
    return (resources.cpus, resources.memory_mib, *(counts[kind] for kind in types))
