"""The mirror of the ledger never says more than the disk."""

from __future__ import annotations

from datetime import timedelta

import pytest

from clues.errors import LedgerError
from clues.ledger import Commit, Ledger, open_ledger
from clues.model import ClaimState, Memory, Note, Operator
from clues.reconciler import Books
from tests.unit.builders import NOW, make_claim, make_offer


class Full(Ledger):
    """A ledger whose disk can be filled."""

    full = False

    def commit(self, change: Commit) -> None:
        if self.full:
            raise LedgerError("no space left")
        super().commit(change)


@pytest.fixture
def ledger() -> Full:
    return Full(None, open_ledger(None)._db)


def test_a_refused_commit_changes_nothing_and_is_shown_until_one_succeeds(ledger: Full) -> None:
    books = Books(ledger, NOW)
    ledger.full = True
    with pytest.raises(LedgerError):
        books.commit(Commit(claims=(make_claim(),), memory=Memory(), operator=Operator(paused=True)))
    assert (dict(books.claims), books.operator.paused, dict(books.generations)) == ({}, False, {})
    assert "no space" in books.troubles["ledger"]
    ledger.full = False
    books.commit(Commit(claims=(make_claim(),)))
    assert books.troubles == {}


def test_ended_claims_leave_the_books_and_their_generation_stays(ledger: Full) -> None:
    books = Books(ledger, NOW)
    books.commit(Commit(claims=(make_claim(state=ClaimState.STOPPING, generation=4),)))
    books.commit(Commit(claims=(make_claim(state=ClaimState.GONE, generation=4),)))
    assert dict(books.claims) == {}
    assert books.generations["cpu-1"] == 4
    assert Books(ledger, NOW).generations["cpu-1"] == 4
    assert books.ended_claim("cpu-1-4") is not None


def test_a_note_that_cannot_be_written_is_no_error(ledger: Full) -> None:
    ledger.full = True
    Books(ledger, NOW).note(Note(NOW, "alarm", "cpu-1", "text"))


def test_spend_is_what_the_vms_cost_since_the_last_booking(ledger: Full) -> None:
    books = Books(ledger, NOW)
    dear = make_claim(offer=make_offer("aws", "c7i", price_per_hour=2.0))
    books.commit(
        Commit(claims=(dear, make_claim("cpu-2"), make_claim("cpu-3", ClaimState.LAUNCHING, offer=dear.offer)))
    )
    later = NOW + timedelta(minutes=30)
    spend = books.spend_until(later)
    assert spend == {("2026-03-02", "cpu", "aws"): 1.0}
    books.commit(Commit(spend=spend))
    books.booked(spend, later)
    assert (books.spent_today, books.spend_until(later)) == (1.0, {("2026-03-02", "cpu", "aws"): 0.0})
    assert Books(ledger, later).spent_today == 1.0


def test_what_is_spent_today_begins_anew_at_midnight(ledger: Full) -> None:
    books = Books(ledger, NOW)
    books.booked({("2026-03-02", "cpu", "aws"): 7.0}, NOW)
    books.booked({("2026-03-03", "cpu", "aws"): 1.0}, NOW + timedelta(days=1))
    assert books.spent_today == 1.0


def test_a_clock_that_goes_back_earns_no_money(ledger: Full) -> None:
    books = Books(ledger, NOW)
    books.commit(Commit(claims=(make_claim(offer=make_offer(price_per_hour=2.0)),)))
    assert sum(books.spend_until(NOW - timedelta(hours=1)).values()) == 0.0


def test_after_the_clock_was_set_back_no_claim_waits_for_the_future(ledger: Full) -> None:
    Books(ledger, NOW).commit(Commit(claims=(make_claim(state=ClaimState.DRAINING, since=NOW, launched_at=NOW),)))
    back = NOW - timedelta(hours=1)
    (claim,) = Books(ledger, back).claims.values()
    assert claim.since <= back
    assert claim.launched_at is not None
    assert claim.launched_at <= back
