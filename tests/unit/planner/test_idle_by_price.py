"""``idle: by-price``: a dear node is kept idle for a shorter time than one of the pool's cheapest offer."""

from __future__ import annotations

from datetime import timedelta

import pytest

from clues.model import Boots, ClaimState, Memory, Offer, World
from clues.planner.supply.patience import stay
from clues.planner.supply.telling import why_kept
from clues.planner.view import make_view
from tests.unit.builders import IDLE, NOW, ago, make_claim, make_offer, make_pool, make_settings
from tests.unit.planner.deciding import cluster, plan

CHEAP = make_offer(price_per_hour=0.1)
MIDDLE = make_offer("aws", "m7i", price_per_hour=0.2)
DEAR = make_offer("aws", "c7i", price_per_hour=0.4)
FREE = make_offer(price_per_hour=0.0)
UNPRICED = make_offer("aws", "c7i", price_per_hour=None)


def world_of(offers: list[Offer], held: list[Offer], boot: float, idle_for: float, *, by_price: bool = True) -> World:
    settings = make_settings([make_pool(offers=offers, idle_by_price=by_price)])
    claims = [
        make_claim(
            f"cpu-{number}",
            ClaimState.READY,
            offer=offer,
            opened_at=ago(hours=3),
            used_at=ago(hours=3),
            idle_since=ago(minutes=idle_for),
        )
        for number, offer in enumerate(held, start=1)
    ]
    boots = {offer.key: Boots((60.0 * boot,) * 9) for offer in offers}
    return cluster((), claims, settings, {one.node: IDLE for one in claims}, memory=Memory(boots=boots))


@pytest.mark.parametrize(
    ("offers", "held", "boot", "minutes"),
    [
        pytest.param([CHEAP, DEAR], CHEAP, 1, 10, id="the cheapest"),
        pytest.param([CHEAP, MIDDLE], MIDDLE, 1, 5, id="twice the price, half the time"),
        pytest.param([CHEAP, DEAR], DEAR, 1, 2.5, id="four times the price"),
        pytest.param([CHEAP, DEAR], DEAR, 4, 5, id="another boot is worth more"),
        pytest.param([CHEAP, DEAR], DEAR, 30, 10, id="never longer than the pool's time"),
        pytest.param([FREE, DEAR], DEAR, 2, 2, id="beside one that is free: what a boot is worth"),
        pytest.param([FREE, DEAR], FREE, 2, 10, id="one that is free"),
        pytest.param([DEAR], DEAR, 1, 10, id="the only one"),
        pytest.param([CHEAP, UNPRICED], UNPRICED, 1, 10, id="no price is known"),
        pytest.param([UNPRICED, DEAR], DEAR, 1, 10, id="no other price is known"),
    ],
)
def test_a_dear_node_is_kept_for_less_long(offers: list[Offer], held: Offer, boot: float, minutes: float) -> None:
    world = world_of(offers, [held], boot, idle_for=0)
    settings = make_settings([make_pool(offers=offers, idle_by_price=True)])
    claim = next(iter(world.claims.values()))
    kept = stay(make_view(world, settings, NOW), settings.pools["cpu"], claim)
    assert kept is not None
    assert kept.until - NOW == timedelta(minutes=minutes)


def test_one_that_a_job_waits_for_is_kept_as_long_as_any_other() -> None:
    """The rest of its job's nodes may take their time."""
    world = world_of([CHEAP, DEAR], [DEAR], 1, idle_for=0)
    settings = make_settings([make_pool(offers=[CHEAP, DEAR], idle_by_price=True)])
    claim = next(iter(world.claims.values()))
    kept = stay(make_view(world, settings, NOW), settings.pools["cpu"], claim, wanted=True)
    assert kept is not None
    assert kept.until - NOW == timedelta(minutes=10) + settings.pace.misread_after


@pytest.mark.parametrize(("by_price", "gone"), [(True, {"cpu-2"}), (False, set())])
def test_the_dear_one_goes_and_the_cheap_one_stays(by_price: bool, gone: set[str]) -> None:
    world = world_of([CHEAP, DEAR], [CHEAP, DEAR], 2, idle_for=4, by_price=by_price)
    settings = make_settings([make_pool(offers=[CHEAP, DEAR], idle_by_price=by_price)])
    after = plan(world, settings).claims
    assert {claim.node for claim in after if claim.state is ClaimState.DRAINING} == gone


def test_it_is_told_why_a_node_goes_so_soon() -> None:
    world = world_of([CHEAP, DEAR], [DEAR], 2, idle_for=1)
    settings = make_settings([make_pool(offers=[CHEAP, DEAR], idle_by_price=True)])
    claim = next(iter(world.claims.values()))
    (line,) = why_kept(make_view(world, settings, NOW), world.claims, claim)
    assert line.endswith("as it costs more than the pool's cheapest offer; it goes in 90 s.")
