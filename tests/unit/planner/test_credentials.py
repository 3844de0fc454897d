"""Credentials that end are told a day ahead, once."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from clues.ledger import Commit, open_ledger
from clues.model import Memory, Note, Observed, SiteTerms
from clues.planner import decide
from clues.planner.explain import explain
from tests.unit.builders import NOW, ago, ahead, make_published, make_settings
from tests.unit.planner.deciding import cluster

SETTINGS = make_settings()


def told(until: datetime | None, memory: Memory | None = None, now: datetime = NOW) -> tuple[list[Note], Memory]:
    """Return the alarms of one decision, and what is remembered then."""
    terms = {"cesnet": SiteTerms(credentials=Observed(until, NOW))}
    decided = decide(cluster(taken_at=now, terms=terms, memory=memory or Memory()), SETTINGS, now)
    return [note for note in decided.notes if note.kind == "alarm"], decided.memory


@pytest.mark.parametrize(("until", "says"), [(ahead(hours=20), "end in 20 h"), (ago(minutes=1), "have ended")])
def test_the_end_is_told_ahead_and_when_it_has_come(until: datetime, says: str) -> None:
    (note,), _ = told(until)
    assert (note.subject, says in note.text) == ("cesnet", True)


@pytest.mark.parametrize("until", [None, ahead(hours=25), ahead(days=300)])
def test_without_an_end_in_sight_nothing_is_told(until: datetime | None) -> None:
    assert told(until) == ([], Memory())


def test_each_is_told_once_and_again_for_new_credentials_that_end_too() -> None:
    until, memory, heard = ahead(hours=30), Memory(), []
    for hour in range(50):
        now = NOW + timedelta(hours=hour)
        until = ahead(days=5) if hour == 40 else until
        notes, memory = told(until, memory, now)
        heard += [(hour, note.text.partition(":")[0]) for note in notes]
    assert heard == [(6, "its credentials end in 24 h"), (30, "its credentials have ended")]
    assert memory.warned == {}


def test_while_nobody_can_tell_nothing_is_forgotten() -> None:
    """A daemon that has just started, or a site that does not answer, must not tell the same again."""
    _, memory = told(ahead(hours=20))
    unasked = cluster(terms={"cesnet": SiteTerms()}, memory=memory)
    decided = decide(unasked, SETTINGS, NOW)
    assert decided.memory == memory
    assert told(ahead(hours=20), decided.memory)[0] == []


def test_that_it_was_told_survives_a_restart() -> None:
    ledger = open_ledger(None)
    _, memory = told(ahead(hours=20))
    ledger.commit(Commit(memory=memory))
    assert told(ahead(hours=19), ledger.memory())[0] == []


def test_a_sites_explanation_tells_it() -> None:
    world = replace(cluster(), terms={"cesnet": SiteTerms(credentials=Observed(ahead(hours=20), NOW))})
    assert "Its credentials end in 20 h." in explain(make_published(SETTINGS, world), "cesnet", [])
