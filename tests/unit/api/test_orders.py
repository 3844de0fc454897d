"""Calls that act: once for each key, and told in the audit log, refused ones too."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from clues.api import audit
from clues.api.buckets import Rate
from clues.api.ordering import target
from clues.model import Wish
from tests.unit.api.serving import Api, serve
from tests.unit.builders import hybrid

KEY = {"Idempotency-Key": "1b4e28ba-2fa1-11d2-883f-0016d3cca427"}
BODY = {"nodes": ["cpu-[001-002]"]}


@pytest.fixture
def api() -> Iterator[Api]:
    with serve(hybrid()) as served:
        yield served


def test_an_order_with_a_key_is_done_once_and_answered_each_time(api: Api) -> None:
    first, second = (api.post("/v1/nodes/drain", BODY, KEY) for _ in range(2))
    assert (first.status, first.body) == (second.status, second.body)
    assert api.control.orders == [(("cpu-001", "cpu-002"), Wish.DRAIN, api.control.orders[0][2])]


def test_a_key_with_another_body_or_for_another_call_is_a_conflict(api: Api) -> None:
    api.post("/v1/nodes/drain", BODY, KEY)
    for answer in (
        api.post("/v1/nodes/drain", {"nodes": ["cpu-003"]}, KEY),
        api.post("/v1/nodes/enable", BODY, KEY),
        api.post("/v1/pause", None, KEY),
    ):
        assert (answer.status, answer.type) == (409, "application/problem+json")
    assert len(api.control.orders) == 1


def test_an_order_that_is_no_longer_possible_is_answered_as_it_was(api: Api) -> None:
    first = api.post("/v1/vrouter/evict", {"name": "gpu-01"}, KEY)
    with api.control._changed:  # the VM has gone, and a daemon has just started that has not seen anything yet
        api.control._published = None
    assert (first.status, api.post("/v1/vrouter/evict", {"name": "gpu-01"}, KEY)) == (200, first)
    assert len(api.control.evictions) == 1


@pytest.mark.parametrize("key", ["a b", "é", "x" * 129])
def test_a_key_that_is_none_is_refused(api: Api, key: str) -> None:
    answer = api.post("/v1/pause", None, {"Idempotency-Key": key.encode().decode("latin-1")})
    assert (answer.status, api.control.pauses) == (400, [])


def test_what_was_done_and_refused_is_in_the_audit_log(api: Api) -> None:
    api.post("/v1/nodes/drain", BODY)
    api.post("/v1/nodes/drain", {"nodes": ["nobody"]})
    api.post("/v1/nodes/fly", BODY)
    told = api.get("/v1/audit")["deeds"]
    assert [(one["act"], one["target"], one["result"], one["status"]) for one in told] == [
        ("POST /v1/nodes/fly", "", "refused", 404),
        ("POST /v1/nodes/drain", "", "refused", 404),
        ("POST /v1/nodes/drain", "cpu-[001-002]", "done", 200),
    ]
    assert "no node of any pool: nobody" in told[1]["detail"].replace("not a", "no")
    assert {one["way"] for one in told} == {"socket"}


def test_reading_is_not_in_the_audit_log(api: Api) -> None:
    for path in ("status", "nodes?names=nobody", "explain/nobody"):
        api.ask("GET", f"/v1/{path}")
    assert api.control.records == []


def test_who_tries_without_end_fills_no_log(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "_RATE", Rate(0.001, 3))
    with serve(hybrid()) as limited:
        for _ in range(6):
            limited.post("/v1/nodes/fly", BODY)
        assert len(limited.control.records) == 3


def test_the_audit_log_is_read_page_by_page_while_it_grows(api: Api) -> None:
    for _ in range(5):
        api.post("/v1/pause")
    seen: list[int] = []
    cursor = ""
    while True:
        page = api.get(f"/v1/audit?limit=2&cursor={cursor}")
        seen += [one["id"] for one in page["deeds"]]
        api.post("/v1/resume")
        cursor = page["next"]
        if not cursor:
            break
    assert seen == [5, 4, 3, 2, 1]


@pytest.mark.parametrize("cursor", ["x", "YXVkaXQ6MA", "ZXZlbnRzOjE", "YXVkaXQ6LTE", "%00", "é"])
def test_a_cursor_of_something_else_is_refused(api: Api, cursor: str) -> None:
    assert api.ask("GET", f"/v1/audit?cursor={cursor.replace('é', '%C3%A9')}").status == 400


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", ""),
        (b"[", ""),
        (b'{"nodes":["a","b"],"x":1}', "a,b 1"),
        (json.dumps({"name": "\x1b[2J" * 400}).encode(), "\\x1b[2J"),
        (b"[" * 100_000, ""),
    ],
    ids=["none", "broken", "values", "long and bad", "deep"],
)
def test_a_target_is_short_and_printable(body: bytes, told: str) -> None:
    assert target(body).startswith(told)
    assert len(target(body)) <= 4 * 500
    assert target(body).isprintable()
