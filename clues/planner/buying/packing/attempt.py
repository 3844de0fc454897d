"""One try to pack so many of each class, beside what is fixed already and into what that has left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clues.planner.buying.packing.filling import fill, make_needs
from clues.planner.buying.packing.fitting import costs_alone, needs_of_all, needs_of_tasks, only_at, single_needs
from clues.planner.buying.packing.gangs import Allotment, Place, allot, choose, deal, how_many, place_of
from clues.planner.buying.packing.lots import pack_lots
from clues.planner.buying.packing.problem import Gang, Left, Placed, Problem, Source, Vector, Wanted
from clues.planner.buying.packing.rounding import Rounder
from clues.planner.buying.packing.shadow import Column, Shadows, find_shadows
from clues.planner.buying.packing.work import Work

#: Shares of gangs, as a class of its own in one packing: of which class, where, and of how many gangs.
_Shares = tuple[int, Place, int]


@dataclass(slots=True)
class _Tasks:
    """What is packed as single tasks: classes, how many of each, and those of which few may lie on one node."""

    classes: Sequence[Wanted]
    counts: list[int]
    most: Mapping[int, int]


class Attempt:
    """What is bought so far, and how much of each limit is left."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.left = Left(problem.limits)
        self.nodes: list[Placed] = []
        self.gangs: list[Gang] = []
        #: what tasks and limits were found to be worth
        self.hint: Shadows | None = None
        #: the nodes that the program had where gangs take part in it
        self.columns: Sequence[Column] = ()
        #: how many gangs were to go where
        self.allotted: Allotment = {}
        #: where fewer gangs could be had than were allotted, how many could
        self.short: dict[tuple[int, Place], int] = {}

    def again(self) -> Attempt:
        """Return a copy to go on from."""
        other = Attempt(self.problem)
        other.left = Left(self.left.rows)
        other.nodes = [Placed(node.source, dict(node.filling)) for node in self.nodes]
        other.gangs = list(self.gangs)
        return other

    def cost(self) -> float:
        """Return what all nodes cost."""
        return sum(self.problem.sources[node.source].price for node in self.nodes)

    def could_have(self, name: int) -> bool:
        """Whether one of a class could perhaps be had by itself."""
        wanted, sources = self.problem.classes[name], self.problem.sources
        nodes = Counter({place: len(spots) for place, spots in self._room(wanted).items()})
        for source in wanted.fits:
            nodes[place_of(sources, wanted, source)] += self.left.most(sources[source])
        return any(count >= place[1] for place, count in nodes.items())

    def run(
        self,
        wanted: Mapping[int, int],
        work: Work,
        *,
        gangs_first: bool = False,
        hint: Shadows | None = None,
        most: Allotment | None = None,
        known: Sequence[Column] = (),
    ) -> dict[int, int]:
        """Pack, and return what found no place. Without *work*: the simple way.

        :param most: of gangs, how many can be had where an earlier attempt was short of them.
        :param gangs_first: gangs are placed before single tasks, on nodes of their own.
        :param known: the program's nodes of another attempt, for this one's to begin with.
        :param hint: what tasks and limits are worth, as another attempt has found.
        """
        self.hint = hint
        classes = self.problem.classes
        counts = [wanted.get(name, 0) for name in range(len(classes))]
        gangs = {name: count for name, count in enumerate(counts) if count and not classes[name].single}
        shadows = hint or Shadows(
            costs_alone(self.problem.sources, classes, counts, self.left), [0.0] * len(self.left.rows), ()
        )
        allotted: dict[tuple[int, Place], int] = {}
        if gangs and work:
            shadows = self._shadows_of_all(counts, shadows.values, work.part(work.left // 2), most or {}, known)
            self.columns = shadows.columns
            if not gangs_first:
                allotted = allot(self.problem.sources, classes, shadows.columns, gangs, most or {})
        self.allotted = allotted
        if not allotted:
            self._place_all(gangs, counts, shadows)
        self._pack(counts, allotted, work, shadows)
        if allotted:
            self._place_all(gangs, counts, shadows)
        self._prune()
        return {name: count for name, count in enumerate(counts) if count}

    def _shadows_of_all(
        self, counts: Sequence[int], alone: Sequence[float], work: Work, most: Allotment, columns: Sequence[Column]
    ) -> Shadows:
        """Return the shadow prices of gangs and single tasks together."""
        sources, nothing = self.problem.sources, [0.0] * len(self.left.rows)
        needs = needs_of_all(sources, self.problem.classes, counts, self.left, most)
        trial = Rounder(sources, needs, Left(self.left.rows), Work(0)).rest(alone, nothing, list(counts))
        known = [(column.source, column.filling) for column in columns]
        known += [(lot.source, lot.filling) for lot in trial]
        return find_shadows(sources, needs, counts, alone, self.left.rows, work, known)

    # --- single tasks, and the shares of gangs as if they were some ---------------------------------------------------

    def _pack(self, counts: list[int], allotted: Mapping[tuple[int, Place], int], work: Work, shadows: Shadows) -> None:
        """Pack single tasks and what is allotted of gangs; *counts* becomes what is left."""
        classes, sources = self.problem.classes, self.problem.sources
        shares: list[_Shares] = [(name, place, gangs) for (name, place), gangs in allotted.items()]
        own = [count if classes[name].single else 0 for name, count in enumerate(counts)]
        tasks = _Tasks(
            [*classes, *(only_at(sources, classes[name], place) for name, place, _ in shares)],
            [*own, *(gangs * place[1] for _, place, gangs in shares)],
            {len(classes) + at: gangs for at, (_, _, gangs) in enumerate(shares)},
        )
        if not any(tasks.counts):
            return
        known = self._translated(shadows, shares)
        self._pack_tasks(tasks, work, known)
        for name, left in enumerate(tasks.counts[: len(classes)]):
            if classes[name].single:
                counts[name] = left
        self._deal_out(shares, counts)

    def _translated(self, shadows: Shadows, shares: Sequence[_Shares]) -> list[tuple[int, dict[int, int]]]:
        """Return the program's nodes with the shares of gangs as the classes that they are packed as."""
        classes, sources = self.problem.classes, self.problem.sources
        numbers = {(name, place): (len(classes) + at, gangs) for at, (name, place, gangs) in enumerate(shares)}
        found = []
        for column in shadows.columns:
            filling = {}
            for name, count in column.filling.items():
                if classes[name].single:
                    filling[name] = count
                    continue
                share = numbers.get((name, place_of(sources, classes[name], column.source)))
                if share is not None:
                    filling[share[0]] = min(count, share[1])
            if filling:
                found.append((column.source, filling))
        return found

    def _pack_tasks(self, tasks: _Tasks, work: Work, known: Sequence[tuple[int, dict[int, int]]]) -> None:
        sources: list[Source] = list(self.problem.sources)
        limits = list(self.left.rows)
        rooms = self._free_nodes()
        spots: dict[int, list[Placed]] = {}
        for (_, free), nodes in rooms.items():
            spots[len(sources)] = nodes
            sources.append(Source(free, 0.0, ((len(limits), 1.0),), ""))
            limits.append(float(len(nodes)))
        origins = [*range(len(self.problem.sources)), *(origin for origin, _ in rooms)]
        needs = needs_of_tasks(sources, origins, tasks.classes, tasks.counts, tasks.most)
        left = Left(limits)
        alone = costs_alone(self.problem.sources, tasks.classes, tasks.counts, self.left)
        lots, shadows = pack_lots(sources, needs, left, tasks.counts, alone, work, known, self.hint, tasks.most)
        own = len(self.problem.classes)
        self.hint = Shadows(shadows.values[:own], shadows.limits[: len(self.left.rows)], ())
        for lot in lots:
            for _ in range(lot.count):
                if lot.source in spots:
                    filling = spots[lot.source].pop().filling
                    for name, count in lot.filling.items():
                        filling[name] = filling.get(name, 0) + count
                else:
                    self.nodes.append(Placed(lot.source, dict(lot.filling)))
        self.left.rows = left.rows[: len(self.left.rows)]

    def _deal_out(self, shares: Sequence[_Shares], counts: list[int]) -> None:
        """Say which gang has which of the shares that were packed; what makes no whole gang is taken away."""
        first = len(self.problem.classes)
        for at, (name, (site, nodes), gangs) in enumerate(shares):
            holders = []
            for index, node in enumerate(self.nodes):
                if count := node.filling.get(first + at, 0):
                    holders.append((index, count, (node.source, tuple(sorted(node.filling.items())))))
            dealt = deal(holders, nodes, gangs)
            for index, _, _ in holders:
                del self.nodes[index].filling[first + at]
            self._have_gangs(name, dealt)
            counts[name] -= len(dealt)
            if len(dealt) < gangs:
                self.short[name, (site, nodes)] = len(dealt)

    def _have_gangs(self, name: int, gangs: Sequence[tuple[int, ...]]) -> None:
        for chosen in gangs:
            self.gangs.append((name, chosen))
            for index in chosen:
                filling = self.nodes[index].filling
                filling[name] = filling.get(name, 0) + 1

    def _prune(self) -> None:
        """Do without nodes that nothing lies on."""
        numbers: dict[int, int] = {}
        kept: list[Placed] = []
        for index, node in enumerate(self.nodes):
            if node.filling:
                numbers[index] = len(kept)
                kept.append(node)
            else:
                self.left.take(self.problem.sources[node.source], -1)
        if len(kept) < len(self.nodes):
            self.nodes = kept
            self.gangs = [(name, tuple(numbers[index] for index in chosen)) for name, chosen in self.gangs]

    # --- gangs by themselves ------------------------------------------------------------------------------------------

    def _place_all(self, gangs: Mapping[int, int], counts: list[int], shadows: Shadows) -> None:
        """Place gangs on what nodes have left, and on new nodes of their own; *counts* becomes what is left."""
        singles = [count if self.problem.classes[one].single else 0 for one, count in enumerate(counts)]
        for name in sorted(gangs, key=self._weight, reverse=True):
            if counts[name]:
                counts[name] -= self._place(name, counts[name], shadows, singles)

    def _place(self, name: int, count: int, shadows: Shadows, singles: Sequence[int]) -> int:
        sources, wanted = self.problem.sources, self.problem.classes[name]

        def price_of(source: int) -> float:
            return sources[source].price + sum(shadows.limits[row] * use for row, use in sources[source].uses)

        def worth(source: int, free: Vector) -> float:
            return self._worth(source, free, shadows.values, singles)

        done = 0
        for place, spots in self._room(wanted).items():
            if done < count:
                dealt = deal([(index, many, 0) for index, many in spots.items()], place[1], count - done)
                self._have_gangs(name, dealt)
                done += len(dealt)
        while done < count:
            chosen = choose(sources, wanted, count - done, self.left, price_of, worth)
            if chosen is None:
                break
            source, gangs, shares = chosen
            nodes = wanted.fits[source][0]
            whole, rest = divmod(gangs, shares)
            for part in [shares] * whole + [rest] * (rest > 0):
                first = len(self.nodes)
                self.nodes += [Placed(source, {}) for _ in range(nodes)]
                self._have_gangs(name, [tuple(range(first, first + nodes))] * part)
                self.left.take(sources[source], nodes)
            done += gangs
        return done

    def _room(self, wanted: Wanted) -> dict[Place, dict[int, int]]:
        """Return how many shares of a class each node has room for, by place."""
        found: dict[Place, dict[int, int]] = {}
        for index, node in enumerate(self.nodes):
            fit = wanted.fits.get(node.source)
            if fit is not None and (many := how_many(fit[1], self.free_of(node))):
                found.setdefault(place_of(self.problem.sources, wanted, node.source), {})[index] = many
        return found

    def _weight(self, name: int) -> float:
        fits = self.problem.classes[name].fits
        return max(nodes * sum(need) for nodes, need in fits.values())

    def _worth(self, source: int, free: Vector, values: Sequence[float], singles: Sequence[int]) -> float:
        if not any(free) or not any(singles):
            return 0.0
        needs = single_needs(self.problem.classes, source, free, singles)
        return fill(make_needs(free, needs), values, singles)[0]

    # --- what is free -------------------------------------------------------------------------------------------------

    def free_of(self, node: Placed) -> Vector:
        """Return what is free on a node."""
        free = list(self.problem.sources[node.source].size)
        for name, count in node.filling.items():
            for axis, amount in enumerate(self.problem.classes[name].fits[node.source][1]):
                free[axis] -= amount * count
        return tuple(free)

    def _free_nodes(self) -> dict[tuple[int, Vector], list[Placed]]:
        found: dict[tuple[int, Vector], list[Placed]] = {}
        for node in self.nodes:
            free = self.free_of(node)
            if free[0] > 0:
                found.setdefault((node.source, free), []).append(node)
        return found
