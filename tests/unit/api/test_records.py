"""Money and stories out of the ledger: told apart as asked for, by the calendar of the budgets, for operators."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from zoneinfo import ZoneInfo

import pytest
from fastapi.testclient import TestClient

from clues.api import privacy, records, records_routes
from clues.api.app import make_app
from clues.model import Billing, ClaimState, JobUse, Share, SpentRow
from tests.unit.api.memory_control import MemoryControl, explain
from tests.unit.builders import NOW, ago, make_claim, make_note, make_offer, make_published

MADRID = ZoneInfo("Europe/Madrid")
#: in Madrid it is the first of March already
LATE = datetime(2026, 2, 28, 23, 0, tzinfo=UTC)
ROWS = [
    SpentRow(LATE - timedelta(hours=1), "cpu", "upv", "physics", 1.0),
    SpentRow(LATE, "cpu", "upv", "physics", 2.0),
    SpentRow(LATE, "gpu", "aws", "", 4.0),
    SpentRow(NOW, "", "aws", "", 0.5),
]
SHARES = [Share(one.hour, one.pool, one.site, one.account, one.amount) for one in ROWS]


def client(control: MemoryControl, **more: object) -> TestClient:
    app = make_app(control, explain, now=lambda: NOW, **more)  # type: ignore[arg-type]
    return TestClient(app, base_url="http://localhost")


def test_costs_are_shared_out_for_one_caller_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records_routes, "PATIENCE_SECONDS", 0.05)
    entered, leave = Event(), Event()

    class Slow(MemoryControl):
        def job_uses(self, begin: datetime, end: datetime) -> list[JobUse]:
            entered.set()
            assert leave.wait(20)
            return []

    asked = client(Slow(make_published()))
    first: list[int] = []
    caller = Thread(target=lambda: first.append(asked.get("/v1/cost?by=user").status_code))
    caller.start()
    assert entered.wait(20)
    second = asked.get("/v1/cost?by=user")
    assert (second.status_code, "somebody else" in second.json()["detail"]) == (503, True)
    assert asked.get("/v1/cost?by=pool").status_code == 200, "what is only added up waits for nobody"
    leave.set()
    caller.join(20)
    assert (first, asked.get("/v1/cost?by=user").status_code) == ([200], 200)


def told(*by: str, zone: object = UTC) -> list[tuple[object, ...]]:
    answer = records.cost(SHARES, by, LATE, NOW, zone, "EUR")  # type: ignore[arg-type]
    return [(*(getattr(row, key) for key in by), row.amount) for row in answer.rows]


def test_money_is_told_apart_the_greatest_amount_first() -> None:
    assert told("pool") == [("gpu", 4.0), ("cpu", 3.0), ("", 0.5)]
    assert told("site", "pool") == [("aws", "gpu", 4.0), ("upv", "cpu", 3.0), ("aws", "", 0.5)]


def test_months_follow_each_other_and_begin_where_the_budgets_do() -> None:
    assert told("month") == [("2026-02", 7.0), ("2026-03", 0.5)]
    assert told("month", "account", zone=MADRID) == [
        ("2026-02", "physics", 1.0),
        ("2026-03", "", 4.5),
        ("2026-03", "physics", 2.0),
    ]


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-02", datetime(2026, 1, 31, 23, tzinfo=UTC)),
        ("2026-02-01", datetime(2026, 1, 31, 23, tzinfo=UTC)),
        ("2026-02-01T08:00", datetime(2026, 2, 1, 7, tzinfo=UTC)),
        ("2026-02-01T08:00Z", datetime(2026, 2, 1, 8, tzinfo=UTC)),
    ],
)
def test_a_day_begins_at_midnight_there(text: str, at: datetime) -> None:
    assert records.moment(text, MADRID) == at


def test_without_a_time_it_is_this_month() -> None:
    assert records.span("", "", NOW, UTC) == (datetime(2026, 3, 1, tzinfo=UTC), NOW)


@pytest.mark.parametrize(
    "query", ["since=yesterday", "since=2027-01-01", "since=0001-01-01", "by=colour", "until=9999"]
)
def test_what_is_no_time_or_no_key_is_refused(query: str) -> None:
    answer = client(MemoryControl(make_published())).get(f"/v1/cost?{query}")
    assert answer.status_code == 400
    assert answer.json()["detail"]


def test_the_ledgers_money_is_asked_for_the_time_that_was_meant() -> None:
    control = MemoryControl(make_published())
    control.spent_rows = ROWS
    answer = client(control).get("/v1/cost?by=site&since=2026-02-28T23:00&until=2026-03-01").json()
    assert [(one["site"], one["amount"], one["pool"]) for one in answer["rows"]] == [("aws", 4.0, ""), ("upv", 2.0, "")]
    assert (answer["since"], answer["total"]) == ("2026-02-28T23:00:00Z", 6.0)


def test_a_story_has_each_step_its_reasons_and_what_it_cost() -> None:
    offer = make_offer("aws", "g5", price_per_hour=0.6, billing=Billing(period=timedelta(hours=1)))
    ended = replace(
        make_claim("cpu-1", ClaimState.GONE, offer=offer, reason="idle", account="physics", jobs=("7",)),
        launched_at=ago(hours=3),
        ended_at=ago(hours=1, minutes=30),
    )
    control = MemoryControl(make_published())
    control.ended_claims["cpu-1"] = [ended]
    control.add(make_note(1, text="new -> planned: for job 7", about=("cpu-1-1",)), make_note(2, text="another's"))
    story = client(control).get("/v1/claims/cpu-1").json()["claims"][0]
    assert (story["launched_at"], story["gone_at"]) == ("2026-03-02T11:00:00Z", "2026-03-02T12:30:00Z")
    assert (story["lived_seconds"], story["cost"]) == (5400.0, 1.2)  # two periods are charged
    assert [event["text"] for event in story["events"]] == ["new -> planned: for job 7"]
    assert story["jobs"] == ["7"]


def test_a_claim_that_never_had_a_vm_cost_nothing_and_an_unknown_price_is_not_zero() -> None:
    control = MemoryControl(make_published())
    never = make_claim("cpu-1", ClaimState.GONE, instance_id="", offer=make_offer(price_per_hour=1.0), launched_at=NOW)
    unknown = make_claim("cpu-1", offer=make_offer(price_per_hour=None), launched_at=ago(hours=1))
    control.ended_claims["cpu-1"] = [never, unknown]
    assert [one["cost"] for one in client(control).get("/v1/claims/cpu-1").json()["claims"]] == [0.0, None]


def test_a_node_without_a_story_is_told_from_no_node_at_all() -> None:
    api = client(MemoryControl(make_published()))
    assert api.get("/v1/claims/cpu-1").json()["claims"] == []
    wrong = api.get("/v1/claims/cpu-9")
    assert wrong.status_code == 404
    assert "did you mean" in wrong.json()["detail"]


@pytest.mark.parametrize("path", ["claims/cpu-1"])
def test_stories_are_for_operators(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privacy, "eyes_of", lambda _: "alice")
    answer = client(MemoryControl(make_published()), open_to_all=True).get(f"/v1/{path}")
    assert answer.status_code == 403
