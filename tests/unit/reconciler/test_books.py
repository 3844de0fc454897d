"""The mirror of the ledger never says more than the disk."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from clues.errors import LedgerError
from clues.ledger import Commit, Ledger, open_ledger
from clues.model import Breaker, ClaimState, Lulls, Memory, Misread, Note, Operator, Period, Spot
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


DEAR = make_offer("aws", "c7i", price_per_hour=2.0)
EVERYBODY = {"cpu-1-1": {"physics": 0.75, "": 0.25}}


def test_spend_is_what_the_vms_cost_since_the_last_booking(ledger: Full) -> None:
    books = Books(ledger, NOW)
    dear = make_claim(offer=DEAR)
    books.commit(Commit(claims=(dear, make_claim("cpu-2"), make_claim("cpu-3", ClaimState.LAUNCHING, offer=DEAR))))
    later = NOW + timedelta(minutes=30)
    spend = books.spend_until(later, EVERYBODY)
    assert spend == {(NOW, "cpu", "aws", "physics"): 0.75, (NOW, "cpu", "aws", ""): 0.25}
    books.commit(Commit(spend=spend, booked_at=later))
    books.booked(spend, later)
    assert sum(books.spend_until(later, EVERYBODY).values()) == 0.0
    for one in (books, Books(ledger, later)):
        assert one.spent.of(Period.DAY) == one.spent.of(Period.DAY, pool="cpu") == 1.0
        assert one.spent.of(Period.HOUR, account="physics") == 0.75
        assert one.spent.of(Period.MONTH, pool="gpu") == 0.0


def test_what_vms_cost_while_no_daemon_ran_is_booked_into_the_hours_in_which_they_did(ledger: Full) -> None:
    books = Books(ledger, NOW)
    books.commit(Commit(claims=(make_claim(offer=DEAR),), booked_at=NOW))
    later = NOW + timedelta(minutes=90)
    spend = Books(ledger, later).spend_until(later, {})
    assert spend == {(NOW, "cpu", "aws", ""): 2.0, (NOW + timedelta(hours=1), "cpu", "aws", ""): 1.0}


def test_a_vm_is_not_paid_for_the_time_before_it_was_bought(ledger: Full) -> None:
    """Nothing is booked while nothing costs anything, so the last booking may be long ago."""
    books = Books(ledger, NOW)
    later = NOW + timedelta(minutes=30)
    books.commit(Commit(claims=(make_claim(offer=DEAR, created_at=NOW + timedelta(minutes=15)),)))
    assert sum(books.spend_until(later, {}).values()) == 0.5


def test_every_period_begins_anew_in_its_time_zone(ledger: Full) -> None:
    start = datetime(2026, 3, 31, 21, 30, tzinfo=UTC)  # half an hour to midnight in Prague, two and a half in Greenwich
    books, abroad = Books(ledger, start, "Europe/Prague"), Books(ledger, start)
    for when, amount in ((start, 1.0), (start + timedelta(minutes=40), 2.0)):
        spend = {(when.replace(minute=0), "cpu", "aws", ""): amount}
        books.commit(Commit(spend=spend))
        for one in (books, abroad):
            one.booked(spend, when)
    assert [books.spent.of(one) for one in Period] == [2.0, 2.0, 2.0]
    assert [abroad.spent.of(one) for one in Period] == [2.0, 3.0, 3.0]
    books.use_time_zone("UTC")
    assert books.spent.of(Period.MONTH) == 3.0


def test_a_clock_that_goes_back_earns_no_money(ledger: Full) -> None:
    books = Books(ledger, NOW)
    books.commit(Commit(claims=(make_claim(offer=make_offer(price_per_hour=2.0)),)))
    assert sum(books.spend_until(NOW - timedelta(hours=1), {}).values()) == 0.0


def test_after_the_clock_was_set_back_no_claim_waits_for_the_future(ledger: Full) -> None:
    Books(ledger, NOW).commit(Commit(claims=(make_claim(state=ClaimState.DRAINING, since=NOW, launched_at=NOW),)))
    back = NOW - timedelta(hours=1)
    (claim,) = Books(ledger, back).claims.values()
    assert claim.since <= back
    assert claim.launched_at is not None
    assert claim.launched_at <= back


def test_after_the_clock_was_set_back_nothing_rests_for_longer_than_it_was_to(ledger: Full) -> None:
    resting = Breaker("upv/small", "no-capacity", "full", NOW, NOW + timedelta(seconds=30))
    misread = Misread("7", "print", NOW, "cpu-1")
    Books(ledger, NOW).commit(Commit(memory=Memory({resting.key: resting}, {misread.job: misread})))
    back = NOW - timedelta(hours=1)
    memory = Books(ledger, back).memory
    assert memory.breakers[resting.key].until == back + timedelta(seconds=30)
    assert memory.misread["7"].since == back
    assert Books(ledger, NOW + timedelta(seconds=10)).memory.breakers == {resting.key: resting}


def test_after_the_clock_was_set_back_a_rest_is_as_long_as_the_last_and_not_as_the_whole_row(ledger: Full) -> None:
    """An offer has failed for ten hours, and was to rest for five minutes more."""
    row = Breaker("upv/small", "no-capacity", "full", NOW - timedelta(hours=10), NOW + timedelta(minutes=5))
    Books(ledger, NOW).commit(Commit(memory=Memory({row.key: replace(row, failures=90, failed_at=NOW)})))
    back = NOW - timedelta(hours=12)
    (found,) = Books(ledger, back).memory.breakers.values()
    assert (found.since, found.failed_at, found.until) == (back, back, back + timedelta(minutes=5))


def test_after_the_clock_was_set_back_what_was_learnt_of_markets_and_lulls_is_of_now(ledger: Full) -> None:
    """Else it would not grow old, and each purchase would take for missed what was let go in the future."""
    memory = Memory(spot={"aws/m/spot": Spot(10, 1, NOW)}, lulls={"cpu": Lulls((60.0,), (NOW, NOW))})
    Books(ledger, NOW).commit(Commit(memory=memory))
    back = NOW - timedelta(hours=1)
    found = Books(ledger, back).memory
    assert found.spot["aws/m/spot"].as_of == back
    assert found.lulls["cpu"] == Lulls((60.0,), (back, back))


def test_after_the_clock_was_set_back_an_address_rests_no_longer_than_it_is_to(ledger: Full) -> None:
    rest = timedelta(minutes=2)
    Books(ledger, NOW).commit(Commit(claims=(make_claim(state=ClaimState.GONE, ended_at=NOW),)))
    back = NOW - timedelta(hours=1)
    books = Books(ledger, back)
    assert len(books.rested(back + rest - timedelta(seconds=1), rest)) == 1
    assert books.rested(back + rest, rest) == []
    assert len(Books(ledger, NOW + timedelta(seconds=1)).rested(NOW + timedelta(seconds=1), rest)) == 1
