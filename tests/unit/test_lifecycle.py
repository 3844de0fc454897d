"""The one table of a claim's life hangs together."""

from __future__ import annotations

import pytest

from clues.lifecycle import MOVES, PERMITTED, STAYS, may_move
from clues.model import ClaimState as S


def test_every_state_is_described_once() -> None:
    assert sorted(stay.state for stay in STAYS) == sorted(S)


def test_no_move_is_listed_twice() -> None:
    assert len(PERMITTED) == len(MOVES)


def test_every_deadline_leads_along_a_move() -> None:
    assert [(stay.state, stay.then) for stay in STAYS if stay.then and not may_move(stay.state, stay.then)] == []


@pytest.mark.parametrize("state", S)
def test_every_state_leads_to_the_end(state: S) -> None:
    reached, todo = {state}, [state]
    while todo:
        here = todo.pop()
        fresh = {target for source, target in PERMITTED if source is here} - reached
        reached |= fresh
        todo += fresh
    assert S.GONE in reached


@pytest.mark.parametrize("state", [S.LAUNCHING, S.BOOTING, S.JOINING, S.READY, S.DRAINING])
def test_what_may_have_a_vm_ends_only_through_failed_or_stopping(state: S) -> None:
    assert not may_move(state, S.GONE)


@pytest.mark.parametrize("state", S)
def test_staying_is_always_permitted(state: S) -> None:
    assert may_move(state, state)


def test_jobs_are_never_killed_by_a_move_from_ready_to_stopping() -> None:
    assert not may_move(S.READY, S.STOPPING)


def test_only_a_launch_makes_a_vm() -> None:
    assert {source for source, target in PERMITTED if target is S.BOOTING} == {S.LAUNCHING}
