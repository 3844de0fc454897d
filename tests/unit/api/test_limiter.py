"""Nobody asks more than their share, and what watches over the cluster is never left blind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from fastapi.testclient import TestClient

from clues.api.app import make_app
from clues.api.buckets import Buckets, Rate
from clues.api.limiter import Limiter
from clues.api.problems import Refusal
from tests.unit.api.memory_control import MemoryControl, explain
from tests.unit.builders import NOW, hybrid


def test_so_many_at_once_then_so_many_a_second() -> None:
    buckets = Buckets(Rate(2.0, 3))
    assert [buckets.take("a", 0.0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.take("a", 0.4) == pytest.approx(0.1)
    assert [buckets.take("a", 0.5), buckets.take("a", 0.5)] == [0, 0.5]
    assert [buckets.take("a", 1000.0) for _ in range(4)] == [0, 0, 0, 0.5]


def test_each_has_a_share_of_their_own() -> None:
    buckets = Buckets(Rate(1.0, 1))
    assert [buckets.take(name, 0.0) for name in ("a", "a", "b")] == [0, 1, 0]


def test_a_clock_that_goes_back_gives_nothing_and_takes_nothing() -> None:
    buckets = Buckets(Rate(1.0, 1))
    buckets.take("a", 100.0)
    assert buckets.take("a", 50.0) == 1


def test_very_many_callers_take_no_memory_without_end() -> None:
    buckets = Buckets(Rate(1.0, 1))
    for number in range(10_000):
        buckets.take(str(number), 0.0)
    assert len(buckets._buckets) <= 4096


def test_a_stream_that_ends_makes_room_for_another() -> None:
    limiter = Limiter(Rate(1, 1), 2)
    limiter.begin_stream("a")
    limiter.begin_stream("a")
    with pytest.raises(Refusal, match="2 times already"):
        limiter.begin_stream("a")
    limiter.begin_stream("b")
    limiter.end_stream("a")
    limiter.begin_stream("a")


@dataclass
class Clock:
    time: float = 0.0
    limiter: Limiter = field(init=False)

    def __post_init__(self) -> None:
        self.limiter = Limiter(Rate(1.0, 3), 2, lambda: self.time)


@contextmanager
def asked(clock: Clock, open_to_all: bool = False) -> Iterator[tuple[TestClient, MemoryControl]]:
    control = MemoryControl(hybrid())
    app = make_app(
        control,
        explain,
        lambda _: (b"up 1\n", "text/plain"),
        now=lambda: NOW,
        limiter=clock.limiter,
        open_to_all=open_to_all,
    )
    with TestClient(app, base_url="http://localhost", client=("1000:1000", 1)) as client:
        yield client, control


def test_who_asks_too_often_is_told_when_to_come_again() -> None:
    clock = Clock()
    with asked(clock) as (client, control):
        assert [client.get("/v1/version").status_code for _ in range(4)] == [200, 200, 200, 429]
        refused = client.post("/v1/pause")
        assert (refused.status_code, refused.headers["Retry-After"], control.pauses) == (429, "1", [])
        assert refused.headers["content-type"] == "application/problem+json"
        assert [one.status for one in control.records] == [429]
        clock.time += 1
        assert client.post("/v1/pause").status_code == 200


def test_both_sockets_count_together() -> None:
    clock = Clock()
    with asked(clock) as (one, _), asked(clock, open_to_all=True) as (other, _):
        told = [client.get("/v1/version").status_code for client in (one, other, one, other)]
    assert told == [200, 200, 200, 429]


def test_metrics_are_told_however_much_is_asked() -> None:
    with asked(Clock()) as (client, _):
        while client.get("/v1/version").status_code == 200:
            pass
        assert {client.get("/metrics").status_code for _ in range(20)} == {200}


def test_a_new_configuration_is_taken_up() -> None:
    clock = Clock()
    with asked(clock) as (client, _):
        while client.get("/v1/version").status_code == 200:
            pass
        clock.limiter.use(Rate(100.0, 100), 2)
        clock.time += 0.1
        assert [client.get("/v1/version").status_code for _ in range(5)] == [200] * 5
