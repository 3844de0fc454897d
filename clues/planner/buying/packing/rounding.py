"""Whole nodes, from shadow prices: what the linear program has in whole numbers, then the rest by value for money.

The rest is then bettered: some of the nodes that give least for their money are taken back, and their tasks are laid
into what the others have left and onto other nodes; that stays which costs less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clues.planner.buying.packing.filling import Needs, Order, fill, orders_of
from clues.planner.buying.packing.problem import Left, Source
from clues.planner.buying.packing.shadow import Shadows
from clues.planner.buying.packing.work import Work

#: so many nodes are looked at again, of each filling so many, up to so many at once
_BETTERED = 60
_ALIKE = 3
_WIDEST = 6


@dataclass
class Lot:
    """Nodes of one source that hold the same."""

    source: int
    filling: dict[int, int]
    count: int = 1
    #: what is free on each of them, once somebody asked
    free: list[int] | None = None


class Rounder:
    """Makes whole nodes for single tasks."""

    def __init__(self, sources: Sequence[Source], needs: Mapping[int, Needs], left: Left, work: Work) -> None:
        self.sources, self.needs, self.left, self.work = sources, needs, left, work
        #: in which orders tasks are taken, with these values
        self._values: Sequence[float] = ()
        self._orders: dict[int, list[Order]] = {}
        self._parts = {source: dict(ready.entries) for source, ready in needs.items()}

    def whole(self, shadows: Shadows, counts: list[int]) -> list[Lot]:
        """Take the whole part of the program's nodes; *counts* becomes what is left."""
        lots = []
        for column in sorted(shadows.columns, key=lambda one: (-one.count, one.source)):
            times = min(int(column.count + 1e-6), self.left.most(self.sources[column.source]))
            for name, count in column.filling.items():
                times = min(times, counts[name] // count)
            if times > 0:
                lots.append(self._have(column.source, dict(column.filling), times, counts))
        return lots

    def rest(self, values: Sequence[float], worth: Sequence[float], counts: list[int]) -> list[Lot]:
        """Buy for what is left by value for money, until nothing is left or nothing can be had."""
        lots: list[Lot] = []
        # there is only less to take: a filling stays the best as long as it can be had
        known: dict[int, tuple[float, dict[int, int]]] = {}
        prices = {
            source: max(
                1e-9, self.sources[source].price + sum(worth[row] * use for row, use in self.sources[source].uses)
            )
            for source in self.needs
            if self.left.most(self.sources[source])
        }
        while any(counts):
            best: tuple[float, float, int, dict[int, int]] | None = None
            for source, price in prices.items():
                ready = self.needs[source]
                found = known.get(id(ready))
                if found is None or any(counts[name] < count for name, count in found[1].items()):
                    found = fill(ready, ready.values_here(values), counts, self._orders_of(ready, values))
                    known[id(ready)] = found
                    self.work.spend(len(ready.entries) * 4)
                value, filling = found
                if not filling:
                    continue
                score = value / price
                if best is None or score > best[0] + 1e-9 or (score > best[0] - 1e-9 and -price > best[1]):
                    best = score, -price, source, filling
            if best is None:
                break
            one = self.sources[best[2]]
            times = min(counts[name] // count for name, count in best[3].items())
            times = min(times, self.left.most(one))
            lots.append(self._have(best[2], dict(best[3]), times, counts))
            rows = {row for row, _ in one.uses}
            for source in list(prices):  # which of them can still be had
                other = self.sources[source]
                if any(row in rows for row, _ in other.uses) and not self.left.most(other):
                    del prices[source]
        return lots

    def _orders_of(self, ready: Needs, values: Sequence[float]) -> list[Order]:
        if self._values is not values:
            self._values, self._orders = values, {}
        if id(ready) not in self._orders:
            self._orders[id(ready)] = orders_of(ready, ready.values_here(values))
        return self._orders[id(ready)]

    def _cheaper_rest(self, values: Sequence[float], worth: Sequence[float], counts: list[int]) -> list[Lot]:
        """Buy for what is left: with what limits are worth, or as if they were worth nothing."""
        if not any(counts):
            return []
        state = list(counts), list(self.left.rows)
        careful = self.rest(values, worth, counts)
        if not any(worth):
            return careful
        score, after = (sum(counts), self.cost(careful)), (list(counts), list(self.left.rows))
        counts[:], self.left.rows[:] = state
        careless = self.rest(values, [0.0] * len(worth), counts)
        if (sum(counts), self.cost(careless)) < score:
            return careless
        counts[:], self.left.rows[:] = after
        return careful

    def _have(self, source: int, filling: dict[int, int], times: int, counts: list[int]) -> Lot:
        self.left.take(self.sources[source], times)
        for name, count in filling.items():
            counts[name] -= count * times
        return Lot(source, filling, times)

    def give_back(self, lots: Sequence[Lot], counts: list[int]) -> None:
        """Undo purchases."""
        for lot in lots:
            self.left.take(self.sources[lot.source], -lot.count)
            for name, count in lot.filling.items():
                counts[name] += count * lot.count

    def cost(self, lots: Sequence[Lot]) -> float:
        """Return what lots cost an hour."""
        return sum(self.sources[lot.source].price * lot.count for lot in lots)

    def better(self, lots: list[Lot], values: Sequence[float], worth: Sequence[float], counts: list[int]) -> list[Lot]:
        """Return nodes that hold the same for no more, after trying to do without some of them."""
        lots = sorted(lots, key=lambda lot: (self._use(lot, values), lot.source))
        single: list[Lot] = []
        while lots and len(single) < _BETTERED:
            lot = lots.pop(0)
            single += [Lot(lot.source, dict(lot.filling)) for _ in range(min(lot.count, _ALIKE))]
            if lot.count > _ALIKE:
                lots.append(Lot(lot.source, lot.filling, lot.count - _ALIKE))
                if len(lots) == 1:
                    break
        missing, width, start = sum(counts), 1, 0
        while self.work and len(single) > 1 and width <= _WIDEST:
            if start >= len(single):
                width, start = width + 1, 0
                continue
            chosen, others = single[start : start + width], single[:start] + single[start + width :]
            start += 1
            before, state = self.cost(chosen), (list(counts), list(self.left.rows))
            self.give_back(chosen, counts)
            moved = self._lay_into(others, counts)
            new = self._cheaper_rest(values, worth, counts)
            if sum(counts) <= missing and self.cost(new) < before - 1e-7:
                single = sorted([*others, *new], key=lambda lot: (self._use(lot, values), lot.source))
                # what came as several is gone on with one by one
                single = [one for lot in single for one in self._apart(lot)]
                missing, start = sum(counts), max(0, start - 2)
                continue
            for lot, name, count in moved:
                lot.filling[name] -= count
                for axis, amount in self._parts[lot.source][name]:
                    self._free(lot)[axis] += amount * count
                if not lot.filling[name]:
                    del lot.filling[name]
            counts[:], self.left.rows[:] = state
        return [*lots, *single]

    @staticmethod
    def _apart(lot: Lot) -> list[Lot]:
        return [lot] if lot.count == 1 else [Lot(lot.source, dict(lot.filling)) for _ in range(lot.count)]

    def _use(self, lot: Lot, values: Sequence[float]) -> float:
        value = sum(values[name] * count for name, count in lot.filling.items())
        return value / max(self.sources[lot.source].price, 1e-9)

    def _free(self, lot: Lot) -> list[int]:
        if lot.free is None:
            lot.free = list(self.needs[lot.source].size)
            for name, count in lot.filling.items():
                for axis, amount in self._parts[lot.source][name]:
                    lot.free[axis] -= amount * count
        return lot.free

    def _lay_into(self, lots: Sequence[Lot], counts: list[int]) -> list[tuple[Lot, int, int]]:
        """Lay tasks into what nodes have left, the largest first; return what was laid where."""
        moved = []
        pending = [name for name, count in enumerate(counts) if count]
        for lot in lots:
            parts_of, room, most = self._parts[lot.source], self._free(lot), self.needs[lot.source].most
            fitting = [name for name in pending if name in parts_of]
            self.work.spend(4 + 4 * len(fitting))
            if len(fitting) > 1:
                shares = self.needs[lot.source].shares[0]
                fitting.sort(key=lambda name: -shares[name])
            for name in fitting:
                count = counts[name]
                if name in most:
                    count = min(count, most[name] - lot.filling.get(name, 0))
                for axis, amount in parts_of[name]:
                    if room[axis] < amount * count:
                        count = room[axis] // amount
                if count > 0:
                    for axis, amount in parts_of[name]:
                        room[axis] -= amount * count
                    lot.filling[name] = lot.filling.get(name, 0) + count
                    counts[name] -= count
                    moved.append((lot, name, count))
        return moved
