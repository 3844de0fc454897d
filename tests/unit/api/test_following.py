"""Who follows the cluster is told all of it once, then what changed; the past is told; strangers' pages get nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from threading import Event
from typing import Any

import pytest
from starlette.datastructures import Headers

from clues.api import views
from clues.api.feeds import Feeds
from clues.api.guard import HEADERS, stranger
from clues.api.lens import Lens
from clues.api.stream import Feed, Follower
from clues.api.watching import Pictures
from clues.history import History, moment
from clues.ledger import open_ledger
from clues.model import Moment
from tests.unit.api.memory_control import MemoryControl
from tests.unit.api.serving import UnixConnection, serve
from tests.unit.api.test_privacy import picture
from tests.unit.builders import NOW, ago, ahead, hybrid


def lens(**changes: Any) -> Lens:
    return Lens.of(replace(hybrid(), **changes), changes.get("at", NOW))


def test_a_first_change_is_everything_and_a_second_one_nothing() -> None:
    follower = Follower()
    first = follower.take(lens())
    assert (len(first.nodes), len(first.status), first.queue_changed) == (117, 1, True)
    second = follower.take(lens(ticks=8, at=ahead(seconds=1)))
    assert (second.tick, second.nodes, second.gone, second.status, second.queue_changed) == (8, (), (), (), False)


def test_what_is_no_more_is_told() -> None:
    follower = Follower()
    follower.take(lens())
    settings = hybrid().settings
    without = replace(settings, pools={name: pool for name, pool in settings.pools.items() if name != "gpu"})
    change = follower.take(lens(settings=without))
    world = hybrid().world.lrms.value
    assert world is not None
    assert set(change.gone) == {name for name in settings.pools["gpu"].nodes if name not in world.nodes}


def events(connection: UnixConnection) -> Iterator[dict[str, Any]]:
    """Go through the changes that a connection is sent."""
    connection.request("GET", "/v1/stream", headers={"Host": "localhost"})
    answer = connection.getresponse()
    assert answer.headers.get_content_type() == "text/event-stream"
    while line := answer.readline():
        if line.startswith(b"data: "):
            yield json.loads(line.removeprefix(b"data: "))


def test_a_change_comes_by_itself() -> None:
    with serve(hybrid()) as api:
        connection = UnixConnection(api.path)
        told = events(connection)
        assert len(next(told)["nodes"]) == 117
        api.control.tick(replace(hybrid(), troubles=("the disk is full",)))
        change = next(told)
        assert change["status"][0]["troubles"][0] == "the disk is full"
        assert change["nodes"] == []
        connection.close()


def test_the_past_is_told_from_when_it_is_asked_for() -> None:
    with serve(hybrid()) as api:
        api.control.moments += [Moment(ago(hours=hours), running=hours) for hours in (30, 3, 1)]
        told = api.get("/v1/history?hours=4")
    assert [one["running"] for one in told["moments"]] == [3, 1]
    assert told["currency"] == "EUR"


def test_a_moment_holds_what_is_not_off() -> None:
    found = moment(lens())
    assert sum(count for *_, count in found.nodes) < 20
    assert ("cesnet", "cpu", "busy") in {(site, pool, state) for site, pool, state, _ in found.nodes}
    assert found.cost_per_hour == hybrid().plan.cost_per_hour


def test_one_moment_a_minute_is_kept_and_old_ones_are_forgotten() -> None:
    ledger = open_ledger(None)
    history = History(ledger.record)
    for seconds in (0, 30, 59, 61, 100):
        history.see(replace(hybrid(), at=ahead(seconds=seconds)))
    assert [one.at for one in ledger.moments(ago(hours=1))] == [NOW, ahead(seconds=61)]
    history.see(replace(hybrid(), at=ahead(days=8, seconds=30)))
    assert [one.at for one in ledger.moments(ago(hours=1))] == [ahead(seconds=61), ahead(days=8, seconds=30)]


@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        ({"host": "localhost"}, False),
        ({"host": "localhost:8080", "origin": "http://localhost:8080", "sec-fetch-site": "same-origin"}, False),
        ({"host": "127.0.0.1:8080"}, False),
        ({"host": "[::1]:8080"}, False),
        ({}, False),
        ({"host": "evil.example"}, True),
        ({"host": "localhost.evil.example:8080"}, True),
        ({"host": "localhost:8080", "origin": "http://evil.example"}, True),
        ({"host": "localhost:8080", "origin": "null"}, True),
        ({"host": "localhost:8080", "origin": "http://localhost:9090"}, True),
        ({"host": "localhost:8080", "sec-fetch-site": "cross-site"}, True),
        ({"host": "[::1"}, True),
    ],
    ids=str,
)
def test_a_strangers_page_is_refused(headers: dict[str, str], refused: bool) -> None:
    assert bool(stranger(Headers(headers))) is refused


def test_a_refused_order_is_not_carried_out_and_every_answer_is_closed_to_others() -> None:
    with serve(hybrid()) as api:
        connection = UnixConnection(api.path)
        connection.request("POST", "/v1/pause", headers={"Host": "localhost", "Origin": "http://evil.example"})
        assert connection.getresponse().status == 403
        assert api.control.pauses == []
        for path in ("/", "/v1/status", "/page/page.js"):
            connection = UnixConnection(api.path)
            connection.request("GET", path, headers={"Host": "localhost"})
            answer = connection.getresponse()
            assert answer.status == 200
            assert {name: answer.headers[name] for name in HEADERS} == HEADERS


# --- one picture for all who see the same ----------------------------------------------------------------------


def feed_of(*lenses: Lens) -> Feed:
    """A feed that sees one picture after the other, the last one again and again."""
    left = list(lenses)
    return Feed(lambda: left.pop(0) if len(left) > 1 else left[0])


def changed(tick: int) -> Lens:
    return lens(ticks=tick, at=ahead(seconds=tick), troubles=(f"trouble {tick}",))


def test_what_is_new_is_encoded_once_for_all_listeners() -> None:
    feed = feed_of(changed(1), changed(2), changed(2))
    first = feed.since(-1)
    assert first is not None
    told = [feed.since(first[0][0]) for _ in range(5)]
    assert [[tick for tick, _ in one or []] for one in told] == [[2]] * 5
    assert len({id(one[0][1]) for one in told if one}) == 1


def test_who_comes_later_is_told_the_whole_and_then_the_same_changes() -> None:
    feed = feed_of(changed(1), changed(2), changed(2), changed(3))
    feed.since(-1)
    feed.since(1)
    ((tick, event),) = feed.since(-1) or []
    assert (tick, len(json.loads(event.split(b"data: ")[1])["nodes"])) == (2, 117)
    assert [tick for tick, _ in feed.since(2) or []] == [3]


def test_who_sleeps_a_little_gets_every_change_and_who_sleeps_long_begins_anew() -> None:
    feed = feed_of(*(changed(number) for number in range(1, 60)))
    feed.since(-1)
    for _ in range(10):
        feed.since(1)
    assert [tick for tick, _ in feed.since(3) or []] == list(range(4, 13))
    for _ in range(40):
        feed.since(1)
    assert feed.since(3) is None


def test_a_tick_that_this_feed_never_told_is_none_of_its() -> None:
    feed = feed_of(changed(1), changed(5))
    feed.since(-1)
    assert feed.since(3) is None


def feeds(*private: str) -> tuple[Feeds, MemoryControl]:
    control = MemoryControl(picture(*private))
    return Feeds(control, Pictures(control, lambda: NOW, Event())), control


def test_all_share_a_feed_where_slurm_hides_nothing() -> None:
    told, _ = feeds()
    assert told.of("alice") is told.of("bob") is told.of(None)


def test_nobody_shares_a_feed_with_who_sees_something_else() -> None:
    told, control = feeds("jobs")
    assert len({id(told.of(user)) for user in ("alice", "bob", None)}) == 3
    assert told.of("alice") is told.of("alice")
    ((_, event),) = told.of("alice").since(-1) or []
    assert b"bob" not in event
    control.tick(picture())
    assert told.of("alice") is told.of(None)  # Slurm hides nothing any more: who listens asks anew


def test_an_answer_is_made_once_a_second_for_all_who_see_the_same() -> None:
    control, clock, made = MemoryControl(picture("jobs")), [NOW], list[str]()
    pictures = Pictures(control, lambda: clock[0], Event())

    def ask(user: str | None) -> bytes:
        seen = pictures.lens(user=user)

        def make(lens: Lens) -> object:
            made.append(user or "all")
            return views.jobs(lens)

        return pictures.told(seen, ("jobs", id(seen.published)), make)

    assert ask(None) == ask(None) != ask("alice") == ask("alice")
    assert made == ["all", "alice"]
    assert b"bob" not in ask("alice")
    clock[0] = ahead(seconds=1)
    ask(None)
    control.tick(picture("jobs"))
    ask(None)
    assert made == ["all", "alice", "all", "all"]


def test_old_pictures_are_not_held() -> None:
    control = MemoryControl(picture("jobs"))
    pictures = Pictures(control, lambda: NOW, Event())
    for _ in range(5):
        for user in (None, "alice"):
            seen = pictures.lens(user=user)
            pictures.told(seen, ("jobs", id(seen.published)), views.jobs)
        control.tick(picture("jobs"))
    assert len(pictures._answers) <= 2
    assert len(pictures._lenses) <= 2
