"""Gangs: several nodes at one place for each, all or none, and no two shares of one gang on the same node.

Where the program has shares of a class of gangs tells how many gangs each place is allotted (:func:`allot`). Their
shares are then packed as single tasks that may only lie there, and :func:`deal` says which gang has which of them.
*G* gangs of *n* nodes can be dealt from nodes with *c1*, *c2*, ... shares if the sum of min(*ci*, *G*) is at least
*n G*; giving each gang in turn the nodes with most left finds such a way (Gale and Ryser 1957).

What could not be dealt is placed by :func:`choose`: on as few new nodes of one source as hold it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from heapq import heapify, heappop, heappush

from clues.planner.buying.packing.problem import Left, Source, Vector, Wanted
from clues.planner.buying.packing.shadow import Column

#: Where a gang's nodes can be together: the place of their sources, and how many nodes it takes there.
Place = tuple[str, int]


def place_of(sources: Sequence[Source], wanted: Wanted, source: int) -> Place:
    """Return where a gang's share on a node of this source belongs to."""
    return sources[source].place, wanted.fits[source][0]


#: How many gangs of which class go where, or can.
Allotment = Mapping[tuple[int, Place], int]


def allot(
    sources: Sequence[Source],
    classes: Sequence[Wanted],
    columns: Sequence[Column],
    gangs: Mapping[int, int],
    most: Allotment,
) -> dict[tuple[int, Place], int]:
    """Return how many whole gangs of each class go where, as the program has their shares.

    :param gangs: how many there are of each class.
    :param most: where not so many could be had as an earlier allotment said, how many could.
    """
    shares: dict[int, dict[Place, float]] = {name: {} for name in gangs}
    for column in columns:
        for name, count in column.filling.items():
            if name in shares:
                place = place_of(sources, classes[name], column.source)
                here = shares[name]
                here[place] = here.get(place, 0.0) + count * column.count / place[1]
    found: dict[tuple[int, Place], int] = {}
    for name, count in gangs.items():
        rest = count
        parts = sorted(shares[name].items(), key=lambda item: (-item[1], item[0]))
        for place, many in parts:
            found[name, place] = min(rest, int(many + 1e-6), most.get((name, place), rest))
            rest -= found[name, place]
        # what is left goes where most was cut off, then where there is most
        for place, _ in sorted(parts, key=lambda item: (-(item[1] + 1e-6) % 1.0, item[0])):
            if rest > 0 and found[name, place] < most.get((name, place), count):
                found[name, place] += 1
                rest -= 1
        for place, _ in parts:
            if (name, place) not in most:
                found[name, place] += rest
                break
    return {key: count for key, count in found.items() if count}


def deal(holders: Sequence[tuple[int, int, object]], nodes: int, gangs: int) -> list[tuple[int, ...]]:
    """Return the nodes of as many of *gangs* as can be had, each of them on *nodes* different ones.

    :param holders: a node, how many shares it has, and what nodes have in common that are alike.
    """
    blocks = _in_blocks(holders, nodes, gangs)
    if len(blocks) == gangs:
        return blocks
    plain = _in_turn({node: count for node, count, _ in holders}, nodes, gangs)
    return plain if len(plain) > len(blocks) else blocks


def _in_blocks(holders: Sequence[tuple[int, int, object]], nodes: int, gangs: int) -> list[tuple[int, ...]]:
    """Deal nodes that are alike in blocks, so that few gangs have nodes in common with others; then in turn."""
    left = {node: min(count, gangs) for node, count, _ in holders}
    alike: dict[tuple[int, object], list[int]] = {}
    for node, count, kind in holders:
        alike.setdefault((count, kind), []).append(node)
    found: list[tuple[int, ...]] = []
    for (count, _), members in alike.items():
        for first in range(0, len(members) - nodes + 1, nodes):
            block = tuple(members[first : first + nodes])
            times = min(count, gangs - len(found))
            found += [block] * times
            for node in block:
                left[node] -= times
    return found + _in_turn(left, nodes, gangs - len(found))


def _in_turn(left: Mapping[int, int], nodes: int, gangs: int) -> list[tuple[int, ...]]:
    most_left = [(-min(count, gangs), node) for node, count in left.items() if count > 0]
    heapify(most_left)
    found: list[tuple[int, ...]] = []
    while len(found) < gangs and len(most_left) >= nodes:
        chosen = [heappop(most_left) for _ in range(nodes)]
        found.append(tuple(node for _, node in chosen))
        for minus, node in chosen:
            if minus < -1:
                heappush(most_left, (minus + 1, node))
    return found


def choose(
    sources: Sequence[Source],
    wanted: Wanted,
    count: int,
    left: Left,
    price_of: Callable[[int], float],
    worth: Callable[[int, Vector], float],
) -> tuple[int, int, int] | None:
    """Return on new nodes of which source gangs of a class cost least, how many of them, and how many on one node;
    None where none can be had.

    :param price_of: what a node of a source costs, with what it takes of scarce limits.
    :param worth: what others would pay for so much of a source's node.
    """
    best: tuple[float, int, int, int] | None = None
    for source, (nodes, need) in wanted.fits.items():
        one = sources[source]
        shares = how_many(need, one.size)
        most = left.most(one)
        if most < nodes or not shares:
            continue
        gangs = min(count, most // nodes * shares)
        bought = nodes * -(-gangs // shares)
        on_each = min(gangs, shares)
        free = tuple(have - use * on_each for have, use in zip(one.size, need, strict=True))
        cost = bought * (price_of(source) - worth(source, free))
        if best is None or (cost / gangs, source) < best[:2]:
            best = cost / gangs, source, gangs, shares
    return None if best is None else best[1:]


def how_many(need: Vector, room: Vector) -> int:
    """Return how many times a need fits."""
    return min((have // use for have, use in zip(room, need, strict=True) if use), default=0)
