"""What a task of each class should cost at most: the shadow prices of the linear program over fillings.

The program is: as many nodes of each source with each filling as are needed to hold all tasks at the least cost under
all limits, fractions of nodes allowed. There are far too many fillings to write down, so they are made as they are
needed (column generation, Gilmore and Gomory 1961): given the shadow prices of now, the most valuable filling of each
source's nodes is looked for; if it is worth more than the node costs it joins the program, which makes the prices
move. When no filling is worth more than its node, the prices say of any node what it is good for.

The simplex method below keeps the inverse of its basis as it is. There are as many rows as classes and limits, some
tens, and the work is bounded: where it runs out the prices of that moment are good enough.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from clues.planner.buying.packing.filling import Needs, fill, fill_best
from clues.planner.buying.packing.problem import Source
from clues.planner.buying.packing.work import Work

#: a task that has no place at all counts for so many times of what it costs by itself
_MISSING = 20.0
_TINY = 1e-9
#: fillings are looked for in passes from coarse to fine: by how much of its price a node has to be worth more than it
#: costs, and how many branches are looked at for its best filling (0: it is filled quickly). What is worth a little is
#: found soon everywhere, and moves the prices little; so what is worth much comes first
_PASSES: Sequence[tuple[float, int]] = (
    (0.1, 0),
    (0.1, 20),
    (0.03, 20),
    (0.01, 20),
    (0.003, 20),
    (0.003, 60),
    (0.003, 1000),
)
#: where there are so few tasks time is not short
_FEW = 800
_PASSES_OF_FEW: Sequence[tuple[float, int]] = ((0.003, 0), (0.003, 1000))
#: what one branch counts for
_VISIT = 30


@dataclass(frozen=True, slots=True)
class Column:
    """So many (a fraction, here) nodes of one source with one filling."""

    source: int
    filling: Mapping[int, int]
    count: float


@dataclass(frozen=True, slots=True)
class Shadows:
    """What one task of each class and one unit of each limit is worth, and the nodes that this follows from."""

    values: Sequence[float]
    limits: Sequence[float]
    columns: Sequence[Column]

    def nodes(self) -> list[tuple[int, Mapping[int, int]]]:
        """Return the nodes without how many."""
        return [(column.source, column.filling) for column in self.columns]


def find_shadows(
    sources: Sequence[Source],
    needs: Mapping[int, Needs],
    counts: Sequence[int],
    alone: Sequence[float],
    limits: Sequence[float],
    work: Work,
    known: Iterable[tuple[int, Mapping[int, int]]] = (),
) -> Shadows:
    """Return the shadow prices.

    :param needs: by source, for those that may be bought.
    :param counts: tasks, or gangs, of each class.
    :param alone: what one task of each class costs where it is cheapest, with nothing but its like beside it.
    :param work: how much may be done.
    :param known: sources with a filling that may be good, to begin with.
    """
    rows = {name: row for row, name in enumerate(name for name, count in enumerate(counts) if count > 0)}
    limit_rows = _binding(sources, needs, limits, len(rows))
    program = _Program(
        [float(counts[name]) for name in rows] + [limits[limit] for limit in limit_rows],
        [alone[name] * _MISSING for name in rows] + [0.0] * len(limit_rows),
        len(rows),
    )
    groups: dict[int, list[int]] = {}
    for source, ready in needs.items():
        groups.setdefault(id(ready), []).append(source)
    queue = list(groups.values())
    values = [0.0] * len(counts)

    def enter(source: int, filling: Mapping[int, int]) -> None:
        gangs, one = needs[source].gangs, sources[source]
        entries = [(rows[name], count / gangs.get(name, 1)) for name, count in filling.items()]
        entries += [(limit_rows[row], use) for row, use in one.uses if row in limit_rows]
        work.spend(program.enter(entries, one.price, (source, filling)))

    for source, filling in known:
        if source in needs and filling and all(name in rows and needs[source].holds(name) for name in filling):
            enter(source, filling)
            work.spend(program.size)
    idle, turn, passes = 0, 0, list(_PASSES if sum(counts) > _FEW else _PASSES_OF_FEW)
    while work and queue and passes:
        gain, visits = passes[0]
        program.tidy()
        for name, row in rows.items():
            values[name] = program.prices[row]
        members = queue[turn % len(queue)]
        turn += 1
        ready = needs[members[0]]
        prices = {
            source: sources[source].price
            - sum(program.prices[limit_rows[row]] * use for row, use in sources[source].uses if row in limit_rows)
            for source in members
        }
        least, source = min(
            (price + gain * max(sources[source].price, 1e-3), source) for source, price in prices.items()
        )
        here = ready.values_here(values)
        if visits:
            value, filling, looked = fill_best(ready, here, counts, least, visits)
            work.spend(_VISIT * looked)
        else:
            value, filling = fill(ready, here, counts)
            work.spend(2 * len(ready.entries) * len(ready.shares))
        if value <= least:
            idle += 1
            if idle >= len(queue):
                idle = 0
                passes.pop(0)
            continue
        idle = 0
        enter(source, filling)
    program.tidy()
    for name, row in rows.items():
        values[name] = max(0.0, program.prices[row])
    worth = [0.0] * len(limits)
    for limit, row in limit_rows.items():
        worth[limit] = max(0.0, -program.prices[row])
    return Shadows(values, worth, [Column(*what, count) for what, count in program.nodes()])


def _binding(
    sources: Sequence[Source], needs: Mapping[int, Needs], limits: Sequence[float], first: int
) -> dict[int, int]:
    """Return the rows of the limits that some source uses."""
    used = sorted({row for source in needs for row, _ in sources[source].uses if limits[row] < 1e8})
    return {limit: first + place for place, limit in enumerate(used)}


class _Program:
    """The simplex method for: cover at least so much, use at most so much."""

    def __init__(self, amounts: list[float], costs: list[float], covers: int) -> None:
        self.size = len(amounts)
        self.covers = covers
        self.amounts = amounts
        self.costs = costs
        #: of the basis, by columns: most rows have few entries, so that most columns stay as they are
        self.inverse = [[float(row == column) for row in range(self.size)] for column in range(self.size)]
        self.basis: list[tuple[int, Mapping[int, int]] | None] = [None] * self.size
        self.prices = list(costs)

    def enter(
        self, entries: Sequence[tuple[int, float]], cost: float, what: tuple[int, Mapping[int, int]] | None
    ) -> int:
        """Let a column into the basis, and return in how many steps; 0 when it would change nothing."""
        reduced = cost - sum(self.prices[row] * value for row, value in entries)
        if reduced >= 0:
            return 0
        moved = self._moved(entries)
        leaving, least = -1, 0.0
        for row, change in enumerate(moved):
            if change > _TINY:
                ratio = self.amounts[row] / change
                if leaving < 0 or ratio < least - _TINY or (ratio < least + _TINY and change > moved[leaving]):
                    leaving, least = row, ratio
        if leaving < 0:
            return 0
        pivot = moved[leaving]
        amount = self.amounts[leaving] / pivot
        self.amounts = [max(0.0, old - change * amount) for old, change in zip(self.amounts, moved, strict=True)]
        self.amounts[leaving] = amount
        steps = 2 * self.size
        changes = [(row, change) for row, change in enumerate(moved) if change]  # a third of them
        for place, column in enumerate(self.inverse):
            if column[leaving]:
                number = column[leaving] / pivot
                for row, change in changes:
                    column[row] -= change * number
                column[leaving] = number
                self.prices[place] += reduced * number
                steps += self.size
        self.basis[leaving], self.costs[leaving] = what, cost
        return steps

    def _moved(self, entries: Sequence[tuple[int, float]]) -> list[float]:
        """Return by how much the amounts of the basis change for one of a column."""
        (first, amount), *rest = entries
        moved = [number * amount for number in self.inverse[first]]
        for row, amount in rest:
            moved = [old + number * amount for old, number in zip(moved, self.inverse[row], strict=True)]
        return [0.0 if -_TINY < change < _TINY else change for change in moved]

    def tidy(self) -> None:
        """Let in what costs nothing and pays: more than is wanted of a class, less than is allowed of a limit."""
        for _ in range(3 * self.size):
            worst, row = -1e-9, -1
            for place, price in enumerate(self.prices):
                value = price if place < self.covers else -price
                if value < worst:
                    worst, row = value, place
            if row < 0:
                return
            if not self.enter([(row, -1.0 if row < self.covers else 1.0)], 0.0, None):
                return

    def nodes(self) -> list[tuple[tuple[int, Mapping[int, int]], float]]:
        """Return the nodes in the basis, with how many of them."""
        return [
            (what, amount)
            for what, amount in zip(self.basis, self.amounts, strict=True)
            if what is not None and amount > 1e-7
        ]
