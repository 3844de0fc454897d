"""The provider's quota: what it counts, what we know besides, and that nothing is counted twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest

from clues.model import (
    Claim,
    ClaimState,
    Flavor,
    Gpu,
    Limits,
    Observed,
    Plan,
    Quota,
    Resources,
    Settings,
    SiteTerms,
)
from tests.unit.builders import GPU_SHAPE, NOW, ago, make_claim, make_offer, make_pool, make_settings, make_site
from tests.unit.planner.deciding import bought_at, cluster, job, plan
from tests.unit.planner.routed import DOWN, ROUTER_OFFER, planned, worker
from tests.unit.planner.routed import world as routed_world

OFFER = make_offer()


def settings(count: int = 8, **more: object) -> Settings:
    return make_settings([make_pool(count=count, **more)], [make_site("cesnet", limits=Limits())])  # type: ignore[arg-type]


def told(
    limits: Limits, vms: int = 0, used: Resources | None = None, counted: Iterable[Claim] = (), age: float = 60
) -> dict[str, SiteTerms]:
    quota = Quota(limits, used or Resources(), vms)
    return {"cesnet": SiteTerms(quota=Observed(quota, ago(seconds=age)), counted={one.key: one for one in counted})}


def decided(
    wanted: int, terms: dict[str, SiteTerms], claims: Sequence[Claim] = (), configured: Settings | None = None
) -> Plan:
    configured = configured or settings()
    return plan(cluster([job(n, cpus=8) for n in range(wanted)], claims, configured, terms=terms), configured)


@pytest.mark.parametrize(
    ("limits", "vms", "used", "room"),
    [
        (Limits(vms=40), 38, Resources(), 2),
        (Limits(cpus=320), 0, Resources(cpus=300), 2),
        (Limits(memory_mib=100 * 1024), 0, Resources(memory_mib=30 * 1024), 2),
        (Limits(gpus=0), 0, Resources(), 5),
        (Limits(), 500, Resources(cpus=9999), 5),
        (Limits(vms=3), 4, Resources(), 0),
    ],
)
def test_no_more_is_bought_than_the_provider_allows(limits: Limits, vms: int, used: Resources, room: int) -> None:
    assert len(bought_at(decided(5, told(limits, vms, used)))) == room


def test_it_is_told_why() -> None:
    found = decided(1, told(Limits(vms=40), 40))
    assert found.outlooks["0"].sites == {"cesnet": "quota at the provider: 40 of 40 VMs in use"}
    assert found.short_of_quota == {"cesnet"}


def test_where_there_is_room_nobody_is_asked_again() -> None:
    assert decided(1, told(Limits(vms=40), 39)).short_of_quota == frozenset()


def test_gpus_are_limited_whatever_their_types_are_called() -> None:
    configured = make_settings(
        [make_pool("gpu", 4, shape=GPU_SHAPE, offers=[OFFER])], [make_site("cesnet", limits=Limits())]
    )
    jobs = [job(n, cpus=8, partitions=("gpu",)) for n in range(3)]
    world = cluster(jobs, (), configured, terms=told(Limits(gpus=8), 1, Resources(gpus=(Gpu("nvidia", 6),))))
    assert len(bought_at(plan(world, configured))) == 2


@pytest.mark.parametrize("age", [60.0, 14 * 60.0])
def test_a_quota_holds_for_a_while(age: float) -> None:
    assert bought_at(decided(1, told(Limits(vms=1), 1, age=age))) == []


def test_a_quota_that_is_too_old_or_not_told_limits_nothing() -> None:
    assert bought_at(decided(1, told(Limits(vms=1), 1, age=16 * 60))) == ["cesnet"]
    assert bought_at(decided(1, {"cesnet": SiteTerms(quota=Observed(None, NOW))})) == ["cesnet"]
    assert bought_at(decided(1, {"cesnet": SiteTerms(quota=Observed(error="403"))})) == ["cesnet"]


def test_a_quota_whose_latest_reading_failed_holds_as_long_as_it_is_young() -> None:
    terms = told(Limits(vms=1), 1)["cesnet"]
    failed = replace(terms, quota=replace(terms.quota, error="503"))
    assert bought_at(decided(1, {"cesnet": failed})) == []


# --- what has changed since it was told ------------------------------------------------------------------------------

THERE = make_claim("cpu-8", opened_at=ago(minutes=5), used_at=ago(minutes=5))
COMING = make_claim("cpu-7", ClaimState.LAUNCHING, launched_at=ago(seconds=5), launches=1)


def test_what_had_a_vm_then_is_not_counted_twice() -> None:
    assert len(bought_at(decided(3, told(Limits(vms=2), 1, counted=[THERE]), [THERE]))) == 1


@pytest.mark.parametrize("state", [ClaimState.PLANNED, ClaimState.LAUNCHING, ClaimState.BOOTING])
def test_what_came_since_is_counted(state: ClaimState) -> None:
    claim = make_claim("cpu-7", state, launched_at=ago(seconds=5), launches=1)
    terms = told(Limits(vms=2), 1, counted=[THERE])
    assert bought_at(decided(3, terms, [THERE, claim])) == []


def test_what_has_ended_since_is_room_again() -> None:
    ended = make_claim("cpu-6")
    terms = told(Limits(vms=2), 2, counted=[THERE, ended])
    assert len(bought_at(decided(3, terms, [THERE]))) == 1


def test_an_ending_that_was_under_way_then_may_be_off_the_books_already() -> None:
    ending = make_claim("cpu-6", ClaimState.STOPPING, terminated_at=ago(seconds=90))
    terms = told(Limits(vms=2), 2, counted=[THERE, ending])
    assert bought_at(decided(3, terms, [THERE])) == []


def test_claims_of_other_sites_are_not_counted() -> None:
    elsewhere = make_claim("cpu-7", ClaimState.LAUNCHING, offer=make_offer("aws"), launched_at=NOW)
    assert len(bought_at(decided(3, told(Limits(vms=1), 0), [elsewhere]))) == 1


def test_a_vm_counts_for_what_its_flavor_has() -> None:
    terms = told(Limits(cpus=32))["cesnet"]
    flavors = {OFFER.flavor: Flavor(OFFER.flavor, Resources(16, 0))}
    terms = replace(terms, flavors=Observed(flavors, NOW))
    assert len(bought_at(decided(5, {"cesnet": terms}))) == 2


def test_a_gang_that_the_quota_does_not_hold_goes_elsewhere_whole() -> None:
    offers = [make_offer(), make_offer("aws", "c7i", price_per_hour=0.5)]
    configured = make_settings([make_pool(count=8, offers=offers)])
    world = cluster([job(1, cpus=8, nodes=3)], (), configured, terms=told(Limits(vms=40), 38))
    assert bought_at(plan(world, configured)) == ["aws"] * 3


# --- routers ---------------------------------------------------------------------------------------------------------


def at_upv(limits: Limits, vms: int = 0, counted: Iterable[Claim] = ()) -> dict[str, SiteTerms]:
    return {"upv": told(limits, vms, counted=counted)["cesnet"]}


@pytest.mark.parametrize(("most", "sites"), [(2, {"upv": 2}), (1, {"aws": 1})])
def test_a_site_needs_room_for_its_router_besides(most: int, sites: dict[str, int]) -> None:
    seen = routed_world(jobs=[job()], overlay=DOWN, terms=at_upv(Limits(vms=most)))
    assert Counter(claim.offer.site for claim in planned(seen).claims) == sites


def test_workers_on_paper_are_given_up_where_the_quota_holds_no_router() -> None:
    waiting = worker(state=ClaimState.PLANNED)
    decision = planned(routed_world(waiting, jobs=[job()], overlay=DOWN, terms=at_upv(Limits(vms=1), 1)))
    given_up, instead = decision.claims
    assert (given_up.key, given_up.state, instead.offer.site) == (waiting.key, ClaimState.GONE, "aws")
    assert "quota at the provider" in given_up.reason
    assert decision.short_of_quota == {"upv"}


def test_a_router_that_dies_under_its_workers_is_replaced_whatever_the_quota_says() -> None:
    """The provider may have counted the dead one still; and nobody knows what runs behind it."""
    there = worker()
    decision = planned(routed_world(there, overlay=DOWN, terms=at_upv(Limits(vms=1), 1, [there])))
    assert [(claim.node, claim.offer) for claim in decision.claims if claim.kind == "router"] == [
        ("router-upv", ROUTER_OFFER)
    ]
