"""One reading serves all who asked before it began; a key belongs to one thread at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from connectors.common.together import Keys, Shared


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.001)


class Reading:
    """A run that ends when it is let go, and tells the state of the world when it began."""

    def __init__(self) -> None:
        self.world = 0
        self.runs = 0
        self.go_on = threading.Semaphore(0)

    def __call__(self) -> int:
        self.runs += 1
        seen = self.world
        assert self.go_on.acquire(timeout=10)
        return seen


def waiters(shared: Shared[int]) -> int:
    return len(shared._lock._waiters)  # type: ignore[attr-defined]


def test_who_asks_during_a_run_gets_one_that_began_after_they_asked() -> None:
    reading = Reading()
    shared = Shared(reading)
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(5) as more:
        first = one.submit(shared.get)
        until(lambda: reading.runs == 1)
        reading.world = 1  # a VM is made while the first listing is under way
        later = [more.submit(shared.get) for _ in range(5)]
        until(lambda: waiters(shared) == 5)
        reading.go_on.release(10)
        assert first.result(10) == 0
        assert [each.result(10) for each in later] == [1] * 5
    assert reading.runs == 2  # five askers shared the second one


def test_who_asks_after_a_run_gets_a_new_one() -> None:
    reading = Reading()
    reading.go_on.release(10)
    shared = Shared(reading)
    assert shared.get() == 0
    reading.world = 1
    assert shared.get() == 1


def test_under_load_nobody_ever_sees_less_than_was_there_when_they_asked() -> None:
    lock, written = threading.Lock(), 0

    def read() -> int:
        seen = written
        time.sleep(0.0005)
        return seen

    shared = Shared(read)

    def write_then_read(_: int) -> bool:
        nonlocal written
        with lock:
            written += 1
            mine = written
        return shared.get() >= mine

    with ThreadPoolExecutor(16) as threads:
        assert all(threads.map(write_then_read, range(600)))


def test_a_run_that_fails_fails_for_its_askers_and_nobody_else() -> None:
    results: Iterator[int | ZeroDivisionError] = iter([ZeroDivisionError(), 7])

    def run() -> int:
        result = next(results)
        if isinstance(result, ZeroDivisionError):
            raise result
        return result

    shared = Shared(run)
    with pytest.raises(ZeroDivisionError):
        shared.get()
    assert shared.get() == 7


def test_a_key_is_held_by_one_thread_at_a_time_and_others_are_not_kept_waiting() -> None:
    keys, held, entered, go_on = Keys(), [], threading.Event(), threading.Event()

    def hold() -> None:
        with keys.hold("a"):
            held.append("first")
            entered.set()
            go_on.wait(10)
            held.append("done")

    def after() -> None:
        with keys.hold("a"):
            held.append("second")

    threads = [threading.Thread(target=hold), threading.Thread(target=after)]
    threads[0].start()
    assert entered.wait(10)
    threads[1].start()
    until(lambda: keys._held["a"][1] == 2)
    with keys.hold("b"):
        assert held == ["first"]
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert held == ["first", "done", "second"]


def test_names_that_nobody_holds_are_forgotten_also_after_an_error() -> None:
    keys, count, inside = Keys(), 0, []

    def work(number: int) -> None:
        nonlocal count
        with keys.hold(f"k{number % 3}"):
            inside.append(1)
            count += 1

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(300)))
    with pytest.raises(ZeroDivisionError), keys.hold("x"):
        raise ZeroDivisionError
    assert len(inside) == 300
    assert keys._held == {}
