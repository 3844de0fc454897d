"""The least that a plan's jobs can cost: proven, by column generation over what one node can hold.

Bounded is what runs on new nodes: who runs on the open ones Slurm decides, by priority. A column is one node of one
pool at one site with a filling. Rows are what has to run, and every limit that the sites, their providers and the
pools set. Where all maximal fillings can be told, the integer program over them is solved, and what HiGHS proves of
it is the bound (its optimum, if it comes to an end). Else the linear program is, with fillings added while one exists
that would make it cheaper; that none does is certain, as the most valuable filling is found exactly. Both know that
nodes are whole where a limit is reached: no part of a node is bought that the limit does not allow as a whole one.

Gangs: *G* gangs of *n* nodes can lie on nodes of one site with *c1*, *c2*, ... shares if, and only if, the sum of
min(*ci*, *t*) is at least *n* x min(*G*, *t*) for every *t* (Gale and Ryser, 1957): no two shares of one gang are on
the same node.  The integer program has these rows for every site, so there the bound knows that gangs are at one site,
on different nodes, and whole; the linear program only knows that there are no more shares on a node than gangs.

What is left out can only make the bound lower, hence the ratio worse: the latter, and that memory is counted in whole
GiB.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import floor

import highspy
import numpy as np

from tests.optimum.instances import Instance
from tests.optimum.patterns import Pattern, Vector, all_fillings, best_filling

#: as many fillings are told one by one at most
MOST_FILLINGS = 12_000
_MISSING = 1e4


@dataclass(frozen=True, slots=True)
class Bound:
    """The least cost of an hour; ``exact``: it is an optimum, and not only a bound."""

    cost: float
    exact: bool
    how: str


@dataclass(frozen=True, slots=True)
class _Source:
    """A kind of node: where a column can come from."""

    size: Vector
    price: float
    #: limit rows and what one node takes of each
    uses: tuple[tuple[int, float], ...]
    #: which asks it may hold
    allowed: tuple[bool, ...]
    site: str


def least_cost(instance: Instance, served: Mapping[str, tuple[int, int]], seconds: float = 20.0) -> Bound:
    """Return what so many jobs of each ask, with so many nodes' worth of them, cost on new nodes at least."""
    asks = [ask for ask in instance.asks if served.get(ask.name)]
    needs = [ask.each for ask in asks]
    gangs = [served[ask.name][0] for ask in asks]
    slots = [served[ask.name][1] for ask in asks]
    if not asks:
        return Bound(0.0, True, "nothing")
    limits: list[float] = []
    sources = _sources(instance, [ask.site for ask in asks], limits)
    sources = [one for one in sources if any(_fits(need, one) for need in needs) and _can_be_had(one, limits)]
    sources = _in_whole_nodes(sources, limits)
    fillings: list[list[Pattern]] = []
    told, all_told = 0, True
    for one in sources:
        most = [min(gang, slot) if fits else 0 for gang, slot, fits in zip(gangs, slots, one.allowed, strict=True)]
        found = all_fillings(one.size, needs, most, MOST_FILLINGS - told)
        if found is None:
            all_told = False
            break
        told += len(found)
        fillings.append(found)
    if all_told:
        whole = [
            gang if ask.nodes > 1 and gang * ask.nodes == slot else 0
            for ask, gang, slot in zip(asks, gangs, slots, strict=True)
        ]
        found_whole = _integer(sources, fillings, slots, limits, whole, seconds)
        if found_whole.exact:
            return found_whole
        return max(found_whole, _linear(sources, needs, slots, limits), key=lambda bound: bound.cost)
    return _linear(sources, needs, slots, limits)


def _fits(need: Vector, source: _Source) -> bool:
    return all(map(int.__le__, need, source.size))


def _can_be_had(source: _Source, limits: Sequence[float]) -> bool:
    """Whether a limit allows one whole node: of a site with 32 CPUs no part of a node of 48 can be bought."""
    return all(amount <= limits[row] + 1e-9 for row, amount in source.uses)


def _in_whole_nodes(sources: Sequence[_Source], limits: list[float]) -> list[_Source]:
    """Return the sources with what follows from limits for whole nodes, as limits of their own.

    Of nodes with 4 GPUs or more a site with 9 has two: the sum of *u* x at most *L* gives, for whole *x*, the sum of
    [*u* / *d*] x at most [*L* / *d*] for every *d* (Gomory and Chvátal).
    """
    uses = [dict(source.uses) for source in sources]
    for row in range(len(limits)):
        for part in sorted({one[row] for one in uses if row in one}):
            most = floor(limits[row] / part + 1e-9)
            if most < limits[row] / part - 1e-9:
                for one in uses:
                    if times := floor(one.get(row, 0.0) / part + 1e-9):
                        one[len(limits)] = float(times)
                limits.append(float(most))
    return [replace(source, uses=tuple(one.items())) for source, one in zip(sources, uses, strict=True)]


def _sources(instance: Instance, pinned: Sequence[str], limits: list[float]) -> list[_Source]:
    """Return all kinds of nodes, and append to *limits* what their rows allow."""
    rows: dict[tuple[str, str], int] = {}

    def row(name: str, what: str, most: float | None) -> int | None:
        if most is None:
            return None
        if (name, what) not in rows:
            rows[name, what] = len(limits)
            limits.append(most)
        return rows[name, what]

    found = []
    for pool in instance.pools.values():
        for name, price in pool.prices.items():
            site = instance.sites[name]
            cpus, gib, gpus = pool.size
            uses = (
                (row(name, "vms", site.vms), 1),
                (row(name, "cpus", site.cpus), cpus),
                (row(name, "gib", site.gib), gib),
                (row(name, "gpus", site.gpus), gpus),
                (row(name, "cost", site.cost), price),
                (row(name, "quota", site.quota_cpus), cpus),
                (row(pool.name, "pool", pool.most), 1),
            )
            allowed = tuple(one in ("", name) for one in pinned)
            kept = tuple((index, float(amount)) for index, amount in uses if index is not None and amount)
            found.append(_Source(pool.size, price, kept, allowed, name))
    return found


def _integer(
    sources: Sequence[_Source],
    fillings: Sequence[Sequence[Pattern]],
    slots: Sequence[int],
    limits: Sequence[float],
    whole: Sequence[int],
    seconds: float,
) -> Bound:
    """:param whole: of asks for gangs that lie on new nodes with all that they have: how many there are."""
    program = _program(slots, limits, missing=False)
    rows = _add_gangs(program, sources, slots, whole)
    for source, found in zip(sources, fillings, strict=True):
        for filling in found:
            shared = [
                (row, float(min(filling[ask], most)))
                for ask, count in enumerate(whole)
                if count and filling[ask]
                for most, row in rows[ask, source.site]
            ]
            _add(program, source, filling, len(slots), shared, integer=True)
    program.setOptionValue("time_limit", seconds)
    program.setOptionValue("mip_rel_gap", 1e-4)
    program.run()
    info = program.getInfo()
    exact = program.getModelStatus() == highspy.HighsModelStatus.kOptimal
    return Bound(max(0.0, float(info.mip_dual_bound)), exact, f"integer, {sum(map(len, fillings))} fillings")


def _linear(
    sources: Sequence[_Source], needs: Sequence[Vector], slots: Sequence[int], limits: Sequence[float]
) -> Bound:
    program = _program(slots, limits, missing=True)
    for _ in range(400):
        program.run()
        duals = np.array(program.getSolution().row_dual)
        added = 0
        known: dict[tuple[Vector, tuple[bool, ...]], tuple[float, Pattern]] = {}
        for source in sources:
            key = (source.size, source.allowed)
            if key not in known:
                values = [
                    float(value) if allowed else 0.0
                    for value, allowed in zip(duals[: len(slots)], source.allowed, strict=True)
                ]
                known[key] = best_filling(source.size, needs, values)
            value, filling = known[key]
            price = source.price - sum(float(duals[len(slots) + row]) * amount for row, amount in source.uses)
            if value > price + 1e-7:
                _add(program, source, filling, len(slots), integer=False)
                added += 1
        if not added:
            break
    else:
        raise AssertionError("the columns did not come to an end")
    cost = program.getInfo().objective_function_value
    return Bound(float(cost), False, f"linear, {program.getNumCol() - len(slots)} fillings")


def _program(slots: Sequence[int], limits: Sequence[float], *, missing: bool) -> highspy.Highs:
    program = highspy.Highs()  # type: ignore[no-untyped-call]
    program.setOptionValue("output_flag", False)
    program.setOptionValue("threads", 1)
    nothing: tuple[int, list[int], list[float]] = (0, [], [])
    for slot in slots:
        program.addRow(float(slot), highspy.kHighsInf, *nothing)
    for limit in limits:
        program.addRow(-highspy.kHighsInf, float(limit), *nothing)
    if missing:  # so that there is a solution before there are columns
        for row in range(len(slots)):
            program.addCol(_MISSING, 0.0, highspy.kHighsInf, 1, [row], [1.0])
    return program


def _add_gangs(
    program: highspy.Highs, sources: Sequence[_Source], slots: Sequence[int], whole: Sequence[int]
) -> dict[tuple[int, str], list[tuple[int, int]]]:
    """Add how many gangs are at each site, and return the rows that keep these whole: by ask and site, a row for each
    number of shares on a node that may be as many as there are gangs."""
    found: dict[tuple[int, str], list[tuple[int, int]]] = {}
    for ask, count in enumerate(whole):
        if not count:
            continue
        nodes, chosen = slots[ask] // count, []
        for site in sorted({source.site for source in sources}):
            first = program.getNumRow()
            for _ in range(count):
                program.addRow(0.0, highspy.kHighsInf, 0, [], [])
            found[ask, site] = [(most, first + most - 1) for most in range(1, count + 1)]
            # the n-th gang of the site is missing in the rows of n and more shares
            for number in range(1, count + 1):
                rows = [row for most, row in found[ask, site] if most >= number]
                program.addCol(0.0, 0.0, 1.0, len(rows), rows, [-float(nodes)] * len(rows))
                program.changeColIntegrality(program.getNumCol() - 1, highspy.HighsVarType.kInteger)
                chosen.append((number, program.getNumCol() - 1))
        columns = [column for _, column in chosen]
        program.addRow(float(count), highspy.kHighsInf, len(columns), columns, [1.0] * len(columns))
        for (number, column), (after, following) in pairwise(chosen):
            if after == number + 1:
                program.addRow(0.0, highspy.kHighsInf, 2, [column, following], [1.0, -1.0])
    return found


def _add(
    program: highspy.Highs,
    source: _Source,
    filling: Pattern,
    rows: int,
    besides: Sequence[tuple[int, float]] = (),
    *,
    integer: bool,
) -> None:
    entries = [(row, float(count)) for row, count in enumerate(filling) if count]
    entries += besides
    entries += [(rows + row, amount) for row, amount in source.uses]
    program.addCol(
        source.price,
        0.0,
        highspy.kHighsInf,
        len(entries),
        [row for row, _ in entries],
        [amount for _, amount in entries],
    )
    if integer:
        program.changeColIntegrality(program.getNumCol() - 1, highspy.HighsVarType.kInteger)
