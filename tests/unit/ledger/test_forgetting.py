"""Old entries of the event log go, now and then, and a disk that refuses does no harm."""

from __future__ import annotations

from datetime import datetime

from clues.errors import LedgerError
from clues.ledger import Commit, open_ledger
from clues.ledger.forgetting import KEPT_FOR, Forgetting
from clues.model import Note
from tests.unit.builders import NOW, ago, ahead


def test_entries_older_than_a_year_go_and_younger_ones_stay() -> None:
    ledger = open_ledger(None)
    old, young = NOW - KEPT_FOR, ago(days=364)
    ledger.commit(Commit(notes=(Note(old, "claim", "cpu-1", "old"), Note(young, "claim", "cpu-1", "young"))))
    Forgetting(ledger.forget_notes).look(ahead(seconds=1))
    assert [note.text for note in ledger.notes()] == ["young"]


def test_it_is_done_once_a_minute_not_with_every_tick() -> None:
    asked: list[datetime] = []

    def forget(before: datetime) -> int:
        asked.append(before)
        return 0

    forgetting = Forgetting(forget)
    for seconds in (0, 1, 59, 60, 61, 120):
        forgetting.look(ahead(seconds=seconds))
    assert asked == [one - KEPT_FOR for one in (NOW, ahead(seconds=60), ahead(seconds=120))]


def test_a_disk_that_refuses_is_tried_again_later() -> None:
    def refuse(_before: datetime) -> int:
        raise LedgerError("disk full")

    forgetting = Forgetting(refuse)
    forgetting.look(NOW)
    forgetting.look(ahead(seconds=60))
