"""What fits where: which tasks, and which shares of gangs, can lie on the nodes of each source."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

from clues.planner.buying.packing.filling import Needs, make_needs
from clues.planner.buying.packing.gangs import Allotment, Place, how_many, place_of
from clues.planner.buying.packing.problem import Left, Source, Vector, Wanted


def needs_of_tasks(
    sources: Sequence[Source],
    origins: Sequence[int],
    classes: Sequence[Wanted],
    counts: Sequence[int],
    most: Mapping[int, int],
) -> dict[int, Needs]:
    """Return which single tasks can lie on each source's nodes.

    :param origins: of which of the problem's sources each is; those after the problem's own are what nodes have left.
    :param most: classes of which only so many may lie on one node.
    """
    known: dict[Hashable, Needs] = {}
    found = {}
    for place, (one, origin) in enumerate(zip(sources, origins, strict=True)):
        needs = single_needs(classes, origin, one.size, counts)
        if needs:
            key = one.size, tuple(needs.items())
            if key not in known:
                known[key] = make_needs(one.size, needs, most={name: most[name] for name in needs if name in most})
            found[place] = known[key]
    return found


def needs_of_all(
    sources: Sequence[Source], classes: Sequence[Wanted], counts: Sequence[int], left: Left, most: Allotment
) -> dict[int, Needs]:
    """Return which single tasks and which shares of gangs can lie on nodes of each source.

    :param most: of gangs, how many can be had where that is known.
    """
    known: dict[Hashable, Needs] = {}
    found = {}
    for place, one in enumerate(sources):
        needs, nodes = single_needs(classes, place, one.size, counts), {}
        if left.most(one):
            for name, count in enumerate(counts):
                fit = classes[name].fits.get(place) if count else None
                if fit is None or fit[0] == 1 or classes[name].single:
                    continue
                if most.get((name, (one.place, fit[0])), 1):
                    needs[name], nodes[name] = fit[1], fit[0]
        if needs:
            key = one.size, tuple(needs.items()), tuple(nodes.items())
            if key not in known:
                known[key] = make_needs(one.size, needs, nodes)
            found[place] = known[key]
    return found


def single_needs(classes: Sequence[Wanted], source: int, size: Vector, counts: Sequence[int]) -> dict[int, Vector]:
    """Return what each class of single tasks needs of a node of this size that one source's nodes have left."""
    found = {}
    for name, count in enumerate(counts):
        fit = classes[name].fits.get(source) if count else None
        if fit is not None and fit[0] == 1 and all(map(int.__le__, fit[1], size)):
            found[name] = fit[1]
    return found


def only_at(sources: Sequence[Source], wanted: Wanted, place: Place) -> Wanted:
    """Return the shares of a class of gangs at one place as a class of single tasks."""
    return Wanted(
        {source: (1, need) for source, (_, need) in wanted.fits.items() if place_of(sources, wanted, source) == place}
    )


def costs_alone(sources: Sequence[Source], classes: Sequence[Wanted], counts: Sequence[int], left: Left) -> list[float]:
    """Return what one task, or gang, of each class costs where it is cheapest, with nothing but its like beside it."""
    alone = [0.0] * len(counts)
    for name, count in enumerate(counts):
        prices = []
        for source, (nodes, need) in classes[name].fits.items() if count else ():
            one = sources[source]
            if left.most(one):
                prices.append(nodes * one.price / max(1, how_many(need, one.size)))
        alone[name] = max(1e-9, min(prices, default=1e-9))
    return alone
