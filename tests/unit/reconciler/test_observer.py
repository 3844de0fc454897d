"""When Slurm and the sites are looked at, and what is kept of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from clues.errors import LrmsError, Throttled, Transient
from clues.model import ClusterSnapshot, HubStatus, Listing, OverlayStatus, Pace, Tunnel
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
    assert parts.after(0) == ["lrms:snapshot", "cesnet/looks:list_instances"]
    assert parts.ticks == 1


def test_while_everything_is_being_looked_at_the_owner_may_sleep(parts: Parts) -> None:
    """Each answer wakes it; else it would turn fifty times a second for as long as slurmctld thinks."""
    parts.observer.pump()
    parts.clock.at += timedelta(seconds=30)
    assert parts.observer.pump() >= timedelta(seconds=1)


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
    assert [lane for lane, _, _ in parts.workers.calls] == ["lrms", "cesnet/looks"]


def test_while_something_is_on_its_way_looks_come_often(parts: Parts) -> None:
    parts.after(0)
    parts.observer.expect(frozenset({"cesnet"}))
    made = [one for _ in range(20) for one in parts.after(1.05)]
    assert made.count("lrms:snapshot") >= 15
    parts.observer.expect(frozenset())
    parts.after(40)
    quiet = [one for _ in range(20) for one in parts.after(1.05)]
    assert quiet.count("lrms:snapshot") <= 3


def listings_in(parts: Parts, seconds: int) -> list[int]:
    """Return the seconds at which the site was listed."""
    return [second for second in range(seconds) if "cesnet/looks:list_instances" in parts.after(1)]


def test_a_site_whose_listing_fails_is_left_alone_longer_each_time_also_while_much_is_expected_there(
    parts: Parts,
) -> None:
    parts.after(0)
    parts.observer.expect(frozenset({"cesnet"}))
    parts.site.error = Transient("503")
    failing = listings_in(parts, 200)
    gaps = [later - earlier for earlier, later in pairwise(failing)]
    assert gaps[0] <= 7
    assert gaps[1] > gaps[0]
    assert 28 <= max(gaps) <= 31  # what is too old is not acted upon: it is never left alone for as long as that
    parts.site.error = None
    listings_in(parts, 40)
    assert len(listings_in(parts, 60)) >= 10


def test_a_listing_that_fails_is_not_hurried(parts: Parts) -> None:
    parts.site.error = Transient("503")
    parts.after(0)
    parts.observer.hurry_listing("cesnet")
    assert "cesnet/looks:list_instances" not in parts.after(1)


def test_a_site_that_asks_for_time_is_not_listed_before(parts: Parts) -> None:
    parts.site.error = Throttled("slower", retry_after=timedelta(seconds=90))
    parts.after(0)
    parts.observer.hurry_listing("cesnet")
    assert listings_in(parts, 88) == []
    assert len(listings_in(parts, 4)) == 1


def test_a_listing_that_is_hurried_comes_at_once_even_after_one_under_way(parts: Parts) -> None:
    parts.observer.pump()
    parts.observer.hurry_listing("cesnet")
    parts.workers.work()
    assert "cesnet/looks:list_instances" in parts.after(0.1)


def test_the_wait_until_the_next_pump_is_bounded(parts: Parts) -> None:
    for seconds in (0, 0.1, 5, 100):
        parts.clock.at += timedelta(seconds=seconds)
        wait = parts.observer.pump()
        assert timedelta(milliseconds=20) <= wait <= timedelta(seconds=1)
        parts.workers.work()


# --- tunnels ---------------------------------------------------------------------------------------------------------


class Tunnels:
    """What a broker writes: its own time goes on while it lives."""

    def __init__(self, clock: Hand) -> None:
        self.clock, self.off_by = clock, timedelta(0)
        self.error: Exception | None = None
        self.up: tuple[str, ...] = ()
        self.died_at: datetime | None = None
        self.none = False

    def status(self) -> OverlayStatus | None:
        if self.error:
            raise self.error
        if self.none:
            return None
        at = (self.died_at or self.clock.at) + self.off_by
        tunnels = {key: Tunnel(key, "main", "", "", NOW) for key in self.up}
        return OverlayStatus(at, (HubStatus("main", True, at),), tunnels)


@pytest.fixture
def tunnels(parts: Parts) -> Tunnels:
    made = Tunnels(parts.clock)
    parts.observer.overlay = made  # type: ignore[assignment]
    return made


def test_the_tunnels_are_asked_for_often_while_there_are_any_or_something_is_on_its_way(
    parts: Parts, tunnels: Tunnels
) -> None:
    assert "overlay:status" in parts.after(0)
    assert sum(parts.after(1.05).count("overlay:status") for _ in range(20)) <= 1
    parts.observer.expect(frozenset(), tunnels=True)
    assert sum(parts.after(1.05).count("overlay:status") for _ in range(20)) >= 19
    parts.observer.expect(frozenset({"cesnet"}))
    assert sum(parts.after(1.05).count("overlay:status") for _ in range(20)) >= 19


def test_one_question_for_the_tunnels_at_a_time(parts: Parts, tunnels: Tunnels) -> None:
    for _ in range(5):
        parts.observer.pump()
        parts.clock.at += timedelta(seconds=60)
    assert [lane for lane, _, _ in parts.workers.calls].count("overlay") == 1


def test_what_was_told_of_tunnels_is_kept_with_its_age_and_the_error_since(parts: Parts, tunnels: Tunnels) -> None:
    tunnels.up = ("router-upv-1",)
    parts.after(0)
    tunnels.error = Transient("no such file")
    parts.after(40)
    seen = parts.observer.tunnels
    assert seen.value is not None
    assert (list(seen.value.tunnels), seen.taken_at, seen.error) == (["router-upv-1"], NOW, "no such file")
    tunnels.error = None
    parts.after(40)
    assert (parts.observer.tunnels.taken_at, parts.observer.tunnels.error) == (parts.clock.at, "")


def test_a_broker_that_died_grows_old_although_its_last_word_can_be_read(parts: Parts, tunnels: Tunnels) -> None:
    parts.after(0)
    tunnels.died_at = NOW
    parts.after(40)
    parts.after(40)
    assert parts.observer.tunnels.taken_at == NOW


def test_the_word_of_a_broker_that_died_long_ago_is_old_also_for_a_new_daemon(parts: Parts, tunnels: Tunnels) -> None:
    tunnels.died_at = NOW - timedelta(hours=1)
    parts.after(0)
    assert parts.observer.tunnels.taken_at == NOW - timedelta(hours=1)


def test_a_broker_by_another_clock_is_believed_when_it_speaks_again(parts: Parts, tunnels: Tunnels) -> None:
    tunnels.off_by = timedelta(hours=-3)
    parts.after(0)
    parts.after(40)
    assert parts.observer.tunnels.taken_at == parts.clock.at


def test_without_an_overlay_to_look_at_that_is_known(parts: Parts, tunnels: Tunnels) -> None:
    tunnels.none = True
    parts.after(0)
    assert (parts.observer.tunnels.value, parts.observer.tunnels.taken_at) == (None, NOW)


def test_a_tunnel_that_comes_or_goes_hurries_the_next_look(parts: Parts, tunnels: Tunnels) -> None:
    parts.observer.expect(frozenset(), tunnels=True)
    parts.after(0)
    for up in (("router-upv-1",), ()):
        parts.after(1.05)
        assert "lrms:snapshot" not in parts.after(1.05)
        tunnels.up = up
        parts.after(1.05)
        assert "lrms:snapshot" in parts.after(0.25)
