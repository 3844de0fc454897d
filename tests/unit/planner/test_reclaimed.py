"""A VM that its provider takes back: drained ahead, not called back, and replaced by another."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from clues.model import ClaimState, Memory
from clues.planner import after_notice
from clues.planner.capacity.breaker import RECLAIMED, learn_failure
from clues.planner.supply import let_go
from clues.planner.view import make_view
from tests.unit.builders import (
    BUSY,
    CLOSED,
    DRAINING,
    IDLE,
    NOW,
    ago,
    make_claim,
    make_node,
    make_offer,
    make_pool,
    make_settings,
)
from tests.unit.planner.claims import BOOTING, JOINING, LAUNCHING, READY, after, one
from tests.unit.planner.deciding import bought_at, cluster, drained, job, plan, state_of, terminated
from tests.unit.planner.routed import router

S = ClaimState
SPOT, ELSEWHERE = make_offer(), make_offer("aws", "c7i", price_per_hour=0.5)
SETTINGS = make_settings([make_pool(offers=[SPOT, ELSEWHERE])])


@pytest.mark.parametrize("claim", [BOOTING, JOINING, READY], ids=lambda one: one.state)
def test_a_worker_is_drained_at_once_with_the_reason(claim: object) -> None:
    told = after_notice(claim, "interruption at 14:02", NOW)  # type: ignore[arg-type]
    assert (told.state, told.reclaimed_at) == (S.DRAINING, NOW)
    assert "interruption at 14:02" in told.reason


@pytest.mark.parametrize("state", [S.DRAINING, S.STOPPING, S.FAILED])
def test_one_that_leaves_already_goes_on_leaving(state: ClaimState) -> None:
    claim = make_claim(state=state)
    assert after_notice(claim, "x", NOW) == replace(claim, reclaimed_at=NOW)


def test_told_again_nothing_changes() -> None:
    told = after_notice(READY, "x", NOW)
    assert after_notice(told, "y", NOW) is told


def test_one_that_was_told_before_its_launch_was_answered_is_drained_then() -> None:
    told = after_notice(LAUNCHING, "x", NOW)
    assert told.state is S.LAUNCHING
    assert after(one(replace(BOOTING, reclaimed_at=NOW))) is S.DRAINING
    assert after(one(replace(JOINING, reclaimed_at=NOW))) is S.DRAINING
    assert after(one(replace(READY, reclaimed_at=NOW), IDLE, reason="")) is S.DRAINING


def test_a_router_carries_its_network_to_the_end() -> None:
    told = after_notice(router(), "x", NOW)
    assert (told.state, told.reclaimed_at) == (S.READY, NOW)


LEAVING = replace(READY, state=S.DRAINING, reclaimed_at=ago(seconds=5), since=ago(seconds=5), used_at=ago(minutes=5))


def test_its_node_takes_no_new_job_while_those_that_run_go_on() -> None:
    seen = cluster([], [LEAVING], SETTINGS, nodes=[make_node("cpu-1", BUSY)])
    decided = plan(seen, SETTINGS)
    assert "cpu-1" in drained(decided)
    assert (state_of(decided, seen), terminated(decided)) == (S.DRAINING, [])
    seen = cluster([], [LEAVING], SETTINGS, nodes=[make_node("cpu-1", DRAINING, reason="clues:stopping")])
    assert state_of(plan(seen, SETTINGS), seen) is S.DRAINING


def test_it_is_not_called_back_for_a_job_but_another_is_bought_elsewhere() -> None:
    """Its offer rests, so that the replacement is not of the market that has just run short."""
    memory = learn_failure(Memory(), READY, RECLAIMED, "interruption", ago(seconds=5), SETTINGS.pace)
    node = make_node("cpu-1", CLOSED, reason="clues:stopping")
    seen = cluster([job()], [LEAVING], SETTINGS, nodes=[node], memory=memory)
    decided = plan(seen, SETTINGS)
    assert state_of(decided, seen) is S.STOPPING
    assert bought_at(decided) == ["aws"]
    # without the notice it would be called back
    seen = cluster([job()], [replace(LEAVING, reclaimed_at=None)], SETTINGS, nodes=[node])
    decided = plan(seen, SETTINGS)
    assert (state_of(decided, seen), bought_at(decided)) == (S.READY, [])


@pytest.mark.parametrize("reclaimed_at", [None, ago(seconds=5)])
def test_whoever_wants_its_node_it_goes(reclaimed_at: datetime | None) -> None:
    claim = replace(LEAVING, reclaimed_at=reclaimed_at)
    seen = cluster([], [claim], SETTINGS, nodes=[make_node("cpu-1", CLOSED, reason="clues:stopping")])
    called_back = let_go(make_view(seen, SETTINGS, NOW), seen.claims, ["cpu-1"])
    assert (claim.key in called_back.changed) == (reclaimed_at is None)


def test_what_the_market_did_is_held_against_its_offer_alone() -> None:
    memory = learn_failure(Memory(), READY, RECLAIMED, "interruption", NOW, SETTINGS.pace)
    assert [(one.key, one.words) for one in memory.breakers.values()] == [(SPOT.key, "interruption")]
