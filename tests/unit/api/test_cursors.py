"""Lists that grow are read page by page: nothing twice, nothing left out, whatever is written meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from clues.api.cursors import cursor_of, make_cursor
from clues.api.problems import Refusal
from clues.ledger import Commit, open_ledger
from clues.model import Moment, Note
from tests.unit.api.serving import Api, serve
from tests.unit.builders import NOW, ago, hybrid, make_claim, make_note


@pytest.fixture
def api() -> Iterator[Api]:
    with serve(hybrid()) as served:
        yield served


def pages(api: Api, target: str, rows: str, meanwhile: Callable[[int], None]) -> Iterator[list[dict[str, Any]]]:
    """Go through the pages of a list, with something written between them."""
    cursor = ""
    for number in range(20):
        page = api.get(f"{target}&cursor={cursor}")
        yield page[rows]
        cursor = page["next"]
        if not cursor:
            return
        meanwhile(number)
    pytest.fail("there is no end")


def test_events_are_read_back_to_the_first(api: Api) -> None:
    api.control.add(*(make_note(number) for number in range(1, 8)))
    read = pages(api, "/v1/events?limit=3", "events", lambda at: api.control.add(make_note(100 + at)))
    assert [[one["id"] for one in page] for page in read] == [[5, 6, 7], [2, 3, 4], [1]]


def test_events_that_follow_have_no_older_ones(api: Api) -> None:
    api.control.add(*(make_note(number) for number in range(1, 8)))
    page = api.get("/v1/events?limit=2&after=3")
    assert ([one["id"] for one in page["events"]], page["last"], page["next"]) == ([4, 5], 5, "")


def test_the_past_is_read_on_to_the_present(api: Api) -> None:
    api.control.moments += [Moment(ago(minutes=10 - number), running=number) for number in range(7)]
    read = pages(
        api,
        "/v1/history?hours=1&limit=3",
        "moments",
        lambda at: api.control.moments.append(Moment(NOW, running=100 + at)),
    )
    assert [[one["running"] for one in page] for page in read] == [[0, 1, 2], [3, 4, 5], [6, 100, 101]]


def test_the_claims_of_a_node_are_read_back_to_the_first(api: Api) -> None:
    claims = api.control.ended_claims["cpu-001"] = [
        make_claim("cpu-001", generation=number) for number in (5, 4, 3, 2, 1)
    ]
    read = pages(
        api,
        "/v1/claims/cpu-001?limit=2",
        "claims",
        lambda at: claims.insert(0, make_claim("cpu-001", generation=10 + at)),
    )
    assert [[one["generation"] for one in page] for page in read] == [[5, 4], [3, 2], [1]]


def test_a_list_that_just_fits_ends_there(api: Api) -> None:
    api.control.add(make_note(1), make_note(2))
    assert api.get("/v1/events?limit=2")["next"] == ""


@pytest.mark.parametrize("path", ["events?", "history?", "claims/cpu-001?", "audit?"])
def test_a_cursor_of_another_list_is_refused(api: Api, path: str) -> None:
    assert api.ask("GET", f"/v1/{path}cursor={make_cursor('another', 7)}").status == 400


@pytest.mark.parametrize("number", [1, 7, 10**16 - 1])
def test_a_cursor_means_what_it_was_made_of(number: int) -> None:
    assert cursor_of("events", make_cursor("events", number)) == number


@pytest.mark.parametrize("number", [0, 10**16, 10**30])
def test_a_cursor_that_no_list_could_have_made_is_refused(number: int) -> None:
    with pytest.raises(Refusal):
        cursor_of("events", make_cursor("events", number))


def test_the_ledger_reads_in_pages() -> None:
    ledger = open_ledger(None)
    ledger.commit(Commit(notes=tuple(Note(NOW, "claim", "cpu-1", str(number)) for number in range(6))))
    assert [one.id for one in ledger.notes(before=5, limit=2)] == [3, 4]
    assert [one.id for one in ledger.notes(after=1, before=4, limit=10)] == [2, 3]
    for number in (1, 2, 3):
        ledger.commit(Commit(claims=(make_claim("cpu-1", generation=number),)))
    assert [one.generation for one in ledger.claims_of("cpu-1", 1, before=3)] == [2]
    for minutes in (3, 2, 1):
        ledger.record(Moment(ago(minutes=minutes), running=minutes))
    later = ago(minutes=3) + timedelta(microseconds=1)
    assert [one.running for one in ledger.moments(later, limit=1)] == [2]
