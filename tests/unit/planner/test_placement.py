"""Which offer: the cheapest that can be had, under every limit."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from clues.model import (
    Breaker,
    Budget,
    Budgets,
    Claim,
    ClaimState,
    Job,
    Limits,
    Memory,
    Observed,
    Offer,
    Pace,
    Settings,
)
from clues.planner import decide
from clues.planner.buying.placement import launch_key
from tests.unit.builders import NOW, ago, ahead, make_claim, make_offer, make_pool, make_settings, make_site, spent
from tests.unit.planner.deciding import bought, bought_at, cluster, job, plan

CHEAP, DEAR = make_offer("cesnet", price_per_hour=0.1), make_offer("aws", "c7i", price_per_hour=0.5)


def settings(cesnet: Limits | None = None, aws: Limits | None = None, **more: Any) -> Settings:
    sites = [make_site("cesnet", limits=cesnet or Limits()), make_site("aws", limits=aws or Limits())]
    return make_settings([make_pool(count=8, offers=[DEAR, CHEAP])], sites, **more)


def whole_nodes(count: int) -> list[Job]:
    return [job(n, cpus=8) for n in range(count)]


def decided_for(count: int, configured: Settings, **more: Any) -> list[str]:
    return bought_at(plan(cluster(whole_nodes(count), settings=configured, **more), configured))


def test_the_cheapest_offer_first() -> None:
    assert decided_for(2, settings()) == ["cesnet", "cesnet"]


def broken(key: str, until: datetime, code: str = "no-capacity") -> Memory:
    return Memory({key: Breaker(key, code, "no room", ago(minutes=5), until, 2)})


@pytest.mark.parametrize("key", [CHEAP.key, "cesnet"])
def test_an_offer_or_site_that_failed_lately_is_passed_over(key: str) -> None:
    assert decided_for(1, settings(), memory=broken(key, ahead(minutes=1))) == ["aws"]


def test_a_breaker_that_has_ended_is_tried_again() -> None:
    assert decided_for(1, settings(), memory=broken(CHEAP.key, ago(seconds=1))) == ["cesnet"]


@pytest.mark.parametrize(
    ("limits", "at_cesnet"),
    [
        (Limits(vms=2), 2),
        (Limits(cpus=17), 2),
        (Limits(memory_mib=31 * 1024), 1),
        (Limits(cost_per_hour=0.35), 3),
        (Limits(gpus=0), 5),
        (Limits(vms=0), 0),
    ],
)
def test_a_sites_limits_are_kept(limits: Limits, at_cesnet: int) -> None:
    configured = settings(limits)
    total: list[str] = []
    claims: list[Claim] = []
    for _ in range(6):  # some ticks, so that one purchase a tick would do as well
        world = cluster(whole_nodes(5), claims, settings=configured)
        decision = plan(world, configured)
        claims += [replace(claim, launched_at=claim.created_at) for claim in decision.claims if claim.live]
        total += bought_at(decision)
    assert total.count("cesnet") == at_cesnet
    assert len(total) == 5


def test_pools_share_a_sites_limits() -> None:
    one, other = make_pool("one", offers=[CHEAP]), make_pool("two", offers=[CHEAP])
    configured = make_settings([one, other], [make_site("cesnet", limits=Limits(vms=1))])
    jobs = [job(1, 8, partitions=("one",)), job(2, 8, partitions=("two",))]
    assert len(bought(plan(cluster(jobs, settings=configured), configured))) == 1


@pytest.mark.parametrize("state", [one for one in ClaimState if one is not ClaimState.GONE])
def test_every_claim_that_may_have_a_vm_counts(state: ClaimState) -> None:
    configured = settings(Limits(vms=1))
    claim = make_claim("cpu-8", state, offer=CHEAP, launched_at=ago(seconds=5), launches=1)
    assert "cesnet" not in bought_at(plan(cluster(whole_nodes(3), [claim], configured), configured))


def test_a_spent_budget_buys_only_what_costs_nothing() -> None:
    free = make_offer("upv", "medium", price_per_hour=0.0)
    configured = make_settings([make_pool(offers=[CHEAP, free])], budgets=Budgets(Budget(per_day=10.0)))
    world = cluster([job()], settings=configured, spent=spent(10.0))
    assert bought_at(plan(world, configured)) == ["upv"]
    assert (
        bought_at(plan(cluster([job(constraint="cesnet")], settings=configured, spent=spent(10.0)), configured)) == []
    )


def test_no_more_launches_a_tick_than_the_brake_allows() -> None:
    configured = settings(pace=Pace(launches_per_tick=3))
    assert len(decided_for(8, configured)) == 3


def test_a_gang_larger_than_the_brake_is_bought_all_the_same() -> None:
    configured = settings(pace=Pace(launches_per_tick=3))
    assert len(bought(plan(cluster([job(cpus=8, nodes=5)], settings=configured), configured))) == 5


def test_a_site_that_cannot_be_listed_is_not_bought_from() -> None:
    world = cluster([job()], settings=settings())
    for listings in ({"aws": world.listings["aws"]}, {**world.listings, "cesnet": Observed(error="503")}):
        assert bought_at(plan(replace(world, listings=listings), settings())) == ["aws"]


def test_a_listing_that_is_too_old_is_none() -> None:
    world = cluster([job()], settings=settings())
    old = replace(world.listings["cesnet"], taken_at=ago(minutes=3))
    assert bought_at(plan(replace(world, listings={**world.listings, "cesnet": old}), settings())) == ["aws"]


def test_a_disabled_site_is_passed_over() -> None:
    plain = settings()
    configured = replace(plain, sites={**plain.sites, "cesnet": replace(plain.sites["cesnet"], disabled=True)})
    assert decided_for(1, configured) == ["aws"]


def test_each_purchase_has_a_generation_and_a_key_of_its_own() -> None:
    world = cluster([job()], generations={"cpu-1": 7})
    (claim,) = plan(world).claims
    assert claim.generation == 8
    assert claim.key.startswith("0b5c4f0e-cpu-1-8")


def test_two_lost_ledgers_do_not_make_the_same_launch_key() -> None:
    """With the ledger lost generations begin anew, the VMs of before may still be there."""
    first, second = cluster([job()]), cluster([job()])
    keys = {
        decide(first, make_settings(), NOW).claims[0].key,
        decide(second, make_settings(), ahead(minutes=1)).claims[0].key,
    }
    assert len(keys) == 2


def test_an_offer_without_a_price_is_taken_for_free() -> None:
    unknown: Offer = make_offer("upv", "medium", price_per_hour=None)
    configured = make_settings([make_pool(offers=[CHEAP, unknown])])
    assert decided_for(1, configured) == ["upv"]


@pytest.mark.parametrize("node", ["cpu-1", "n" * 35, "n" * 36, "n" * 63])
def test_a_launch_key_fits_into_a_certificate(node: str) -> None:
    assert len(launch_key("0b5c4f0e-0000-4000-8000-000000000001", node, 10**10 - 1, NOW)) <= 64


def test_long_names_that_begin_alike_have_launch_keys_of_their_own() -> None:
    keys = {launch_key("0b5c4f0e-0000", "n" * 60 + end, 1, NOW) for end in "ab"}
    assert len(keys) == 2
