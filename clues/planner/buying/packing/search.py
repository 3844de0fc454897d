"""The most valuable filling of one node, looked for by branch and bound.

With fractions of tasks allowed, the best filling is a linear program of two to four rows (CPUs, memory, each type of
GPU), whose shadow prices say what a share of each resource is worth. No task is worth more than what it takes of them,
and those that are worth nearly that come first. A branch ends where what is free could not better the best filling that
is known, even if all of it were used as well as by the best task that is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
    axes = [axis for axis, most in enumerate(size) if most]
    rows = range(len(axes))
    columns = [(tuple(dict(item.parts).get(axis, 0) / size[axis] for axis in axes), item.value) for item in items] + [
        (tuple(float(row == other) for other in rows), 0.0) for row in rows
    ]
    lines = [[float(row == column) for column in rows] for row in rows]
    amounts = [1.0] * len(axes)
    prices = [0.0] * len(axes)
    for _ in range(8 * len(axes)):
        gain, entering = _TINY, None
        for shares, value in columns:
            for price, share in zip(prices, shares, strict=True):
                value -= price * share
            if value > gain:
                gain, entering = value, shares
        if entering is None:
            break
        moved = [sum(map(float.__mul__, line, entering)) for line in lines]
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
    order = [item for *_, item in ranked]
    density = [min(1.0, one[0]) for one in ranked]
    best, found, looked = least, dict[int, int](), 0
    free, chosen = list(size), [0] * len(order)

    def walk(at: int, value: float) -> None:
        nonlocal best, found, looked
        if value > best + _TINY:
            best = value
            found = {order[place].name: count for place, count in enumerate(chosen) if count}
        worth = 0.0
        for axis, price in enumerate(prices):
            worth += price * free[axis]
        for place in range(at, len(order)):
            if value + worth * density[place] <= best + _TINY or looked >= visits:
                return
            item = order[place]
            most = item.most
            for axis, amount in item.parts:
                if free[axis] < amount * most:
                    most = free[axis] // amount
            if most <= 0:
                continue
            looked += 1
            for axis, amount in item.parts:
                free[axis] -= amount * most
            for count in range(most, 0, -1):
                chosen[place] = count
                walk(place + 1, value + item.value * count)
                for axis, amount in item.parts:
                    free[axis] += amount
                if looked >= visits:
                    for axis, amount in item.parts:
                        free[axis] += amount * (count - 1)
                    break
            chosen[place] = 0

    walk(0, 0.0)
    return (best if found else 0.0), found, looked + len(order)
