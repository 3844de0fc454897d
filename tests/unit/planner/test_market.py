"""What `clues offers` tells: as many could start as the planner would start, and the reason for no more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from clues.errors import NotFound
from clues.model import (
    Breaker,
    Claim,
    Limits,
    Market,
    Memory,
    Observed,
    Operator,
    Plan,
    Price,
    Published,
    Quota,
    Resources,
    Settings,
    SiteTerms,
    Spot,
)
from clues.planner.explain import explain
from clues.planner.market import Standing, standings
from tests.unit.builders import (
    NOW,
    ago,
    ahead,
    make_claim,
    make_offer,
    make_pool,
    make_published,
    make_settings,
    make_site,
)
from tests.unit.planner.deciding import bought_at, cluster, job, plan
from tests.unit.planner.routed import SETTINGS as ROUTED

HERE, THERE = make_offer(), make_offer("aws", "c7i", price_per_hour=None)


def settings(limits: Limits | None = None, **more: Any) -> Settings:
    sites = [make_site("cesnet", limits=limits or Limits()), make_site("aws", limits=Limits())]
    return make_settings([make_pool(count=8, offers=[HERE, THERE])], sites, **more)


def seen(configured: Settings | None = None, claims: tuple[Claim, ...] = (), **more: Any) -> Published:
    configured = configured or settings()
    world = cluster([], claims, configured, **more)
    return make_published(configured, world, Plan(memory=world.memory))


def first(published: Published) -> Standing:
    return next(iter(standings(published, NOW)))


QUOTA = {"cesnet": SiteTerms(quota=Observed(Quota(Limits(vms=40), Resources(), 37), ago(minutes=1)))}
RESTING = Memory({HERE.key: Breaker(HERE.key, "no-capacity", "no room", ago(minutes=5), ahead(minutes=1), 2)})


@pytest.mark.parametrize(
    ("configured", "more", "count", "why"),
    [
        (settings(), {}, 8, "pool cpu has no more than 8 nodes"),
        (settings(Limits(vms=3)), {}, 3, "0 of 3 VMs in use, 4 more needed"),
        (settings(Limits(cpus=17)), {}, 2, "CPUs"),
        (settings(), {"terms": QUOTA}, 3, "quota at the provider: 37 of 40 VMs in use, 4 more needed"),
        (settings(), {"memory": RESTING}, 0, "no-capacity for cesnet/hpc.8core/on-demand, 2 times; next try in 60 s"),
        (settings(), {"operator": Operator(paused=True)}, 0, "paused"),
        (settings(), {"claims": tuple(make_claim(f"cpu-{n}") for n in range(1, 9))}, 0, "no node that a VM"),
    ],
)
def test_as_many_could_start_as_would_be_started(
    configured: Settings, more: dict[str, Any], count: int, why: str
) -> None:
    published = seen(configured, **more)
    standing = first(published)
    assert (standing.could_start, why in standing.why_not_more) == (count, True), standing.why_not_more
    world = replace(published.world, listings={"cesnet": published.world.listings["cesnet"]})  # nothing else is bought
    snapshot = replace(world.lrms, value=replace(world.lrms.value, jobs=tuple(job(n, cpus=8) for n in range(9))))  # type: ignore[type-var]
    assert len(bought_at(plan(replace(world, lrms=snapshot), configured))) == count


def test_a_site_behind_a_router_has_room_for_its_router_counted() -> None:
    tight = replace(ROUTED, sites={**ROUTED.sites, "upv": replace(ROUTED.sites["upv"], limits=Limits(vms=3))})
    standing = first(seen(tight))
    assert standing.could_start == 2
    assert "its router counted" in standing.why_not_more


def test_it_tells_the_price_its_source_and_its_age() -> None:
    terms = {"aws": SiteTerms(prices=Observed({THERE.key: Price(0.4, "EUR", "the provider")}, ago(minutes=3)))}
    here, there = standings(seen(terms=terms), NOW)
    assert (here.priced.amount, here.priced.source) == (0.0, "configuration")
    assert (there.priced.amount, there.priced.source, there.priced.as_of) == (0.4, "the provider", ago(minutes=3))


def test_it_tells_how_often_spot_vms_are_taken_back() -> None:
    spot = replace(HERE, market=Market.SPOT)
    configured = settings()
    pools = {"cpu": replace(configured.pools["cpu"], offers=(spot, HERE))}
    memory = Memory(spot={spot.key: Spot(hours=150.0, interruptions=3.5, as_of=NOW)})
    configured = replace(configured, pools=pools)
    for remembered, per_hour in ((Memory(), 0.01), (memory, 4 / 200)):
        seen_spot, plain = standings(seen(configured, memory=remembered), NOW)
        assert seen_spot.interruptions is not None
        assert seen_spot.interruptions.per_hour == pytest.approx(per_hour)
        assert plain.interruptions is None


def test_what_rests_is_told_for_the_offer_or_its_site_and_only_while_it_does() -> None:
    site = Breaker("cesnet", "quota", "8 of 8", ago(minutes=5), ahead(minutes=1))
    assert first(seen(memory=RESTING)).breaker == RESTING.breakers[HERE.key]
    assert first(seen(memory=Memory({"cesnet": site}))).breaker == site
    assert first(seen(memory=Memory({"cesnet": replace(site, code="throttled", until=ago(seconds=1))}))).breaker is None


def test_what_is_tried_with_a_few_launches_is_told_and_counts() -> None:
    for allowed in (1, 4):
        growing = replace(RESTING.breakers[HERE.key], until=ago(seconds=1), allowed=allowed)
        standing = first(seen(memory=Memory({HERE.key: growing})))
        assert (standing.could_start, standing.breaker) == (allowed, growing)


def test_a_closed_pool_and_what_its_offers_fail_with_are_explained() -> None:
    own = Breaker(f"cpu at {HERE.key}", "boot", "no kernel", ago(minutes=5), ahead(minutes=1), 2, owner="cpu")
    closed = replace(own, key="pool cpu", code="boots", failures=7, words=f"boot of {HERE.key}: no kernel")
    text = explain(seen(memory=Memory({one.key: one for one in (own, closed)})), "cpu", [])
    assert f"7 times in a row, at all of its offers; the last: boot of {HERE.key}: no kernel; next try in 60 s" in text
    assert "2 times; next try in 60 s (no kernel)" in explain(seen(memory=Memory({own.key: own})), "cesnet", [])


def test_it_is_looked_at_what_was_learnt_in_the_last_decision() -> None:
    published = seen()
    learnt = replace(published, plan=replace(published.plan, memory=RESTING))
    assert first(learnt).could_start == 0


# --- in words --------------------------------------------------------------------------------------------------------


def test_a_pools_explanation_tells_each_offers_price_and_how_many_could_start() -> None:
    text = explain(seen(settings(Limits(vms=3))), "cpu", [])
    assert "Pool cpu has 8 nodes" in text
    assert "cesnet/hpc.8core/on-demand  0 EUR/h (configuration); 3 could start now (0 of 3 VMs in use" in text
    assert "its price is not known" in text


def test_a_sites_explanation_tells_its_quota_and_what_could_not_be_read() -> None:
    terms = replace(QUOTA["cesnet"], prices=Observed(error="403 not authorized"))
    text = explain(seen(terms={"cesnet": terms}), "cesnet", [])
    assert "Quota at the provider, told 60 s ago and carried on: VMs 37 of 40." in text
    assert "Its prices could not be read: 403 not authorized." in text


def test_what_is_not_known_is_no_pool() -> None:
    with pytest.raises(NotFound, match="a pool"):
        explain(seen(), "gpus", [])
