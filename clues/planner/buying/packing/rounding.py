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

#: What a filling is worth, and how many tasks of each class it has.
Filled = tuple[float, dict[int, int]]
#: Classes, and how many tasks of each are left.
_Pending = tuple[tuple[int, int], ...]


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
        self._filled: dict[tuple[int, _Pending], Filled] = {}
        #: by what limits are worth, the sources of each kind of nodes by price
        self._ranked: list[tuple[Sequence[float], list[tuple[Needs, list[tuple[float, int]]]]]] = []
        self._nothing = [0.0] * len(left.rows)
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

    def most_of_one(self, shadows: Shadows, counts: list[int]) -> list[Lot]:
        """Take one node, of which the program has most; *counts* becomes what is left."""
        for column in sorted(shadows.columns, key=lambda one: (-one.count, one.source)):
            filling = {name: min(count, counts[name]) for name, count in column.filling.items() if counts[name]}
            if filling and self.left.most(self.sources[column.source]):
                return [self._have(column.source, filling, 1, counts)]
        return []

    def rest(self, values: Sequence[float], worth: Sequence[float], counts: list[int]) -> list[Lot]:
        """Buy for what is left by value for money, until nothing is left or nothing can be had."""
        lots: list[Lot] = []
        groups = self._by_price(worth)
        cheapest = [0] * len(groups)
        # there is only less to take: a filling stays the best as long as it can be had
        known: list[Filled | None] = [None] * len(groups)
        pending = self._pending(counts)
        while pending:
            best: tuple[float, float, int, dict[int, int]] | None = None
            self.work.spend(10 * len(groups))
            for at, (ready, offers) in enumerate(groups):
                if cheapest[at] >= len(offers):
                    continue
                found = known[at]
                if found is None or any(counts[name] < count for name, count in found[1].items()):
                    found = known[at] = self._fill(ready, values, counts, pending)
                value, filling = found
                if not filling:
                    cheapest[at] = len(offers)
                    continue
                price = offers[cheapest[at]][0]
                score = value / price
                if best is None or score > best[0] + 1e-9 or (score > best[0] - 1e-9 and -price > best[1]):
                    best = score, -price, at, filling
            if best is None:
                break
            source = groups[best[2]][1][cheapest[best[2]]][1]
            times = self.left.most(self.sources[source])
            if not times:
                cheapest[best[2]] += 1
                continue
            times = min(times, *(counts[name] // count for name, count in best[3].items()))
            lots.append(self._have(source, dict(best[3]), times, counts))
            pending = self._pending(counts)
        return lots

    @staticmethod
    def _pending(counts: Sequence[int]) -> _Pending:
        return tuple([(name, count) for name, count in enumerate(counts) if count])

    def _fill(self, ready: Needs, values: Sequence[float], counts: Sequence[int], pending: _Pending) -> Filled:
        """Fill a node for what is left; looked up where as much was left before."""
        if self._values is not values:
            self._values, self._orders, self._filled = values, {}, {}
        key = id(ready), pending
        found = self._filled.get(key)
        if found is None:
            here = ready.values_here(values)
            if id(ready) not in self._orders:
                self._orders[id(ready)] = orders_of(ready, here)
            found = self._filled[key] = fill(ready, here, counts, self._orders[id(ready)])
            self.work.spend(len(ready.entries) * 4)
        return found

    def _by_price(self, worth: Sequence[float]) -> list[tuple[Needs, list[tuple[float, int]]]]:
        """Return what fits where, each with its sources from the cheapest on, where limits are worth so much."""
        for known, found in self._ranked:
            if known is worth:
                return found
        groups: dict[int, tuple[Needs, list[tuple[float, int]]]] = {}
        for source, ready in self.needs.items():
            one = self.sources[source]
            price = max(1e-9, one.price + sum(worth[row] * use for row, use in one.uses))
            groups.setdefault(id(ready), (ready, []))[1].append((price, source))
        for _, offers in groups.values():
            offers.sort()
        self._ranked.append((worth, list(groups.values())))
        return self._ranked[-1][1]

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
        careless = self.rest(values, self._nothing, counts)
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
            moved = self.lay_into(others, counts)
            new = self._cheaper_rest(values, worth, counts)
            if (sum(counts), self.cost(new)) < (missing, before - 1e-7):
                single = sorted([*others, *new], key=lambda lot: (self._use(lot, values), lot.source))
                # what came as several is gone on with one by one
                single = [one for lot in single for one in self.apart(lot)]
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
    def apart(lot: Lot) -> list[Lot]:
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

    def lay_into(self, lots: Sequence[Lot], counts: list[int]) -> list[tuple[Lot, int, int]]:
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
