"""One node filled with tasks, for as much value as possible.

That is a knapsack with several dimensions, and an exact answer is not needed: tasks are taken by value for what they
use, as many of each as fit, under several notions of what is scarce; the best of these fillings is returned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clues.planner.buying.packing.problem import Vector
from clues.planner.buying.packing.search import Item, search

#: Classes, and what each needs where it needs something (axis, amount), the best first.
Order = Sequence[tuple[int, tuple[tuple[int, int], ...]]]


@dataclass(frozen=True, slots=True)
class Needs:
    """What the classes that fit a source need there, made ready for quick filling."""

    size: Vector
    #: class, and where it needs something (dimension, amount)
    entries: tuple[tuple[int, tuple[tuple[int, int], ...]], ...]
    #: for each notion of scarcity, what each class uses of a node
    shares: tuple[dict[int, float], ...]
    #: gangs among the classes, and how many nodes each of them takes
    gangs: Mapping[int, int]
    #: classes of which only so many may lie on one node
    most: Mapping[int, int]

    def holds(self, name: int) -> bool:
        """Whether a class fits here."""
        return name in self.shares[0]

    def values_here(self, values: Sequence[float]) -> Sequence[float]:
        """Return what a task is worth here; of a gang, that is its share on one node."""
        if not self.gangs:
            return values
        shared = list(values)
        for name, nodes in self.gangs.items():
            shared[name] /= nodes
        return shared


def make_needs(
    size: Vector,
    needs: Mapping[int, Vector],
    gangs: Mapping[int, int] | None = None,
    most: Mapping[int, int] | None = None,
) -> Needs:
    """Prepare the filling of nodes of this size with these classes."""
    entries = tuple(
        (name, tuple((axis, amount) for axis, amount in enumerate(need) if amount)) for name, need in needs.items()
    )
    axes = [axis for axis, most in enumerate(size) if most]
    notions: list[dict[int, float]] = []
    for scarce in (None, *axes):
        shares = {}
        for name, parts in entries:
            used = [amount / size[axis] * (1.0 if scarce in (None, axis) else 0.25) for axis, amount in parts]
            shares[name] = sum(used) or 1e-9
        notions.append(shares)
    notions.append(
        {name: max((amount / size[axis] for axis, amount in parts), default=1e-9) for name, parts in entries}
    )
    return Needs(size, entries, tuple(notions), gangs or {}, most or {})


def orders_of(needs: Needs, values: Sequence[float]) -> list[Order]:
    """Return in which orders tasks are worth taking, by value for what they use: one for each notion of scarcity."""
    useful = [entry for entry in needs.entries if values[entry[0]] > 1e-12]
    orders: list[Order] = []
    for shares in needs.shares:
        order = sorted(useful, key=lambda entry: (-values[entry[0]] / shares[entry[0]], entry[0]))
        if order not in orders:
            orders.append(order)
    return orders


def fill(
    needs: Needs, values: Sequence[float], counts: Sequence[int], orders: Sequence[Order] | None = None
) -> tuple[float, dict[int, int]]:
    """Return the most valuable filling that was found quickly: its value, and how many tasks of each class.

    :param counts: by class, how many there are at most.
    :param orders: of :func:`orders_of`, where many fillings are looked for with the same values.
    """
    if needs.most:
        counts = _at_most(needs, counts)
    best: tuple[float, dict[int, int]] = (0.0, {})
    for order in orders_of(needs, values) if orders is None else orders:
        found = _in_order(needs.size, order, values, counts)
        if found[0] > best[0] + 1e-12:
            best = found
    return best


def fill_best(
    needs: Needs, values: Sequence[float], counts: Sequence[int], least: float, visits: int
) -> tuple[float, dict[int, int], int]:
    """The same, looked for thoroughly: nothing is returned that is worth less than *least*; how much was looked at."""
    if needs.most:
        counts = _at_most(needs, counts)
    items = [
        Item(name, parts, values[name], counts[name])
        for name, parts in needs.entries
        if counts[name] > 0 and values[name] > 1e-12
    ]
    return search(needs.size, items, least, visits)


def _at_most(needs: Needs, counts: Sequence[int]) -> Sequence[int]:
    limited = list(counts)
    for name, most in needs.most.items():
        limited[name] = min(limited[name], most)
    return limited


def _in_order(
    size: Vector, order: Order, values: Sequence[float], counts: Sequence[int]
) -> tuple[float, dict[int, int]]:
    free = list(size)
    taken: dict[int, int] = {}
    value = 0.0
    for name, parts in order:
        count = counts[name]
        if count <= 0:
            continue
        for axis, amount in parts:
            if free[axis] < amount * count:
                count = free[axis] // amount
        if count:
            for axis, amount in parts:
                free[axis] -= amount * count
            taken[name] = count
            value += values[name] * count
            if not free[0]:  # whatever lies on a node takes CPUs
                break
    return value, taken
