"""All that is lacking, packed: everything at least cost if everything can be had, else the highest priority first.

First all of it is packed together. Where limits leave something out, the longest beginning of the queue is looked for
that can be had whole; it is packed by itself, and what stood next is out: no lesser job gets what it could have had.
The others go on with what the limits still allow, and with what stays free on the nodes of the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from clues.planner.buying.packing.filling import Needs, fill, make_needs
from clues.planner.buying.packing.gangs import place_gangs, take_columns
from clues.planner.buying.packing.problem import Left, Packing, Problem, Source, Unit, Vector
from clues.planner.buying.packing.rounding import Lot, Rounder
from clues.planner.buying.packing.shadow import Column, Shadows, find_shadows

#: how many numbers may be touched for one packing, about; a million are some tenths of a second
WORK = 4_000_000
_ROUNDS = 8
#: over so many tasks the beginning of a queue that can be had is looked for, all looks together; then what was found
#: stands, and the rest of the queue is left to who asked
_LOOKED_OVER = 20_000
#: so few tasks are packed in several ways
_FEW = 400


def pack(problem: Problem, work: int = WORK) -> Packing:
    """Return what to buy, and what of each class cannot be had."""
    queue = [(name, count) for name, count in problem.queue if count > 0]
    units: list[Unit] = []
    left = Left(problem.limits)
    out: dict[int, int] = {}
    looks = [_LOOKED_OVER]
    for turn in range(_ROUNDS):
        queue = _without_hopeless(problem, queue, units, left, out)
        if not queue:
            break
        trial, missing = _best_attempt(problem, units, left, _counts(queue), work)
        if not missing or turn == _ROUNDS - 1:
            units, left = trial.units, trial.left
            for name, count in missing.items():
                out[name] = out.get(name, 0) + count
            break
        hint = trial.hint
        ready = _longest(problem, queue, units, left, hint, looks)
        first, rest = _split(queue, ready)
        if first:
            trial, failed = _best_attempt(problem, units, left, _counts(first), work)
            if failed:  # it can be had by the simple way only
                trial = _Attempt(problem, units, left)
                failed = trial.run(_counts(first), 0, hint=hint)
            units, left = trial.units, trial.left
            for name, count in failed.items():
                out[name] = out.get(name, 0) + count
        # what comes next cannot be had beside those before it
        blocked = rest[0][0]
        for name, count in rest:
            if name == blocked:
                out[name] = out.get(name, 0) + count
        queue = [(name, count) for name, count in rest if name != blocked]
        if looks[0] <= 0:
            for name, count in queue:
                out[name] = out.get(name, 0) + count
            break
    return Packing(units, out)


def _best_attempt(
    problem: Problem, units: Sequence[Unit], left: Left, counts: Mapping[int, int], work: int
) -> tuple[_Attempt, dict[int, int]]:
    """Return the best of the ways to pack that are worth their time: what costs least of those that leave out least."""
    gangs = any(not problem.classes[name].single for name in counts)
    ways = []
    for gangs_first in (True, False) if gangs and sum(counts.values()) <= _FEW else (True,):
        trial = _Attempt(problem, units, left)
        ways.append((trial, trial.run(counts, work, gangs_first=gangs_first)))
    return min(ways, key=lambda way: (sum(way[1].values()), way[0].cost()))


def _counts(queue: Iterable[tuple[int, int]]) -> dict[int, int]:
    counts: dict[int, int] = {}
    for name, count in queue:
        counts[name] = counts.get(name, 0) + count
    return counts


def _split(queue: Sequence[tuple[int, int]], ready: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    first: list[tuple[int, int]] = []
    for place, (name, count) in enumerate(queue):
        if ready < count:
            return first + [(name, ready)] * (ready > 0), [(name, count - ready), *queue[place + 1 :]]
        first.append((name, count))
        ready -= count
    return first, []


def _longest(
    problem: Problem,
    queue: Sequence[tuple[int, int]],
    units: Sequence[Unit],
    left: Left,
    hint: Shadows | None,
    looks: list[int],
) -> int:
    """Return how many tasks, from the first, can be had together (by the simple way of packing).

    :param looks: over how many tasks may still be looked, which this takes from.
    """
    low, high = 0, sum(count for _, count in queue) - 1
    while low < high and looks[0] > 0:
        middle = (low + high + 1) // 2
        looks[0] -= middle
        if _Attempt(problem, units, left).run(_counts(_split(queue, middle)[0]), 0, hint=hint):
            high = middle - 1
        else:
            low = middle
    return low


def _without_hopeless(
    problem: Problem, queue: list[tuple[int, int]], units: Sequence[Unit], left: Left, out: dict[int, int]
) -> list[tuple[int, int]]:
    """Take out the classes of which not even one can be had."""
    attempt = _Attempt(problem, units, left)
    hopeful = {name for name in {name for name, _ in queue} if attempt.could_have(name)}
    for name, count in queue:
        if name not in hopeful:
            out[name] = out.get(name, 0) + count
    return [(name, count) for name, count in queue if name in hopeful]


class _Attempt:
    """One try to pack so many of each class, beside units that are fixed and into what they have left."""

    def __init__(self, problem: Problem, units: Sequence[Unit], left: Left) -> None:
        self.problem = problem
        self.left = Left(left.rows)
        self.units = [Unit(unit.source, [dict(node) for node in unit.nodes], dict(unit.gangs)) for unit in units]
        #: what tasks and limits were found to be worth
        self.hint: Shadows | None = None

    def could_have(self, name: int) -> bool:
        """Whether one of a class can be had by itself."""
        fits = self.problem.classes[name].fits
        if any(self.left.most(self.problem.sources[source]) >= nodes for source, (nodes, _) in fits.items()):
            return True
        return any(
            sum(1 for at in range(len(unit.nodes)) if _within(fits[unit.source][1], self.free_of(unit, at)))
            >= fits[unit.source][0]
            for unit in self.units
            if unit.source in fits
        )

    def run(
        self, wanted: Mapping[int, int], work: int, *, gangs_first: bool = True, hint: Shadows | None = None
    ) -> dict[int, int]:
        """Pack, and return what found no place. Without *work*: the simple way.

        :param hint: what tasks and limits are worth, as another attempt has found.
        """
        self.hint = hint
        classes = self.problem.classes
        counts = [wanted.get(name, 0) for name in range(len(classes))]
        gangs = {name: count for name, count in enumerate(counts) if count and not classes[name].single}
        shadows = hint or Shadows(self._alone(counts), [0.0] * len(self.left.rows), ())
        if gangs and work:
            shadows = self._shadows_of_all(counts, shadows.values, work // 2)
            if gangs_first:
                self.units += take_columns(self.problem.sources, classes, shadows.columns, counts, self.left)
        missing: dict[int, int] = {}
        for turn in (gangs_first, not gangs_first):
            if turn:
                for name in sorted(gangs, key=self._weight, reverse=True):
                    missing[name] = counts[name] - self._place(name, counts, shadows)
            else:
                singles = [count if classes[name].single else 0 for name, count in enumerate(counts)]
                if any(singles):
                    self._pack_singles(singles, self._alone(singles), work, [] if self.units else shadows.columns)
                counts = [left if classes[name].single else counts[name] for name, left in enumerate(singles)]
        missing |= {name: count for name, count in enumerate(counts) if classes[name].single}
        return {name: count for name, count in missing.items() if count}

    def _shadows_of_all(self, counts: Sequence[int], alone: Sequence[float], work: int) -> Shadows:
        """Return the shadow prices of gangs and single tasks together."""
        sources, nothing = self.problem.sources, [0.0] * len(self.left.rows)
        needs = self._make_needs(sources, counts, gangs=True)
        trial = Rounder(sources, needs, Left(self.left.rows), 0).rest(alone, nothing, list(counts))
        known = [(lot.source, lot.filling) for lot in trial]
        return find_shadows(sources, needs, counts, alone, self.left.rows, work, known)

    def cost(self) -> float:
        """Return what all units cost."""
        return sum(self.problem.sources[unit.source].price * len(unit.nodes) for unit in self.units)

    def _place(self, name: int, counts: Sequence[int], shadows: Shadows) -> int:
        sources = self.problem.sources
        singles = [count if self.problem.classes[one].single else 0 for one, count in enumerate(counts)]

        def price_of(source: int) -> float:
            return sources[source].price + sum(shadows.limits[row] * use for row, use in sources[source].uses)

        def worth(source: int, free: Vector) -> float:
            return self._worth(source, free, shadows.values, singles)

        wanted = self.problem.classes[name]
        return place_gangs(sources, name, wanted, counts[name], self.units, self.left, self.free_of, price_of, worth)

    def free_of(self, unit: Unit, index: int) -> Vector:
        """Return what is free on one node of a unit."""
        free = list(self.problem.sources[unit.source].size)
        for name, count in unit.nodes[index].items():
            for axis, amount in enumerate(self.problem.classes[name].fits[unit.source][1]):
                free[axis] -= amount * count
        return tuple(free)

    def _weight(self, name: int) -> float:
        fits = self.problem.classes[name].fits
        return max(nodes * sum(need) for nodes, need in fits.values())

    def _single_needs(self, source: int, size: Vector, singles: Sequence[int]) -> dict[int, Vector]:
        found = {}
        for name, count in enumerate(singles):
            fit = self.problem.classes[name].fits.get(source) if count else None
            if fit is not None and fit[0] == 1 and _within(fit[1], size):
                found[name] = fit[1]
        return found

    def _alone(self, counts: Sequence[int]) -> list[float]:
        """Return what one task, or gang, of each class costs where it is cheapest."""
        alone = [0.0] * len(counts)
        for name, count in enumerate(counts):
            prices = []
            for source, (nodes, need) in self.problem.classes[name].fits.items() if count else ():
                one = self.problem.sources[source]
                if self.left.most(one) >= nodes:
                    prices.append(nodes * one.price / max(1, _how_many(need, one.size)))
            alone[name] = max(1e-9, min(prices, default=1e-9))
        return alone

    def _worth(self, source: int, free: Vector, alone: Sequence[float], singles: Sequence[int]) -> float:
        if not any(free) or not any(singles):
            return 0.0
        return fill(make_needs(free, self._single_needs(source, free, singles)), alone, singles)[0]

    def _pack_singles(self, counts: list[int], alone: Sequence[float], work: int, columns: Sequence[Column]) -> None:
        sources: list[Source] = list(self.problem.sources)
        limits = list(self.left.rows)
        spots: dict[int, list[dict[int, int]]] = {}
        for (_, free), nodes in self._free_nodes().items():
            spots[len(sources)] = nodes
            sources.append(Source(free, 0.0, ((len(limits), 1.0),), ""))
            limits.append(float(len(nodes)))
        needs = self._make_needs(sources, counts)
        left = Left(limits)
        good = [(one.source, {name: count for name, count in one.filling.items() if counts[name]}) for one in columns]
        lots, shadows = _pack_lots(sources, needs, left, counts, alone, work, good, self.hint)
        self.hint = Shadows(shadows.values, shadows.limits[: len(self.left.rows)], ())
        for lot in lots:
            for _ in range(lot.count):
                if lot.source in spots:
                    filling = spots[lot.source].pop()
                    for name, count in lot.filling.items():
                        filling[name] = filling.get(name, 0) + count
                else:
                    self.units.append(Unit(lot.source, [dict(lot.filling)]))
        self.left.rows = left.rows[: len(self.left.rows)]

    def _free_nodes(self) -> dict[tuple[int, Vector], list[dict[int, int]]]:
        found: dict[tuple[int, Vector], list[dict[int, int]]] = {}
        for unit in self.units:
            for index, filling in enumerate(unit.nodes):
                free = self.free_of(unit, index)
                if free[0] > 0:
                    found.setdefault((unit.source, free), []).append(filling)
        return found

    def _make_needs(self, sources: Sequence[Source], counts: Sequence[int], *, gangs: bool = False) -> dict[int, Needs]:
        """Return what can lie on each source's nodes; sources after the problem's own are what units have left."""
        known: dict[tuple[Vector, tuple[tuple[int, Vector], ...]], Needs] = {}
        found = {}
        origins = {len(self.problem.sources) + place: key[0] for place, key in enumerate(self._free_nodes())}
        for place, one in enumerate(sources):
            origin = origins.get(place, place)
            needs, nodes = self._single_needs(origin, one.size, counts), {}
            if gangs and self.left.most(one):
                for name, count in enumerate(counts):
                    fit = self.problem.classes[name].fits.get(origin) if count else None
                    if fit is not None and fit[0] > 1 and not self.problem.classes[name].single:
                        needs[name], nodes[name] = fit[1], fit[0]
            if needs:
                key = one.size, tuple(needs.items())
                if key not in known:
                    known[key] = make_needs(one.size, needs, nodes)
                found[place] = known[key]
        return found


def _pack_lots(
    sources: Sequence[Source],
    needs: Mapping[int, Needs],
    left: Left,
    counts: list[int],
    alone: Sequence[float],
    work: int,
    good: Sequence[tuple[int, Mapping[int, int]]],
    hint: Shadows | None,
) -> tuple[list[Lot], Shadows]:
    """Pack single tasks in two ways and keep the better; *counts* and *left* become what is left."""
    nothing = [0.0] * len(left.rows)
    buyable = {source: ready for source, ready in needs.items() if left.most(sources[source])}
    found: list[tuple[tuple[int, float], list[Lot], list[int], Left]] = []
    shadows = Shadows(alone, nothing, ())
    first: list[Lot] = []
    for turn in range(2 if work or hint else 1):
        if turn and not work and hint is not None:
            shadows = Shadows(hint.values, [*hint.limits, *nothing[len(hint.limits) :]], ())
        elif turn:  # the first way's nodes are good ones to begin with
            known = [*good, *((lot.source, lot.filling) for lot in first)]
            shadows = find_shadows(sources, buyable, counts, alone, left.rows, work // 2, known)
        mine, counts_left = Left(left.rows), list(counts)
        rounder = Rounder(sources, buyable, mine, work // 4)
        lots = rounder.whole(shadows, counts_left)
        values = [max(value, 1e-3 * by_itself) for value, by_itself in zip(shadows.values, alone, strict=True)]
        lots += rounder.rest(values, shadows.limits, counts_left)
        first = [Lot(lot.source, dict(lot.filling), lot.count) for lot in lots]
        if work:
            lots = rounder.better(lots, values, shadows.limits, counts_left)
        found.append(((sum(counts_left), rounder.cost(lots)), lots, counts_left, mine))
    _, lots, counts[:], chosen = min(found, key=lambda way: way[0])
    left.rows = chosen.rows
    return lots, shadows


def _within(need: Vector, room: Vector) -> bool:
    return all(map(int.__le__, need, room))


def _how_many(need: Vector, room: Vector) -> int:
    return min((have // use for have, use in zip(room, need, strict=True) if use), default=1)
