"""Single tasks packed: the whole nodes of the program, the rest by value for money; of two ways the better is kept."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from clues.planner.buying.packing.filling import Needs
from clues.planner.buying.packing.problem import Left, Source
from clues.planner.buying.packing.rounding import Lot, Rounder
from clues.planner.buying.packing.shadow import Shadows, find_shadows
from clues.planner.buying.packing.work import Work

#: so few tasks are packed in a third way, whose time goes with how many nodes there are
_FEW = 400
#: a share that is left out counts for so many times of what it costs by itself
_MISSING = 20.0


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
    """Pack single tasks in two or three ways and keep the best; *counts* and *left* become what is left.

    :param shares: classes that are shares of gangs: where some are left out, their gangs may still be had elsewhere.
    """
    nothing = [0.0] * len(left.rows)
    buyable = {source: ready for source, ready in needs.items() if left.most(sources[source])}
    found: list[tuple[tuple[int, float], list[Lot], list[int], Left]] = []
    shadows = Shadows(alone, nothing, ())
    first: list[Lot] = []
    few = sum(counts) <= _FEW
    for turn in range(2 + few if work else 2 if hint else 1):
        if turn == 2 and not work:
            break
        if turn == 2:
            known = [*good, *((lot.source, lot.filling) for lot in first), *shadows.nodes()]
            shadows = Shadows(shadows.values, shadows.limits, ())
        elif turn and not work and hint is not None:
            shadows = Shadows(hint.values, [*hint.limits, *nothing[len(hint.limits) :]], ())
        elif turn:  # the first way's nodes are good ones to begin with
            known = [*good, *((lot.source, lot.filling) for lot in first)]
            shadows = find_shadows(sources, buyable, counts, alone, left.rows, work.part(work.left // 2), known)
        mine, counts_left = Left(left.rows), list(counts)
        rounder = Rounder(sources, buyable, mine, work.part(work.left // 4))
        if turn == 2:
            lots = _dive(rounder, alone, counts_left, work.part(work.left // 2), known)
        else:
            lots = rounder.whole(shadows, counts_left)
        values = [max(value, 1e-3 * by_itself) for value, by_itself in zip(shadows.values, alone, strict=True)]
        lots += rounder.rest(values, shadows.limits, counts_left)
        first = [Lot(lot.source, dict(lot.filling), lot.count) for lot in lots]
        if work:
            lots = rounder.better(lots, values, shadows.limits, counts_left)
        missing = sum(count for name, count in enumerate(counts_left) if name not in shares)
        dear = sum(_MISSING * alone[name] * counts_left[name] for name in shares)
        found.append(((missing, rounder.cost(lots) + dear), lots, counts_left, mine))
    _, lots, counts[:], chosen = min(found, key=lambda way: way[0])
    left.rows = chosen.rows
    return lots, shadows


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
