"""Single tasks packed: the whole nodes of the program, the rest by value for money; of two ways the better is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clues.planner.buying.packing.filling import Needs
from clues.planner.buying.packing.problem import Left, Source
from clues.planner.buying.packing.rounding import Lot, Rounder
from clues.planner.buying.packing.shadow import Shadows, find_shadows
from clues.planner.buying.packing.work import Work


def pack_lots(
    sources: Sequence[Source],
    needs: Mapping[int, Needs],
    left: Left,
    counts: list[int],
    alone: Sequence[float],
    work: Work,
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
            shadows = find_shadows(sources, buyable, counts, alone, left.rows, work.part(work.left // 2), known)
        mine, counts_left = Left(left.rows), list(counts)
        rounder = Rounder(sources, buyable, mine, work.part(work.left // 4))
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
