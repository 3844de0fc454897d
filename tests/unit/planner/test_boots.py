"""How long boots take: what is learnt from them, what stands in where nothing was seen, and what is left of one."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from functools import reduce
from typing import Any

import pytest
from pydantic import TypeAdapter

from clues.ledger import Commit, open_ledger
from clues.model import Boots, Claim, ClaimState, Kind, Market, Memory, Pace
from clues.planner.forecasts.boots import KEPT, OFFERS_KEPT, Source, boot_time, learn_boot, offer_key, router_time
from clues.planner.lessons import learn_from_moves
from tests.unit.builders import NOW, ago, make_claim, make_offer, make_pool

OFFER = make_offer("aws", "g5", market=Market.SPOT)


def seconds(value: timedelta) -> float:
    return value.total_seconds()


def booted(claim: Claim, took: float) -> tuple[Claim, Claim]:
    """Return a claim before and after it became ready, so many seconds after its launch."""
    before = replace(claim, state=ClaimState.JOINING, launched_at=NOW - timedelta(seconds=took), ready_at=None)
    return before, replace(before, ready_at=NOW)


def after_boots(*took: float, memory: Memory | None = None, **claim: Any) -> Memory:
    boots = (booted(make_claim(**{"offer": OFFER, **claim}), one) for one in took)
    return reduce(lambda known, pair: learn_boot(known, *pair), boots, memory or Memory())


def test_a_boot_is_learnt_when_the_node_is_ready_even_while_it_waits_for_its_gang() -> None:
    before, after = booted(make_claim(offer=OFFER, gang="7"), 80)
    assert after.state is before.state
    memory = learn_from_moves(Memory(), {before.key: before}, {after.key: after}, NOW, Pace())
    assert memory.boots == {"aws/g5/spot": Boots((80.0,))}
    opened = replace(after, state=ClaimState.READY)
    assert learn_from_moves(memory, {after.key: after}, {opened.key: opened}, NOW, Pace()) is memory


def test_one_boot_that_hung_moves_no_quantile_by_much() -> None:
    usual = boot_time(after_boots(*[60, 62, 64, 66, 68] * 3), OFFER)
    one_hung = boot_time(after_boots(*[60, 62, 64, 66, 68] * 3, 3000), OFFER)
    assert seconds(one_hung.likely - usual.likely) <= 2
    assert seconds(one_hung.late - usual.late) <= 5


def test_the_latest_boots_count_and_no_more_are_kept() -> None:
    memory = after_boots(*[300] * KEPT, *[60] * KEPT)
    assert boot_time(memory, OFFER).likely == timedelta(seconds=60)
    assert len(memory.boots[offer_key(OFFER)].seconds) == KEPT


def test_offers_that_have_not_booted_for_long_make_room() -> None:
    memory = after_boots(60)
    for number in range(OFFERS_KEPT):
        memory = after_boots(60, memory=memory, offer=make_offer("aws", f"f{number}"))
        if number == OFFERS_KEPT - 2:
            memory = after_boots(60, memory=memory, offer=make_offer("aws", "f0"))
    assert len(memory.boots) == OFFERS_KEPT
    assert offer_key(OFFER) not in memory.boots
    assert "aws/f0/on-demand" in memory.boots


@pytest.mark.parametrize(
    "claim",
    [
        pytest.param({"adopted": True}, id="adopted, so that nobody knows when it began"),
        pytest.param({"probe": True}, id="of an image that is only tried"),
    ],
)
def test_a_boot_of_another_kind_teaches_nothing(claim: dict[str, Any]) -> None:
    assert after_boots(60, **claim) == Memory()


@pytest.mark.parametrize("took", [-5.0, 0.0, 90_000.0])
def test_a_boot_that_no_clock_can_have_timed_teaches_nothing(took: float) -> None:
    assert after_boots(took) == Memory()


def test_an_unseen_offer_goes_by_its_site_then_by_its_pool_elsewhere() -> None:
    memory = after_boots(100)
    assert boot_time(memory, make_offer("aws", "p3")).source is Source.SITE
    unseen = make_offer("upv", "medium")
    assert not boot_time(memory, unseen).known
    pool = make_pool(offers=[OFFER, unseen])
    told = boot_time(memory, unseen, pool)
    assert (told.source, told.likely) == (Source.POOL, timedelta(seconds=100))
    # a site whose name only begins like another's is another
    assert not boot_time(memory, make_offer("aw", "g5")).known


def test_few_boots_give_a_wider_range() -> None:
    one, many = boot_time(after_boots(100), OFFER), boot_time(after_boots(*[100] * KEPT), OFFER)
    assert seconds(one.early) <= 50
    assert seconds(one.late) >= 200
    assert seconds(many.early) >= 95
    assert seconds(many.late) <= 105


def test_what_a_boot_has_taken_already_is_reckoned_with() -> None:
    memory = after_boots(*[60] * 10, *[300] * 10)
    assert seconds(boot_time(memory, OFFER).likely) < 200
    told = boot_time(memory, OFFER, after=timedelta(seconds=90))
    assert seconds(told.early) > 90
    assert seconds(told.likely) == 300


def test_a_boot_slower_than_all_that_were_seen_may_end_at_any_moment() -> None:
    told = boot_time(after_boots(60), OFFER, after=timedelta(seconds=61))
    assert told.early == told.likely == told.late == timedelta(seconds=61)


def test_a_router_is_known_by_itself_and_not_mixed_with_workers() -> None:
    memory = after_boots(30, node="router-aws", kind=Kind.ROUTER)
    assert not boot_time(memory, OFFER).known
    told = router_time(memory, "router-aws")
    assert told is not None
    assert told.likely == timedelta(seconds=30)
    assert router_time(memory, "router-upv") is None


def test_it_survives_a_restart_and_an_older_ledger_knows_none() -> None:
    ledger = open_ledger(None)
    memory = after_boots(60, 61.5)
    ledger.commit(Commit(memory=memory))
    assert ledger.memory() == memory
    adapter = TypeAdapter(Memory)
    older = json.loads(adapter.dump_json(memory))
    del older["boots"]
    assert adapter.validate_json(json.dumps(older)).boots == {}


def test_it_is_small_in_the_ledger() -> None:
    memory = Memory(boots={f"site/flavor-{n}/on-demand": Boots((123.4,) * KEPT) for n in range(OFFERS_KEPT)})
    assert len(TypeAdapter(Memory).dump_json(memory)) < 64 * 1024


def test_a_failed_boot_is_for_the_breakers() -> None:
    before, _ = booted(make_claim(offer=OFFER), 60)
    failed = replace(before, state=ClaimState.FAILED, failure="boot", since=ago())
    memory = learn_from_moves(Memory(), {before.key: before}, {failed.key: failed}, NOW, Pace())
    assert not memory.boots
    assert memory.breakers
