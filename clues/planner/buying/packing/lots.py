"""Single tasks packed: the whole nodes of the program, the rest by value for money; of several ways the best is kept.

Where limits bind, whole nodes use them a little worse than the program's fractions do, and a few tasks find no place.
Those then come first, before the whole nodes of the program, and twice as many of their like each time it was in vain.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

from clues.planner.buying.packing.filling import Needs
from clues.planner.buying.packing.problem import Left, Source
from clues.planner.buying.packing.rounding import Lot, Rounder
from clues.planner.buying.packing.shadow import Shadows, find_shadows
from clues.planner.buying.packing.work import Work

#: so few tasks are packed in a third way, whose time goes with how many nodes there are
_FEW = 400
#: with more the first way is hardly ever the best, and is not bettered
_MANY = 2000
#: a share that is left out counts for so many times of what it costs by itself
_MISSING = 20.0
#: so often those that found no place come first
_MENDED = 3

#: Begins a way: what it takes of what is to be packed, which becomes less.
_Begin = Callable[[Rounder, list[int]], list[Lot]]


def pack_lots(
    sources: Sequence[Source],
    needs: Mapping[int, Needs],
    left: Left,
    counts: list[int],
    alone: Sequence[float],
    work: Work,
    good: Sequence[tuple[int, Mapping[int, int]]],
    hint: Shadows | None,
    shares: Collection[int],
) -> tuple[list[Lot], Shadows]:
    """Pack single tasks in several ways and keep the best; *counts* and *left* become what is left.

    :param shares: classes that are shares of gangs: where some are left out, their gangs may still be had elsewhere.
    """
    nothing = [0.0] * len(left.rows)
    buyable = {source: ready for source, ready in needs.items() if left.most(sources[source])}
    few, worked = sum(counts) <= _FEW, bool(work)
    ways = _Ways(sources, buyable, left, counts, alone, shares)

    def whole(rounder: Rounder, pending: list[int]) -> list[Lot]:
        return rounder.whole(shadows, pending)

    shadows = Shadows(alone, nothing, ())
    first = ways.go(shadows, work, whole, better=sum(counts) <= _MANY)
    if work:  # the first way's nodes are good ones to begin with
        known = [*good, *((lot.source, lot.filling) for lot in first)]
        shadows = find_shadows(sources, buyable, counts, alone, left.rows, work.part(work.left // 2), known)
        first = ways.go(shadows, work, whole)
        if not few:  # with few the third way does that
            ways.mend(shadows, work, whole)
    elif hint is not None:
        shadows = Shadows(hint.values, [*hint.limits, *nothing[len(hint.limits) :]], ())
        ways.go(shadows, work, whole)
    if few and worked and work:
        known = [*good, *((lot.source, lot.filling) for lot in first), *shadows.nodes()]
        shadows = Shadows(shadows.values, shadows.limits, ())
        ways.go(
            shadows, work, lambda rounder, pending: _dive(rounder, alone, pending, work.part(work.left // 2), known)
        )
    lots, counts[:], left.rows = ways.best()
    return lots, shadows


class _Ways:
    """The ways in which the same tasks were packed."""

    def __init__(
        self,
        sources: Sequence[Source],
        needs: Mapping[int, Needs],
        left: Left,
        counts: Sequence[int],
        alone: Sequence[float],
        shares: Collection[int],
    ) -> None:
        self._sources, self._needs, self._left, self._counts = sources, needs, left, counts
        self._alone, self._shares = alone, shares
        #: how good: single tasks that are left out, and the cost; the nodes; what is left of tasks, and of limits
        self._found: list[tuple[tuple[int, float], list[Lot], list[int], list[float]]] = []

    def go(self, shadows: Shadows, work: Work, begin: _Begin, *, better: bool = True) -> list[Lot]:
        """Pack in one more way; return its nodes as they were before they were bettered."""
        left, counts = Left(self._left.rows), list(self._counts)
        rounder = Rounder(self._sources, self._needs, left, work.part(work.left // 4))
        values = self._values(shadows)
        lots = begin(rounder, counts)
        lots += rounder.rest(values, shadows.limits, counts)
        before = [Lot(lot.source, dict(lot.filling), lot.count) for lot in lots]
        if work and better:
            lots = rounder.better(lots, values, shadows.limits, counts)
        missing = sum(count for name, count in enumerate(counts) if name not in self._shares)
        dear = sum(_MISSING * self._alone[name] * counts[name] for name in self._shares)
        self._found.append(((missing, rounder.cost(lots) + dear), lots, counts, left.rows))
        return before

    def mend(self, shadows: Shadows, work: Work, begin: _Begin) -> None:
        """Pack again as the last time, with what that left out first, as long as that is no worse."""
        out = list(self._found[-1][2])
        for again in range(_MENDED):
            left = self._found[-1][2]
            if not any(left) or not work or (again and self._found[-1][0] > self._found[-2][0]):
                return
            if again:
                out = [min(most, 2 * before + more) for most, before, more in zip(self._counts, out, left, strict=True)]
            self.go(shadows, work, partial(self._first, out, shadows, begin))

    def best(self) -> tuple[list[Lot], list[int], list[float]]:
        """Return the nodes of the best way, and what it left of tasks and limits."""
        _, lots, counts, rows = min(self._found, key=lambda way: way[0])
        return lots, counts, rows

    def _first(
        self, out: Sequence[int], shadows: Shadows, begin: _Begin, rounder: Rounder, counts: list[int]
    ) -> list[Lot]:
        """Take nodes for what was left out and fill them up with others, then go on as before."""
        mine = list(out)
        lots = rounder.rest(self._values(shadows), shadows.limits, mine)
        for name, count in enumerate(out):
            counts[name] -= count - mine[name]
        lots = [one for lot in lots for one in rounder.apart(lot)]
        rounder.lay_into(lots, counts)
        return lots + begin(rounder, counts)

    def _values(self, shadows: Shadows) -> list[float]:
        return [max(value, 1e-3 * by_itself) for value, by_itself in zip(shadows.values, self._alone, strict=True)]


def _dive(
    rounder: Rounder,
    alone: Sequence[float],
    counts: list[int],
    work: Work,
    known: Sequence[tuple[int, Mapping[int, int]]],
) -> list[Lot]:
    """Take what is whole in the program's result, or one node of what is most of one, and solve it again for what is
    left, until nothing is; *counts* becomes what is left."""
    lots: list[Lot] = []
    sources, left = rounder.sources, rounder.left
    while any(counts) and work:
        needs = {source: ready for source, ready in rounder.needs.items() if left.most(sources[source])}
        trimmed = [(source, _trimmed(filling, counts)) for source, filling in known]
        shadows = find_shadows(sources, needs, counts, alone, left.rows, work.part(work.left // 4), trimmed)
        taken = rounder.whole(shadows, counts) or rounder.most_of_one(shadows, counts)
        if not taken:
            break
        lots += taken
        known = shadows.nodes()
    return lots


def _trimmed(filling: Mapping[int, int], counts: Sequence[int]) -> dict[int, int]:
    return {name: min(count, counts[name]) for name, count in filling.items() if counts[name]}
