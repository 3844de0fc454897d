"""What closes a breaker before anything is bought again, and what does not."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from clues.model import Breaker, Limits, Listing, Memory, Observed, Quota, Resources, SiteTerms
from tests.unit.builders import NOW, ago, ahead, make_offer
from tests.unit.planner.deciding import cluster, plan

OFFER = make_offer()


def held(code: str, *, seen: bool = False) -> Memory:
    one = Breaker("cesnet", code, "why", ago(minutes=9), ahead(minutes=20), 3, ago(minutes=5), seen=seen)
    one = replace(one, owner="cpu", offer=OFFER.key)
    return Memory({"cesnet": one})


def told(used: int, at: datetime) -> dict[str, SiteTerms]:
    return {"cesnet": SiteTerms(quota=Observed(Quota(Limits(vms=8), Resources(), used), at))}


def after(memory: Memory, **more: object) -> Breaker | None:
    return plan(cluster(memory=memory, **more)).memory.breakers.get("cesnet")  # type: ignore[arg-type]


def test_a_quota_that_was_told_as_used_up_and_then_with_room_is_no_obstacle_any_more() -> None:
    full = after(held("quota"), terms=told(8, ago(minutes=2)))
    assert full is not None
    assert full.seen
    assert after(Memory({"cesnet": full}), terms=told(7, NOW)) is None


@pytest.mark.parametrize(
    ("seen", "used", "at"),
    [(False, 7, NOW), (True, 7, ago(minutes=6)), (True, 8, NOW), (True, 7, ago(minutes=20))],
    ids=["never-seen-full", "told-before-it-failed", "full", "told-too-long-ago"],
)
def test_a_quota_that_shows_nothing_new_cures_nothing(seen: bool, used: int, at: datetime) -> None:
    """One that is never told as used up is not the one that refused: the same launch would be sent at each look."""
    assert after(held("quota", seen=seen), terms=told(used, at)) is not None


def test_credentials_that_could_list_nothing_and_now_can_are_cured() -> None:
    listing = Observed(Listing("cesnet", NOW, ()), NOW)
    failing = after(held("auth"), listings={"cesnet": Observed(listing.value, ago(minutes=6), "401 Unauthorized")})
    assert failing is not None
    assert failing.seen
    assert after(Memory({"cesnet": failing}), listings={"cesnet": listing}) is None


def test_credentials_that_may_list_and_not_launch_are_not_cured_by_a_listing() -> None:
    assert after(held("auth")) is not None


def test_what_nobody_has_tried_for_long_is_forgotten() -> None:
    one = Breaker(OFFER.key, "no-capacity", "full", ago(hours=15), ago(hours=13), 5, ago(hours=14))
    assert plan(cluster(memory=Memory({OFFER.key: one}))).memory.breakers == {}
