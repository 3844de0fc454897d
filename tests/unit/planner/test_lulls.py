"""``idle: auto``: as long as waiting for the next job costs less than another boot would."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clues.model import Boots, Claim, ClaimState, Leaving, Lulls, Memory, World
from clues.planner.supply.lulls import LONGEST, cheapest, learn_lulls, patience
from clues.planner.view import View, make_view
from tests.unit.builders import CLOSED, IDLE, NOW, ago, make_claim, make_offer, make_pool, make_settings
from tests.unit.planner.deciding import cluster, job, plan, state_of

CHEAP, DEAR = make_offer(price_per_hour=0.1), make_offer("aws", "c7i", price_per_hour=0.4)
POOL = make_pool(offers=[CHEAP, DEAR], idle_auto=True)
SETTINGS = make_settings([POOL])
BOOTS = {"cesnet/hpc.8core/on-demand": Boots((120.0,))}


def idle(**more: Any) -> Claim:
    return make_claim(**{"opened_at": ago(hours=3), "used_at": ago(hours=3), "offer": DEAR, **more})


def let_go(claim: Claim) -> Claim:
    return replace(claim, state=ClaimState.DRAINING, leaving=Leaving.IDLE)


def seen(claims: list[Claim], lulls: Lulls | None = None) -> tuple[World, View]:
    memory = Memory(boots=BOOTS, lulls={} if lulls is None else {"cpu": lulls})
    world = cluster((), claims, SETTINGS, {claim.node: IDLE for claim in claims}, memory=memory)
    return world, make_view(world, SETTINGS, NOW)


@pytest.mark.parametrize(("offer", "minutes"), [(CHEAP, 10), (DEAR, 2.5), (make_offer(price_per_hour=0.0), 60)])
def test_a_cheap_node_is_kept_for_longer_than_a_dear_one(offer: Any, minutes: float) -> None:
    """A boot of two minutes costs its price, and a job's wait the dearest: (0.1 + 0.4) for 2 min."""
    claim = idle(offer=offer)
    assert patience(seen([claim])[1], POOL, claim) == timedelta(minutes=minutes)


def test_a_pool_that_wants_its_nodes_soon_keeps_them_and_one_that_does_not_lets_them_go() -> None:
    claim = idle(idle_since=ago(minutes=2))
    for lulls, state in (((130.0,) * 20, ClaimState.READY), ((7200.0,) * 20, ClaimState.DRAINING)):
        world, _ = seen([claim], Lulls(lulls))
        assert state_of(plan(world, SETTINGS), world) is state


@given(st.lists(st.floats(0, 7200), min_size=1, max_size=40), st.floats(1, 3600))
def test_no_other_patience_would_have_cost_less(lulls: list[float], boot: float) -> None:
    def cost(kept: float) -> float:
        return sum(lull if lull <= kept else kept + boot for lull in lulls)

    found = cost(cheapest(lulls, boot))
    assert all(found <= cost(other) * 1.000001 + 1e-6 for other in (0.0, boot, *lulls))
    assert found <= 1.000001 * sum(min(2 * boot, lull + boot) for lull in lulls) + 1e-6


def test_a_lull_ends_when_the_node_is_used_or_the_pool_buys_again() -> None:
    used, gone = idle(idle_since=ago(seconds=90)), idle(node="cpu-2", idle_since=ago(minutes=5))
    world, view = seen([used, gone])
    after = {
        used.key: replace(used, idle_since=None),
        gone.key: replace(gone, state=ClaimState.DRAINING, leaving=Leaving.IDLE),
    }
    memory = learn_lulls(view, world.memory, after)
    assert memory.lulls["cpu"] == Lulls((90.0,), (ago(minutes=5),))
    view = make_view(replace(world, memory=memory), SETTINGS, NOW)
    bought = make_claim("cpu-3", ClaimState.PLANNED)
    assert learn_lulls(view, memory, {bought.key: bought}).lulls["cpu"] == Lulls((90.0, 300.0), ())


def test_what_is_not_missed_for_long_was_let_go_rightly() -> None:
    claim = idle(idle_since=ago(minutes=5))
    long_ago = NOW - 2 * LONGEST
    world, view = seen([claim], Lulls((), (long_ago,)))
    after = learn_lulls(view, world.memory, {claim.key: let_go(claim)})
    assert after.lulls["cpu"] == Lulls((7200.0,), (ago(minutes=5),))


def test_nothing_is_remembered_of_pools_with_a_fixed_time() -> None:
    claim = idle(idle_since=ago(seconds=90))
    world = cluster((), [claim], flags={"cpu-1": IDLE})
    view = make_view(world, make_settings(), NOW)
    assert learn_lulls(view, world.memory, {claim.key: replace(claim, idle_since=None)}) is world.memory


def test_what_was_let_go_although_wanted_is_not_called_back_to_be_let_go_again() -> None:
    """Its patience has been learned since, and is far below the longest that there is."""
    claim = idle(idle_since=ago(minutes=42), opened_at=ago(minutes=42), since=ago(seconds=1), ready_at=ago(hours=1))
    memory = Memory(boots=BOOTS, lulls={"cpu": Lulls((7200.0,) * 20)})
    settings = make_settings([replace(POOL, nodes=("cpu-1",))])
    for state, minutes in ((ClaimState.READY, 1), (ClaimState.STOPPING, 42)):
        left = replace(let_go(claim), idle_since=ago(minutes=minutes), opened_at=ago(minutes=minutes))
        world = cluster([job()], [left], settings, {"cpu-1": CLOSED}, memory=memory)
        assert state_of(plan(world, settings), world) is state
