"""Threads behind the core: order on one lane, width on others, answers at home."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from clues.workers import Threads

Home = queue.SimpleQueue[Callable[[], None]]
PATIENCE = 20.0


def make(**width: int) -> tuple[Home, Threads]:
    home: Home = queue.SimpleQueue()
    return home, Threads(home, width)


def test_a_result_comes_home_and_is_handed_in_by_the_owner() -> None:
    home, threads = make()
    seen: list[tuple[Any, Any, int]] = []
    threads.submit("site", lambda: 42, lambda result, error: seen.append((result, error, threading.get_ident())))
    home.get(timeout=PATIENCE)()
    assert seen == [(42, None, threading.get_ident())]


def test_any_exception_comes_home_and_the_thread_goes_on() -> None:
    home, threads = make(site=1)
    seen: list[Any] = []

    def fail() -> None:
        raise SystemExit("a plugin that wants to end the daemon")

    threads.submit("site", fail, lambda _, error: seen.append(error))
    threads.submit("site", lambda: 1, lambda result, _: seen.append(result))
    home.get(timeout=PATIENCE)()
    home.get(timeout=PATIENCE)()
    assert isinstance(seen[0], SystemExit)
    assert seen[1] == 1


def test_the_lane_of_the_batch_system_keeps_its_order_even_if_a_width_is_given() -> None:
    home, threads = make(lrms=8)
    made: list[int] = []

    def call(number: int) -> None:
        time.sleep(0.002 if number % 2 else 0)
        made.append(number)

    for number in range(40):
        threads.submit("lrms", lambda number=number: call(number), lambda *_: None)  # type: ignore[misc]
    for _ in range(40):
        home.get(timeout=PATIENCE)()
    assert made == list(range(40))


def test_a_lane_that_hangs_delays_no_other() -> None:
    home, threads = make()
    hang = threading.Event()
    for _ in range(20):
        threads.submit("slow", lambda: hang.wait(PATIENCE), lambda *_: None)
    seen: list[Any] = []
    threads.submit("quick", lambda: 1, lambda result, _: seen.append(result))
    home.get(timeout=PATIENCE)()
    hang.set()
    assert seen == [1]


def test_a_sites_lane_runs_several_calls_at_once() -> None:
    home, threads = make(site=3)
    together = threading.Barrier(3)
    for _ in range(3):
        threads.submit("site", lambda: together.wait(PATIENCE), lambda *_: None)
    for _ in range(3):
        home.get(timeout=PATIENCE)()


def test_its_threads_keep_no_process_alive() -> None:
    _, threads = make()
    threads.submit("site", lambda: None, lambda *_: None)
    assert all(one.daemon for one in threading.enumerate() if one.name.startswith("site-"))
