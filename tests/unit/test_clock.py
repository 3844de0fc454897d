"""A clock that does not jump, whatever is done to the machine's."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clues.clock import JUMP, SteadyClock

START = datetime(2026, 3, 2, 14, tzinfo=UTC)


class Machine:
    def __init__(self) -> None:
        self.passed, self.set_by = 0.0, 0.0

    def wall(self) -> float:
        return START.timestamp() + self.passed + self.set_by

    def monotonic(self) -> float:
        return self.passed


def make() -> tuple[Machine, SteadyClock]:
    machine = Machine()
    return machine, SteadyClock(machine.wall, machine.monotonic)


def test_it_tells_wall_time_in_utc() -> None:
    machine, clock = make()
    machine.passed = 90
    assert clock.now() == START + timedelta(seconds=90)
    assert clock.now().tzinfo is UTC


@pytest.mark.parametrize("jump", [3600, -3600, 86400 * 365, -86400])
def test_a_jump_of_the_wall_is_not_a_jump_of_ours(jump: float) -> None:
    machine, clock = make()
    machine.passed, machine.set_by = 10, jump
    assert abs(clock.now() - (START + timedelta(seconds=10))) <= timedelta(seconds=0.1)
    assert abs(clock.off_by()) > JUMP


def test_it_drifts_towards_the_wall_one_part_in_a_hundred() -> None:
    machine, clock = make()
    machine.set_by = 60
    for _ in range(100):
        machine.passed += 30
        clock.now()
    assert abs(clock.off_by() - timedelta(seconds=30)) < timedelta(milliseconds=1)
    for _ in range(200):
        machine.passed += 30
        clock.now()
    assert abs(clock.off_by()) < timedelta(milliseconds=1)


@given(st.lists(st.tuples(st.floats(0, 1000), st.floats(-10_000, 10_000)), max_size=50))
def test_it_never_goes_back_and_never_runs_ahead(steps: list[tuple[float, float]]) -> None:
    machine, clock = make()
    before = clock.now()
    for passed, jump in steps:
        machine.passed += passed
        machine.set_by += jump
        now = clock.now()
        gone = (now - before).total_seconds()
        assert passed * 0.99 - 1e-3 <= gone <= passed * 1.01 + 1e-3
        before = now


def test_a_monotonic_clock_that_stands_still_is_no_error() -> None:
    _, clock = make()
    assert clock.now() == clock.now()


def test_threads_that_ask_at_once_do_not_make_it_run_ahead() -> None:
    seconds = iter(range(100))
    others: list[threading.Thread] = []

    def monotonic() -> float:
        now = next(seconds)
        if now == 1:  # while one thread is in the middle of asking, another one asks
            others.append(threading.Thread(target=lambda: clock.now()))
            others[0].start()
            others[0].join(0.3)
        return now

    clock = SteadyClock(wall=lambda: 0.0, monotonic=monotonic)
    clock.now()
    others[0].join()
    assert clock.now().timestamp() <= 3
