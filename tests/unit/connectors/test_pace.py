"""A site is spoken to no faster, and by no more threads, than was said; who would wait too long is told."""

from __future__ import annotations

import threading
import time

import pytest

from clues.errors import Throttled
from connectors.common.pace import Gate


class Clock:
    """Time that passes only where somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def gate(clock: Clock, per_second: float, at_once: int = 4, patience: float = 60.0) -> Gate:
    return Gate(per_second, at_once, patience=patience, monotonic=clock.monotonic, sleep=clock.sleep)


def pass_through(one: Gate, times: int) -> None:
    for _ in range(times):
        with one.call():
            pass


@pytest.mark.parametrize("per_second", [0.5, 1.0, 5.0, 20.0])
def test_after_a_burst_calls_go_out_at_the_pace_that_was_said(per_second: float) -> None:
    clock = Clock()
    one, burst = gate(clock, per_second), max(1, int(per_second))
    pass_through(one, burst)
    assert clock.now == 1000.0
    pass_through(one, 100)
    assert clock.now - 1000.0 == pytest.approx(100 / per_second)


def test_idle_time_is_not_saved_up_beyond_one_burst() -> None:
    clock = Clock()
    one = gate(clock, 5.0)
    pass_through(one, 5)
    clock.now += 3600
    pass_through(one, 5)
    assert clock.slept == []
    pass_through(one, 1)
    assert clock.slept == [pytest.approx(0.2)]


def test_who_would_wait_too_long_is_throttled_and_takes_nobodys_turn() -> None:
    clock = Clock()
    one = Gate(1.0, 4, patience=2.0, monotonic=clock.monotonic, sleep=lambda _: None)  # nobody's wait passes time here
    pass_through(one, 3)
    for _ in range(10):
        with pytest.raises(Throttled, match="calls_per_second"):
            pass_through(one, 1)
    clock.now += 2
    pass_through(one, 1)  # the ten that were sent away owe nothing


def test_no_more_calls_are_under_way_than_was_said() -> None:
    one = Gate(1000.0, 2)
    inside, most, lock, both = 0, 0, threading.Lock(), threading.Barrier(2)

    def work() -> None:
        nonlocal inside, most
        with one.call():
            with lock:
                inside += 1
                most = max(most, inside)
            both.wait(10)  # two have to be inside together, so a third would be seen
            with lock:
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert most == 2


def test_a_call_that_fails_makes_room_again() -> None:
    one = Gate(1000.0, 1, patience=0.2)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), one.call():
            raise ZeroDivisionError
    pass_through(one, 1)


def test_a_site_whose_calls_hang_throttles_the_others_in_time() -> None:
    one = Gate(1000.0, 1, patience=0.05)
    began = time.monotonic()
    with one.call(), pytest.raises(Throttled, match="under way"), one.call():
        pass
    assert time.monotonic() - began < 5
