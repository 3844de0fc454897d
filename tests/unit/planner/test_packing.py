"""The parts of packing: the best filling of a node, gangs dealt from shares, gangs allotted to places, bounded work."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from clues.planner.buying.packing.gangs import allot, deal
from clues.planner.buying.packing.pack import pack
from clues.planner.buying.packing.problem import Problem, Source, Wanted
from clues.planner.buying.packing.search import Item, search
from clues.planner.buying.packing.shadow import Column
from clues.planner.buying.packing.work import Work
from tests.optimum.patterns import all_fillings

needs = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 6), st.integers(0, 1)), min_size=1, max_size=4)


@given(st.data(), needs)
@settings(max_examples=60, deadline=None)
def test_the_most_valuable_filling_is_found(data: st.DataObject, tasks: list[tuple[int, int, int]]) -> None:
    size = 8, 12, 2
    values = data.draw(st.lists(st.integers(1, 30), min_size=len(tasks), max_size=len(tasks)))
    most = data.draw(st.lists(st.integers(1, 5), min_size=len(tasks), max_size=len(tasks)))
    fillings = all_fillings(size, tasks, most, 10**6) or []
    best = max(sum(count * value for count, value in zip(one, values, strict=True)) for one in fillings)
    items = [
        Item(name, tuple((axis, amount) for axis, amount in enumerate(need) if amount), float(values[name]), most[name])
        for name, need in enumerate(tasks)
    ]
    for room in (size, (*size, 1)):  # also where there are GPUs of several types
        value, filling, _ = search(room, items, 0.0, 10**6)
        assert value == best == sum(values[name] * count for name, count in filling.items())
        assert all(count <= most[name] for name, count in filling.items())
        assert search(room, items, float(best), 10**6)[1] == {}  # nothing is worth more


def test_a_search_ends_when_it_has_looked_at_enough() -> None:
    items = [Item(n, ((0, 7 + n), (1, 29 - n)), 100.0 + n % 3, 99) for n in range(20)]
    assert search((640, 2000), items, 0.0, 50)[2] <= 50 + len(items)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=9), st.integers(2, 4), st.integers(1, 6))
@settings(deadline=None)
def test_gangs_are_dealt_if_it_is_possible_at_all(shares: list[int], nodes: int, gangs: int) -> None:
    dealt = deal([(index, count, count % 2) for index, count in enumerate(shares)], nodes, gangs)
    used = Counter(index for chosen in dealt for index in chosen)
    assert all(len(set(chosen)) == nodes for chosen in dealt)
    assert all(count <= shares[index] for index, count in used.items())
    possible = max(n for n in range(gangs + 1) if sum(min(count, n) for count in shares) >= n * nodes)
    assert len(dealt) == possible


def test_gangs_on_nodes_that_are_alike_share_them_in_blocks() -> None:
    """So that few gangs have nodes in common, and none waits for more nodes than it needs."""
    assert deal([(n, 2, "alike") for n in range(6)], 3, 4) == [(0, 1, 2), (0, 1, 2), (3, 4, 5), (3, 4, 5)]


def sources(*places: str) -> list[Source]:
    return [Source((4, 8), 1.0, (), place) for place in places]


def test_gangs_go_where_the_program_has_them_and_not_where_they_could_not_be_had() -> None:
    gang = Wanted({0: (2, (2, 4)), 1: (2, (2, 4))})
    columns = [Column(0, {0: 2}, 5.4), Column(1, {0: 2}, 1.6)]  # 5.4 gangs here, 1.6 there
    ours = sources("here", "there")
    assert allot(ours, [gang], columns, {0: 7}, {}) == {(0, ("here", 2)): 5, (0, ("there", 2)): 2}
    assert allot(ours, [gang], columns, {0: 7}, {(0, ("there", 2)): 0}) == {(0, ("here", 2)): 7}
    assert allot(ours, [gang], columns, {0: 7}, {(0, ("here", 2)): 3, (0, ("there", 2)): 1}) == {
        (0, ("here", 2)): 3,
        (0, ("there", 2)): 1,
    }


def test_a_gang_may_lie_on_nodes_of_several_sources_of_one_place() -> None:
    """One node of each kind is left here, and two there: only here and there by themselves are one place."""
    gang = Wanted(dict.fromkeys(range(3), (2, (4, 8))))
    ours = [Source((4, 8), 1.0, ((at, 1.0),), place) for at, place in enumerate(("here", "here", "there"))]
    found = pack(Problem(ours, [gang], [1.0, 1.0, 1.0], [(0, 1)]))
    (unit,) = found.units
    assert sorted(node.source for node in unit.nodes) == [0, 1]
    assert (unit.gangs, found.left) == ([(0, (0, 1))], {})
    scattered = [Source((4, 8), 1.0, ((at, 1.0),), f"{at}") for at in range(3)]
    assert pack(Problem(scattered, [gang], [1.0, 1.0, 1.0], [(0, 1)])).left == {0: 1}


def test_what_is_done_in_a_part_is_done_in_the_whole() -> None:
    whole = Work(100)
    part = whole.part(30)
    part.spend(40)
    assert (bool(part), whole.left) == (False, 60)
    assert whole.part(1000).left == 60


def test_what_is_left_out_could_not_be_had_in_place_of_less_urgent_ones() -> None:
    """Two nodes may be bought. The program would leave out the three that fill a node each; but they come first."""
    large, small = Wanted({0: (1, (4, 8))}), Wanted({0: (1, (1, 2))})
    ours = [Source((4, 8), 1.0, ((0, 1.0),), "here")]
    found = pack(Problem(ours, [large, small], [2.0], [(0, 3), (1, 8)]))
    assert found.left == {0: 1, 1: 8}
    assert [node.filling for unit in found.units for node in unit.nodes] == [{0: 1}, {0: 1}]
    found = pack(Problem(ours, [large, small], [2.0], [(1, 8), (0, 3)]))
    assert found.left == {0: 3}
