"""All that is lacking, packed: everything at least cost if everything can be had, else the highest priority first.

First all of it is packed together. Where limits leave something out, the longest beginning of the queue is looked for
that can be had whole; it is packed by itself, and what stood next is out: no lesser job gets what it could have had.
The others go on with what the limits still allow, and with what stays free on the nodes of the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from clues.planner.buying.packing.attempt import Attempt
from clues.planner.buying.packing.gangs import Allotment
from clues.planner.buying.packing.problem import Packing, Problem, Unit
from clues.planner.buying.packing.shadow import Shadows
from clues.planner.buying.packing.work import Work

#: how much may be done for one packing; where there are many tasks less, as rounding costs little there
WORK = 8_000_000
WORK_FOR_MANY = 3_000_000
_MANY = 2000
_ROUNDS = 8
#: over so many tasks the beginning of a queue that can be had is looked for, all looks together; then what was found
#: stands, and the rest of the queue is left to who asked
_LOOKED_OVER = 60_000
#: so few tasks are packed in several ways
_FEW = 400
#: where the program allots gangs to a place that cannot have them, it is asked so often to do otherwise
_ALLOTTED = 3
#: an attempt that begins with what the first has found is worth while with so much less work
_CHEAPER = 4
#: where so few classes are left out in part, it is looked whether that has to be
_LEFT_OUT = 12
#: for so many places it is tried whether gangs are better off elsewhere
_ELSEWHERE = 4
#: where so few classes have no place for all of their tasks, these are packed before the others
_MENDED = 2
#: and these tasks, if they are no more (or one in so many), with work that was meant for what comes after
_HARDLY_ANY = 20
_FEW_OF = 100


def pack(problem: Problem, most: int | None = None) -> Packing:
    """Return what to buy, and what of each class cannot be had.

    :param most: how much may be done for it, where that is not to follow from how many tasks there are.
    """
    queue = [(name, count) for name, count in problem.queue if count > 0]
    base = Attempt(problem)
    if most is None:
        most = WORK if sum(count for _, count in queue) <= _MANY else WORK_FOR_MANY
    work = Work(most)
    out: dict[int, int] = {}
    looks = [_LOOKED_OVER]
    for turn in range(_ROUNDS):
        queue = _without_hopeless(base, queue, out)
        if not queue:
            break
        trial, missing = _best_attempt(base, _counts(queue), work)
        if not missing or turn == _ROUNDS - 1 or _nobody_more_urgent(base, queue, missing, trial.hint, looks):
            base = trial
            _add(out, missing.items())
            break
        hint = trial.hint
        ready = _longest(base, queue, hint, looks)
        first, rest = _split(queue, ready)
        if first:
            trial, failed = _best_attempt(base, _counts(first), work)
            if failed:  # it can be had by the simple way only
                trial = base.again()
                failed = trial.run(_counts(first), Work(0), hint=hint)
            base = trial
            _add(out, failed.items())
        # how many can be had together was looked for quickly: beside these, well packed, there may be room for more
        name, count = rest[0]
        base = base.again()
        if failed := base.run({name: count}, Work(0), hint=hint):  # no lesser job gets what it could have had
            _add(out, [*failed.items(), *((other, count) for other, count in rest[1:] if other == name)])
            queue = [(other, count) for other, count in rest[1:] if other != name]
        else:
            queue = rest[1:]
        if looks[0] <= 0:
            _add(out, queue)
            break
    return Packing(_units(base), out)


def _add(out: dict[int, int], more: Iterable[tuple[int, int]]) -> None:
    for name, count in more:
        out[name] = out.get(name, 0) + count


def _units(attempt: Attempt) -> list[Unit]:
    """Return the nodes, those together that gangs have in common."""
    first = list(range(len(attempt.nodes)))

    def find(index: int) -> int:
        while first[index] != index:
            first[index] = first[first[index]]
            index = first[index]
        return index

    for _, chosen in attempt.gangs:
        for index in chosen[1:]:
            one, other = sorted((find(chosen[0]), find(index)))
            first[other] = one
    units: dict[int, Unit] = {}
    places = []
    for index, node in enumerate(attempt.nodes):
        unit = units.setdefault(find(index), Unit([]))
        places.append(len(unit.nodes))
        unit.nodes.append(node)
    for name, chosen in attempt.gangs:
        units[find(chosen[0])].gangs.append((name, tuple(places[index] for index in chosen)))
    return list(units.values())


def _best_attempt(base: Attempt, counts: Mapping[int, int], whole: Work) -> tuple[Attempt, dict[int, int]]:
    """Return the best of the ways to pack that are worth their time: what costs least of those that leave out least.

    Half of the work that is left is for it; of the other half so much that hardly anything is left out.
    """
    work, mending = whole.part(whole.left // 2), whole.part(whole.left // 2)
    ways: list[tuple[Attempt, dict[int, int]]] = []

    def attempt(
        start: Attempt, wanted: Mapping[int, int], *, gangs_first: bool = False, most: Allotment | None = None
    ) -> None:
        known = ways[0][0].columns if ways else ()
        ways.append((start, start.run(wanted, work, gangs_first=gangs_first, most=most, known=known)))

    before = work.left
    attempt(base.again(), counts)
    again = (before - work.left) // (_CHEAPER if sum(counts.values()) <= _FEW else 1)
    short = dict(ways[-1][0].short)
    for _ in range(_ALLOTTED):  # gangs go elsewhere than where they could not be had
        if not ways[-1][0].short or work.left < again:
            break
        attempt(base.again(), counts, most=short)
        short |= ways[-1][0].short
    missing = min((missing for _, missing in ways), key=lambda missing: sum(missing.values()))
    if 0 < len(missing) <= _MENDED and (
        work.left >= again or sum(missing.values()) <= max(_HARDLY_ANY, sum(counts.values()) // _FEW_OF)
    ):
        start = base.again()  # what was left out comes first
        work = mending if work.left < again else work
        if not start.run(missing, work):
            attempt(start, {name: count - missing.get(name, 0) for name, count in counts.items()})
    gangs = any(not base.problem.classes[name].single for name in counts)
    if gangs and work.left >= again and (sum(counts.values()) <= _FEW or all(missing for _, missing in ways)):
        attempt(base.again(), counts, gangs_first=True)
    if gangs and sum(counts.values()) <= _FEW:
        best = min(ways, key=_how_good)
        for place, many in sorted(best[0].allotted.items(), key=lambda item: (item[1], item[0]))[:_ELSEWHERE]:
            if work.left >= again:  # what if one gang fewer went there?
                attempt(base.again(), counts, most={**short, place: many - 1})
    return min(ways, key=_how_good)


def _how_good(way: tuple[Attempt, dict[int, int]]) -> tuple[int, float]:
    return sum(way[1].values()), way[0].cost()


def _counts(queue: Iterable[tuple[int, int]]) -> dict[int, int]:
    counts: dict[int, int] = {}
    for name, count in queue:
        counts[name] = counts.get(name, 0) + count
    return counts


def _split(queue: Sequence[tuple[int, int]], ready: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    first: list[tuple[int, int]] = []
    for place, (name, count) in enumerate(queue):
        if ready < count:
            return first + [(name, ready)] * (ready > 0), [(name, count - ready), *queue[place + 1 :]]
        first.append((name, count))
        ready -= count
    return first, []


def _longest(base: Attempt, queue: Sequence[tuple[int, int]], hint: Shadows | None, looks: list[int]) -> int:
    """Return how many tasks, from the first, can be had together (by the simple way of packing).

    :param looks: over how many tasks may still be looked, which this takes from.
    """
    low, high = 0, sum(count for _, count in queue) - 1
    while low < high and looks[0] > 0:
        middle = (low + high + 1) // 2
        looks[0] -= middle
        if base.again().run(_counts(_split(queue, middle)[0]), Work(0), hint=hint):
            high = middle - 1
        else:
            low = middle
    return low


def _nobody_more_urgent(
    base: Attempt, queue: Sequence[tuple[int, int]], missing: Mapping[int, int], hint: Shadows | None, looks: list[int]
) -> bool:
    """Whether none that is missing could be had in place of less urgent ones: the first of each class that is missing
    cannot be had even without all that stand behind it."""
    if len(missing) > _LEFT_OUT:
        return False
    served = {name: count - missing.get(name, 0) for name, count in _counts(queue).items()}
    before: dict[int, int] = {}
    out: set[int] = set()
    for name, count in queue:
        have = min(count, served[name] - before.get(name, 0))
        before[name] = before.get(name, 0) + have
        if have == count or name in out:
            continue
        out.add(name)
        looks[0] -= sum(before.values())
        if not base.again().run(before | {name: before[name] + 1}, Work(0), hint=hint):
            return False
    return True


def _without_hopeless(base: Attempt, queue: list[tuple[int, int]], out: dict[int, int]) -> list[tuple[int, int]]:
    """Take out the classes of which not even one can be had."""
    hopeful = {name for name in {name for name, _ in queue} if base.could_have(name)}
    _add(out, ((name, count) for name, count in queue if name not in hopeful))
    return [(name, count) for name, count in queue if name in hopeful]
