"""Never do two front-ends act at once, whatever their clocks show, whoever sleeps, and whatever the share loses."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clues.standby.lease import Lease, Timing, Watch, may_act, may_take, read, seen
from tests.unit.standby.world import World

ME, OTHER = "a" * 16, "b" * 16
TIMING = Timing(30.0)
#: worlds in which the protocol is tried
SEEDS = 25


def together(world: World) -> list[str]:
    """Return where one acted after another had begun under a higher number: each has one span of time, in order."""
    return [
        f"{later.who} at {later.at:.1f} under {later.number}, {earlier.who} at {earlier.at:.1f} under {earlier.number}"
        for earlier, later in itertools.pairwise(world.acts)
        if later.number < earlier.number
    ]


@pytest.mark.parametrize("front_ends", [2, 3])
def test_no_two_act_at_once_in_any_of_many_worlds(front_ends: int) -> None:
    takeovers = acts = 0
    for seed in range(SEEDS):
        world = World(seed, front_ends=front_ends)
        assert together(world) == [], f"seed {seed}"
        takeovers += world.takeovers
        acts += len(world.acts)
    # the worlds are hard enough to tell, and the protocol lets somebody act most of the time
    assert takeovers > SEEDS
    assert acts > SEEDS * 500


def test_the_margin_for_clocks_of_different_rates_is_needed() -> None:
    """Without it two do act at once: so the worlds above would show it."""

    class Hasty(Timing):
        @property
        def wait(self) -> float:
            return self.lease * 0.7

    assert any(together(World(seed, timing=Hasty(30.0))) for seed in range(SEEDS))


def test_a_look_that_tells_nothing_frees_nothing() -> None:
    for names in ([], ["lease"], ["lease.7.short.head"], ["lease.1", f"lease.2.{ME}.head"], ["snapshot.3"]):
        lease, why = read(names)
        assert lease is None
        assert why
        watch = seen(Watch(), lease, why, 100.0)
        assert not may_take(watch, ME, 1e9, TIMING)
    held = Lease(5, OTHER, "head-b")
    watch = seen(seen(Watch(), held, "", 0.0), None, "no answer", 100.0)
    assert not may_take(watch, ME, 1e9, TIMING)
    assert may_take(seen(watch, held, "", 101.0), ME, 101.0, TIMING)


def test_its_name_survives_the_file_system() -> None:
    for lease in (Lease(0), Lease(12, ME, "head-a.example.org")):
        assert read(["other", lease.file]) == (lease, "")


@given(st.floats(0, 1e6), st.floats(0, 1e4), st.floats(1, 1000))
def test_the_holder_stops_before_another_one_begins(began: float, passed: float, length: float) -> None:
    """By one and the same clock; that it may be two is what the worlds are for."""
    timing = Timing(length)
    watch = seen(Watch(), Lease(3, OTHER, "b"), "", began)
    takes = may_take(watch, ME, began + passed, timing)
    assert not (takes and may_act(began, began + passed, timing))


def test_a_clock_that_went_back_permits_nothing() -> None:
    assert not may_act(100.0, 99.0, TIMING)
    assert not may_act(None, 99.0, TIMING)
    assert may_act(100.0, 129.9, TIMING)
    assert not may_act(100.0, 130.0, TIMING)
