"""Room kept as bins of nodes alike."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from clues.model import Gpu, Resources
from clues.planner.queue.bins import Bins, Likes, Origin

WHOLE = Resources(8, 8000)


def likes(free: Resources = WHOLE, **more: object) -> Likes:
    plain = Likes(WHOLE, free, frozenset({"cpu"}), frozenset({"cpu"}), "cesnet", Origin.OPEN)
    return replace(plain, **more)  # type: ignore[arg-type]


def first(bins: Bins) -> tuple[str, Resources]:
    one = next(iter(bins))
    return one.names[-1], one.likes.free


def test_nodes_alike_share_a_bin() -> None:
    bins = Bins()
    for name in "abc":
        bins.add(likes(), name)
    assert [one.names for one in bins] == [["a", "b", "c"]]


def test_a_node_without_a_cpu_is_in_no_bin() -> None:
    bins = Bins()
    bins.add(likes(Resources(0, 8000)), "a")
    assert list(bins) == []


def test_open_room_is_used_before_starting_and_leaving_and_bought_room() -> None:
    bins = Bins()
    for origin in reversed(Origin):
        bins.add(likes(origin=origin), origin.name)
    assert [one.names[0] for one in bins] == ["OPEN", "STARTING", "LEAVING", "BOUGHT"]


def test_the_tightest_node_comes_first_and_gpus_last() -> None:
    bins = Bins()
    bins.add(likes(), "whole")
    bins.add(likes(Resources(2, 2000)), "half full")
    bins.add(likes(Resources(1, 1000, (Gpu("a10", 1),))), "gpu")
    assert [one.names[0] for one in bins] == ["half full", "whole", "gpu"]


def test_taking_splits_one_node_off() -> None:
    bins = Bins()
    bins.add(likes(), "a")
    bins.add(likes(), "b")
    source = next(iter(bins))
    bins.take(source, "a", Resources(3, 1000))
    assert first(bins) == ("a", Resources(5, 7000))
    assert sorted(name for one in bins for name in one.names) == ["a", "b"]


def test_a_whole_node_that_is_taken_is_gone() -> None:
    bins = Bins()
    bins.add(likes(), "a")
    bins.take(next(iter(bins)), "a", Resources(1, 1), whole=True)
    assert list(bins) == []


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 4)), max_size=200))
def test_no_cpu_is_lost_or_made_whatever_is_taken(takes: list[tuple[int, int]]) -> None:
    bins, taken = Bins(), 0
    for number in range(20):
        bins.add(likes(), f"n{number}")
    for pick, cpus in takes:
        there = list(bins)
        if not there:
            break
        source = there[pick % len(there)]
        if source.likes.free.cpus >= cpus:
            bins.take(source, source.names[0], Resources(cpus, 1))
            taken += cpus
    assert sum(one.likes.free.cpus * len(one.names) for one in bins) == 20 * 8 - taken


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1), st.sampled_from(["some", "all", "back"])), max_size=40))
def test_each_node_stays_in_the_one_bin_of_its_likes(moves: list[tuple[int, int, str]]) -> None:
    """Where the like of it went before, it goes again; but empty bins are swept now and then, and made anew."""
    sizes = [Resources(8 + number // 2, 8000) for number in range(4)]
    needs = [Resources(3, 100), Resources(4, 100)]
    bins, free, taken = Bins(), dict(enumerate(sizes)), dict[int, list[Resources]]()
    for number, size in free.items():
        bins.add(likes(size), str(number))
    for number, need, move in moves:
        room = bins.bin_of(str(number))
        if move != "back" and room is not None and needs[need].fits_in(free[number]):
            taken.setdefault(number, []).append(bins.take(room, str(number), needs[need], whole=move == "all"))
            free[number] = free[number].minus(taken[number][-1])
        elif move == "back" and taken.get(number):
            free[number] = free[number].plus(taken[number][-1])
            bins.give_back(str(number), taken[number].pop())
        bins._most = 0  # swept each time
        there = [(name, room.likes.free) for room in bins for name in room.names]
        assert sorted(there) == sorted((str(name), left) for name, left in free.items() if left.cpus)
        assert all(bins.bin_of(name) is room for room in bins for name in room.names)
