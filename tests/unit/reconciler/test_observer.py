"""When Slurm and the sites are looked at, and what is kept of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from clues.errors import LrmsError, Transient
from clues.model import ClusterSnapshot, Listing, Pace
from clues.reconciler import Observer
from tests.unit.builders import NOW, make_snapshot

PACE = Pace()


class Hand:
    """A clock that is turned by hand."""

    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()


class Held:
    """Calls that wait."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Callable[[], Any], Callable[[Any, BaseException | None], None]]] = []

    def submit(self, lane: str, call: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        self.calls.append((lane, call, done))

    def work(self) -> list[str]:
        made, self.calls = self.calls, []
        for _, call, done in made:
            try:
                result = call()
            except Exception as error:  # noqa: BLE001 - as the real workers do
                done(None, error)
            else:
                done(result, None)
        return [f"{lane}:{getattr(call, '__name__', '')}" for lane, call, _ in made]


class Slurm:
    error: Exception | None = None
    moves = 0

    def snapshot(self) -> ClusterSnapshot:
        if self.error:
            raise self.error
        return make_snapshot(taken_at=datetime(1999, 1, 1, tzinfo=UTC))

    def counters(self) -> Mapping[str, int]:
        if self.error:
            raise self.error
        return {"submitted": self.moves}


class Site:
    error: Exception | None = None

    def list_instances(self) -> Listing:
        if self.error:
            raise self.error
        return Listing("cesnet", datetime(1999, 1, 1, tzinfo=UTC), ())


class Parts:
    def __init__(self) -> None:
        self.clock, self.workers, self.slurm, self.site = Hand(), Held(), Slurm(), Site()
        self.observer = Observer(self.slurm, self.workers, self.clock, PACE)  # type: ignore[arg-type]
        self.observer.connectors = {"cesnet": self.site}  # type: ignore[dict-item]
        self.ticks = 0
        self.observer.looked = self._tick

    def _tick(self) -> None:
        self.ticks += 1

    def after(self, seconds: float) -> list[str]:
        self.clock.at += timedelta(seconds=seconds)
        self.observer.pump()
        return self.workers.work()


@pytest.fixture
def parts() -> Parts:
    return Parts()


def test_at_the_start_everything_is_looked_at(parts: Parts) -> None:
    assert parts.after(0) == ["lrms:snapshot", "cesnet:list_instances"]
    assert parts.ticks == 1


def test_what_was_seen_is_as_old_as_the_look_by_our_clock_whatever_the_adapter_says(parts: Parts) -> None:
    parts.after(0)
    assert parts.observer.snapshot.value is not None
    assert parts.observer.listings["cesnet"].value is not None
    assert parts.observer.snapshot.taken_at == parts.observer.snapshot.value.taken_at == NOW
    assert parts.observer.listings["cesnet"].taken_at == parts.observer.listings["cesnet"].value.taken_at == NOW


def test_a_look_is_as_old_as_its_beginning(parts: Parts) -> None:
    parts.observer.pump()
    parts.clock.at += timedelta(seconds=9)
    parts.workers.work()
    assert parts.observer.snapshot.taken_at == NOW
    assert parts.observer.listings["cesnet"].taken_at == NOW


def test_a_look_that_failed_keeps_the_last_one_and_tells(parts: Parts) -> None:
    parts.after(0)
    parts.slurm.error, parts.site.error = LrmsError("slurmctld is away"), Transient("503")
    parts.after(40)
    parts.workers.work()
    assert (parts.observer.snapshot.taken_at, parts.observer.snapshot.error) == (NOW, "slurmctld is away")
    assert (parts.observer.listings["cesnet"].taken_at, parts.observer.listings["cesnet"].error) == (NOW, "503")
    assert parts.ticks == 2


def test_a_good_look_clears_the_error(parts: Parts) -> None:
    parts.slurm.error = LrmsError("away")
    parts.after(0)
    parts.slurm.error = None
    parts.after(60)
    assert parts.observer.snapshot.error == ""


def test_an_unforeseen_failure_ends_nothing(parts: Parts) -> None:
    parts.slurm.error = parts.site.error = RuntimeError("a bug in the adapter")
    parts.after(0)
    assert parts.ticks == 1
    assert "bug" in parts.observer.snapshot.error


def test_counters_that_move_start_a_look_at_once(parts: Parts) -> None:
    parts.after(0)
    parts.after(1.1)  # the first poke learns what the counters are
    parts.after(0.3)
    parts.after(1.1)
    parts.slurm.moves += 1
    assert "lrms:counters" in parts.after(1.1)
    assert "lrms:snapshot" in parts.after(0.25)


def test_counters_that_rest_start_none(parts: Parts) -> None:
    for _ in range(4):
        parts.after(1.1)
    made = [one for _ in range(4) for one in parts.after(1.1)]
    assert "lrms:snapshot" not in made


def test_hurry_is_never_more_than_five_looks_a_second(parts: Parts) -> None:
    parts.after(0)
    looks = 0
    for _ in range(100):
        parts.observer.hurry()
        looks += parts.after(0.01).count("lrms:snapshot")
    assert looks <= 6


def test_one_look_at_a_time(parts: Parts) -> None:
    parts.observer.pump()
    for _ in range(10):
        parts.clock.at += timedelta(seconds=60)
        parts.observer.pump()
    assert [lane for lane, _, _ in parts.workers.calls] == ["lrms", "cesnet"]


def test_while_something_is_on_its_way_looks_come_often(parts: Parts) -> None:
    parts.after(0)
    parts.observer.expect(frozenset({"cesnet"}))
    made = [one for _ in range(20) for one in parts.after(1.05)]
    assert made.count("lrms:snapshot") >= 15
    parts.observer.expect(frozenset())
    parts.after(40)
    quiet = [one for _ in range(20) for one in parts.after(1.05)]
    assert quiet.count("lrms:snapshot") <= 3


def test_a_listing_that_is_hurried_comes_at_once_even_after_one_under_way(parts: Parts) -> None:
    parts.observer.pump()
    parts.observer.hurry_listing("cesnet")
    parts.workers.work()
    assert "cesnet:list_instances" in parts.after(0.1)


def test_the_wait_until_the_next_pump_is_bounded(parts: Parts) -> None:
    for seconds in (0, 0.1, 5, 100):
        parts.clock.at += timedelta(seconds=seconds)
        wait = parts.observer.pump()
        assert timedelta(milliseconds=20) <= wait <= timedelta(seconds=1)
        parts.workers.work()
