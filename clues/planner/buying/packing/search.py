"""The most valuable filling of one node, looked for by branch and bound.

With fractions of tasks allowed, the best filling is a linear program of two to four rows (CPUs, memory, each type of
GPU), whose shadow prices say what a share of each resource is worth. No task is worth more than what it takes of them,
and those that are worth nearly that come first. A branch ends where what is free could not better the best filling that
is known, even if all of it were used as well as by the best task that is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import mul

from clues.planner.buying.packing.problem import Vector

_TINY = 1e-9


@dataclass(slots=True)
class Item:
    """A class of tasks that may lie on the node: what one takes (axis, amount), its value, and how many there are."""

    name: int
    parts: tuple[tuple[int, int], ...]
    value: float
    most: int


def resource_prices(items: Sequence[Item], size: Vector) -> list[float]:
    """Return what one unit of each resource is worth where tasks can be divided: the simplex method, with the node as
    one of each resource."""
    axes = tuple(axis for axis, most in enumerate(size) if most)
    rows = range(len(axes))
    columns = [(_shares(item.parts, size, axes), item.value) for item in items]
    columns += [(tuple(float(row == other) for other in rows), 0.0) for row in rows]
    lines = [[float(row == column) for column in rows] for row in rows]
    amounts = [1.0] * len(axes)
    prices = [0.0] * len(axes)
    for _ in range(8 * len(axes)):
        gain, entering = _TINY, None
        for shares, value in columns:
            value -= sum(map(mul, prices, shares))
            if value > gain:
                gain, entering = value, shares
        if entering is None:
            break
        moved = [sum(map(mul, line, entering)) for line in lines]
        leaving = min((row for row in rows if moved[row] > _TINY), key=lambda row: (amounts[row] / moved[row], row))
        line, amount = [number / moved[leaving] for number in lines[leaving]], amounts[leaving] / moved[leaving]
        for row in rows:
            if row != leaving:
                lines[row] = [old - moved[row] * new for old, new in zip(lines[row], line, strict=True)]
                amounts[row] = max(0.0, amounts[row] - moved[row] * amount)
        lines[leaving], amounts[leaving] = line, amount
        prices = [old + gain * new for old, new in zip(prices, line, strict=True)]
    found = [0.0] * len(size)
    for axis, price in zip(axes, prices, strict=True):
        found[axis] = max(0.0, price) / size[axis]
    return found


@lru_cache(4096)
def _shares(parts: tuple[tuple[int, int], ...], size: Vector, axes: tuple[int, ...]) -> tuple[float, ...]:
    amounts = dict(parts)
    return tuple(amounts.get(axis, 0) / size[axis] for axis in axes)


def search(size: Vector, items: Sequence[Item], least: float, visits: int) -> tuple[float, dict[int, int], int]:
    """Return the most valuable filling that was found, if it is worth more than *least*, and how much was looked at.

    :param visits: how many branches may be looked at; a filling that is found with so many left is the best there is.
    """
    prices = resource_prices(items, size)
    ranked = []
    for item in items:
        takes = sum(prices[axis] * amount for axis, amount in item.parts)
        ranked.append((item.value / takes if takes > _TINY else 1.0, takes, item))
    ranked.sort(key=lambda one: (-one[0], -one[1], one[2].name))
    worth = sum(price * amount for price, amount in zip(prices, size, strict=True))
    if worth * min(1.0, max((density for density, *_ in ranked), default=0.0)) <= least + _TINY:
        return 0.0, {}, len(ranked)
    order = [item for *_, item in ranked]
    walk = _walk_three if len(size) <= 3 else _walk_any
    best, chosen, looked = walk(size, prices, order, [min(1.0, one[0]) for one in ranked], least, visits)
    found = {order[place].name: count for place, count in enumerate(chosen) if count}
    return (best if found else 0.0), found, looked + len(order)


def _walk_three(
    size: Vector, prices: Sequence[float], order: Sequence[Item], density: Sequence[float], least: float, visits: int
) -> tuple[float, list[int], int]:
    """Look through the branches of a node with no more than one type of GPU: its three numbers by name, as this is
    what planning does most of the time."""
    places = range(len(order))
    ends = [places[at:] for at in range(len(order) + 1)]
    items = [(*_padded(item.parts), item.value, item.most) for item in order]
    first, second, third = (*prices, 0.0, 0.0)[:3]
    dense = [*density, 0.0]
    best, looked, chosen = max(0.0, least), 0, [0] * len(order)
    found = list(chosen)

    def walk(at: int, value: float, cpus: int, memory: int, gpus: int) -> None:
        nonlocal best, found, looked
        worth = first * cpus + second * memory + third * gpus
        for place in ends[at]:
            if value + worth * dense[place] <= best + _TINY or looked >= visits:
                return
            one, two, three, each, most = items[place]
            if cpus < one * most:
                most = cpus // one
            if memory < two * most:
                most = memory // two
            if gpus < three * most:
                most = gpus // three
            if most <= 0:
                continue
            looked += 1
            after = place + 1
            for count in range(most, 0, -1):
                chosen[place] = count
                better = value + each * count
                if better > best + _TINY:
                    best, found = better, chosen[:]
                left, more, rest = cpus - one * count, memory - two * count, gpus - three * count
                # mostly there is nothing left to gain, and that is seen sooner than a call is made
                if better + (first * left + second * more + third * rest) * dense[after] > best + _TINY:
                    walk(after, better, left, more, rest)
                if looked >= visits:
                    break
            chosen[place] = 0

    walk(0, 0.0, *(*size, 0, 0)[:3])
    return best, found, looked


def _padded(parts: Sequence[tuple[int, int]]) -> tuple[int, int, int]:
    amounts = [0, 0, 0]
    for axis, amount in parts:
        amounts[axis] = amount
    return amounts[0], amounts[1], amounts[2]


def _walk_any(
    size: Vector, prices: Sequence[float], order: Sequence[Item], density: Sequence[float], least: float, visits: int
) -> tuple[float, list[int], int]:
    """Look through the branches of a node with GPUs of several types."""
    best, looked, chosen = least, 0, [0] * len(order)
    found = list(chosen)

    def walk(at: int, value: float, free: Sequence[int]) -> None:
        nonlocal best, found, looked
        if value > best + _TINY:
            best, found = value, chosen[:]
        worth = sum(map(mul, prices, free))
        for place in range(at, len(order)):
            if value + worth * density[place] <= best + _TINY or looked >= visits:
                return
            item = order[place]
            most = min(item.most, *(free[axis] // amount for axis, amount in item.parts))
            if most <= 0:
                continue
            looked += 1
            for count in range(most, 0, -1):
                chosen[place] = count
                rest = list(free)
                for axis, amount in item.parts:
                    rest[axis] -= amount * count
                walk(place + 1, value + item.value * count, rest)
                if looked >= visits:
                    break
            chosen[place] = 0

    walk(0, 0.0, size)
    return best, found, looked
