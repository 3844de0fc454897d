"""Gangs: several nodes at one place for each, all or none, and no two shares of one gang on the same node.

Gangs of a class are placed together. On nodes that hold *k* shares, *k* gangs of *n* nodes fill *n* nodes, one share of
each on every node: so all nodes of such a unit belong to each of its gangs, and can be opened together. Where to buy is
decided by what a gang costs then, less what single tasks would pay for what stays free on its nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from clues.planner.buying.packing.problem import Left, Source, Unit, Vector, Wanted
from clues.planner.buying.packing.shadow import Column


def take_columns(
    sources: Sequence[Source],
    classes: Sequence[Wanted],
    columns: Sequence[Column],
    counts: list[int],
    left: Left,
) -> list[Unit]:
    """Return what of the program's nodes is whole gangs, with single tasks beside them; *counts* becomes the rest."""
    units = []
    for column in sorted(columns, key=lambda one: (-one.count, one.source)):
        fits = {name: classes[name].fits[column.source][0] for name in column.filling}
        together = max(fits.values())
        if together == 1:
            continue
        for _ in range(min(int(column.count + 1e-6), left.most(sources[column.source])) // together):
            gangs = {
                name: min(counts[name], share * together // fits[name])
                for name, share in column.filling.items()
                if fits[name] > 1
            }
            gangs = {name: count for name, count in gangs.items() if count}
            if not any(fits[name] == together for name in gangs):
                break
            nodes: list[dict[int, int]] = [{} for _ in range(together)]
            for name, count in gangs.items():
                _deal_out(name, count * fits[name], nodes)
                counts[name] -= count
            for name, share in column.filling.items():
                for filling in nodes if fits[name] == 1 else ():
                    if count := min(share, counts[name]):
                        filling[name] = count
                        counts[name] -= count
            left.take(sources[column.source], together)
            units.append(Unit(column.source, nodes, gangs))
    return units


def _deal_out(name: int, shares: int, nodes: Sequence[dict[int, int]]) -> None:
    for share in range(shares):
        filling = nodes[share % len(nodes)]
        filling[name] = filling.get(name, 0) + 1


def place_gangs(
    sources: Sequence[Source],
    name: int,
    wanted: Wanted,
    count: int,
    units: list[Unit],
    left: Left,
    free_of: Callable[[Unit, int], Vector],
    price_of: Callable[[int], float],
    worth: Callable[[int, Vector], float],
) -> int:
    """Place as many of *count* gangs of a class as can be had, in room that is left first; return how many were.

    :param free_of: what is free on a node of a unit.
    :param price_of: what a node of a source costs, with what it takes of scarce limits.
    :param worth: what single tasks would pay for so much of a source's node.
    """
    done = _on_what_is_left(name, wanted, count, units, free_of)
    while done < count:
        best: tuple[float, int, int, int] | None = None
        for source, (nodes, need) in wanted.fits.items():
            one = sources[source]
            shares = _how_many(need, one.size)
            most = left.most(one)
            if most < nodes or not shares:
                continue
            gangs = min(count - done, most // nodes * shares)
            bought = nodes * -(-gangs // shares)
            on_each = min(gangs, shares)
            free = tuple(have - use * on_each for have, use in zip(one.size, need, strict=True))
            cost = bought * (price_of(source) - worth(source, free))
            if best is None or (cost / gangs, source) < best[:2]:
                best = cost / gangs, source, gangs, shares
        if best is None:
            break
        _, source, gangs, shares = best
        nodes = wanted.fits[source][0]
        for unit in _deal(source, name, nodes, gangs, shares):
            left.take(sources[source], len(unit.nodes))
            units.append(unit)
        done += gangs
    return done


def _deal(source: int, name: int, nodes: int, gangs: int, shares: int) -> list[Unit]:
    """Return *gangs* on as many nodes as each of them has, as many gangs on these as the nodes hold."""
    units = []
    whole, rest = divmod(gangs, shares)
    for part in [shares] * whole + [rest] * (rest > 0):
        fillings: list[dict[int, int]] = [{} for _ in range(nodes)]
        _deal_out(name, part * nodes, fillings)
        units.append(Unit(source, fillings, {name: part}))
    return units


def _on_what_is_left(
    name: int,
    wanted: Wanted,
    count: int,
    units: list[Unit],
    free_of: Callable[[Unit, int], Vector],
) -> int:
    """Lay gangs onto nodes that are bought for others, all shares of one into the same unit."""
    done = 0
    for unit in units:
        if unit.source not in wanted.fits or name in unit.gangs:
            continue
        nodes, need = wanted.fits[unit.source]
        while done < count:
            spots = [index for index in range(len(unit.nodes)) if _how_many(need, free_of(unit, index))]
            if len(spots) < nodes:
                break
            for index in spots[:nodes]:
                unit.nodes[index][name] = unit.nodes[index].get(name, 0) + 1
            unit.gangs[name] = unit.gangs.get(name, 0) + 1
            done += 1
    return done


def _how_many(need: Vector, room: Vector) -> int:
    return min((have // use for have, use in zip(room, need, strict=True) if use), default=0)
