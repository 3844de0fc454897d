"""The API's part of a maintenance: what is announced, what still runs there, and that wrong orders change nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from clues.model import Maintenance, Operator, Published
from tests.unit.api.serving import Api, serve
from tests.unit.builders import ahead, hybrid

BODY = {"site": "cesnet", "begin": "2026-03-02T20:00:00+01:00", "end": "2026-03-02T22:00:00+00:00"}


def with_maintenance(*announced: Maintenance) -> Published:
    picture = hybrid()
    return replace(picture, world=replace(picture.world, operator=Operator(maintenance=announced)))


@pytest.fixture
def api() -> Iterator[Api]:
    with serve(hybrid()) as served:
        yield served


def test_what_is_announced_is_told_with_what_still_runs_there() -> None:
    soon = Maintenance(3, "cesnet", ahead(hours=6), ahead(hours=8), None, "alice")
    with serve(with_maintenance(soon)) as api:
        (one,) = api.get("/v1/maintenance")["maintenance"]
        warned = {site["name"]: site["warnings"] for site in api.get("/v1/sites")["sites"]}
    assert (one["number"], one["site"], one["who"], one["vms"]) == (3, "cesnet", "alice", 5)
    assert (one["begin"], one["end"]) == ("2026-03-02T20:00:00Z", "2026-03-02T22:00:00Z")
    # pending jobs without a limit could start there at once
    assert one["state"] == "emptying"
    assert set(one["jobs_past_begin"]) == {"4188", "4100_1", "4100_2", "4100_3"}
    assert warned["cesnet"] == ["maintenance from 2026-03-02 20:00 to 22:00 UTC"]
    assert warned["upv"] == []


def test_an_order_is_carried_out_and_answered(api: Api) -> None:
    answer = api.post("/v1/maintenance", {**BODY, "ahead_seconds": 3600})
    assert (answer.status, answer.body["number"], answer.body["begin"]) == (200, 1, "2026-03-02T19:00:00Z")
    (made,) = api.control.maintenance.maintenance
    assert (made.site, made.begin, made.end) == ("cesnet", ahead(hours=5), ahead(hours=8))
    gone = api.post("/v1/maintenance/1/cancel")
    assert (gone.status, gone.body["state"], api.control.maintenance.maintenance) == (200, "cancelled", ())


@pytest.mark.parametrize(
    ("change", "status", "told"),
    [
        ({"site": "cesnett"}, 404, "did you mean cesnet?"),
        ({"begin": "2026-03-02T20:00:00"}, 400, "timezone"),
        ({"end": "2026-03-02T18:00:00Z"}, 400, "before it begins"),
        ({"begin": "2026-03-01T20:00:00Z", "end": "2026-03-02T13:59:00Z"}, 400, "over already"),
        ({"ahead_seconds": -1}, 400, "greater than or equal to 0"),
        ({"until": "x"}, 400, "Extra inputs"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    api: Api, change: dict[str, Any], status: int, told: str
) -> None:
    answer = api.post("/v1/maintenance", {**BODY, **change})
    assert answer.status == status, answer
    assert told in answer.body["detail"]
    assert api.control.maintenance.maintenance == ()


def test_what_is_not_announced_cannot_be_cancelled(api: Api) -> None:
    answer = api.post("/v1/maintenance/7/cancel")
    assert (answer.status, "clues maintenance list" in answer.body["detail"]) == (404, True)
