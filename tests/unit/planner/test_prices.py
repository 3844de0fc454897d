"""What an offer costs: who is believed, in which currency, and what an unknown price means."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from clues.model import Budget, Budgets, Flavor, Limits, Market, Observed, Price, Resources, Settings, SiteTerms
from clues.planner.money.prices import price_of, with_prices
from tests.unit.builders import NOW, ago, make_claim, make_offer, make_pool, make_settings, make_site
from tests.unit.planner.deciding import bought_at, cluster, job, plan
from tests.unit.planner.routed import SETTINGS

UNPRICED = make_offer("aws", "c7i", price_per_hour=None)
SPOT = replace(UNPRICED, market=Market.SPOT)
KNOWN = make_offer("cesnet", price_per_hour=0.2)


def settings(**more: Any) -> Settings:
    return make_settings([make_pool(offers=[UNPRICED, KNOWN])], **more)


def told(amount: float, currency: str = "EUR", key: str = UNPRICED.key) -> dict[str, SiteTerms]:
    prices = {key: Price(amount, currency, "spot price history", ago(minutes=3))}
    return {"aws": SiteTerms(prices=Observed(prices, NOW))}


def test_the_configurations_price_is_believed_before_the_providers() -> None:
    found = price_of(replace(UNPRICED, price_per_hour=9.0), told(0.1)["aws"], settings())
    assert (found.amount, found.source) == (9.0, "configuration")


def test_the_providers_price_comes_with_its_source_and_its_age() -> None:
    found = price_of(UNPRICED, told(0.1)["aws"], settings())
    assert (found.amount, found.source, found.as_of) == (0.1, "spot price history", ago(minutes=3))


def test_a_price_without_a_date_is_as_old_as_the_answer() -> None:
    terms = SiteTerms(prices=Observed({UNPRICED.key: Price(0.1, "EUR", "x")}, ago(minutes=1)))
    assert price_of(UNPRICED, terms, settings()).as_of == ago(minutes=1)


def test_a_price_in_another_currency_is_converted() -> None:
    assert price_of(UNPRICED, told(0.5, "USD")["aws"], settings(rates={"USD": 0.9})).amount == pytest.approx(0.45)


def test_a_price_without_a_rate_is_unknown_and_told() -> None:
    found = price_of(UNPRICED, told(0.5, "USD")["aws"], settings())
    assert found.amount is None
    assert "0.5 USD" in found.trouble
    assert "rates" in found.trouble


@pytest.mark.parametrize("amount", [-0.1, float("nan"), float("inf")])
def test_a_price_that_is_none_is_unknown(amount: float) -> None:
    assert price_of(UNPRICED, told(amount)["aws"], settings()).amount is None


def test_a_flavors_price_serves_where_no_price_of_the_offer_is_told_but_not_for_spot() -> None:
    flavors = {"c7i": Flavor("c7i", Resources(8, 1), 0.7, "EUR")}
    terms = SiteTerms(flavors=Observed(flavors, NOW))
    assert price_of(UNPRICED, terms, settings()).amount == 0.7
    assert price_of(SPOT, terms, settings()).amount is None


def test_settings_without_any_word_of_a_provider_are_left_alone() -> None:
    plain = settings()
    assert with_prices(plain, {})[0] is plain


@pytest.mark.parametrize(("amount", "site"), [(0.1, "aws"), (0.3, "cesnet")])
def test_the_cheapest_is_bought_by_the_providers_price(amount: float, site: str) -> None:
    world = cluster([job()], settings=settings(), terms=told(amount))
    assert bought_at(plan(world, settings())) == [site]


def test_a_router_has_its_providers_price_too() -> None:
    site = SETTINGS.sites["upv"]
    assert site.router is not None
    offer = replace(site.router.offer, price_per_hour=None)
    configured = replace(SETTINGS, sites={"upv": replace(site, router=replace(site.router, offer=offer))})
    terms = {"upv": SiteTerms(prices=Observed({offer.key: Price(0.03, "EUR", "x")}, NOW))}
    router = with_prices(configured, terms)[0].sites["upv"].router
    assert router is not None
    assert router.offer.price_per_hour == 0.03


def test_a_claim_keeps_the_price_that_it_was_bought_at() -> None:
    world = cluster([job()], settings=settings(), terms=told(0.1))
    (claim,) = plan(world, settings()).claims
    assert claim.offer.price_per_hour == 0.1
    later = plan(cluster([job()], [claim], settings(), terms=told(0.8)), settings())
    assert [one.offer.price_per_hour for one in later.claims if one.key == claim.key] in ([], [0.1])


def test_a_claim_that_was_bought_without_a_price_takes_the_first_that_is_known() -> None:
    claim = make_claim(offer=UNPRICED)
    after = plan(cluster([], [claim], settings(), terms=told(0.1)), settings())
    assert [one.offer.price_per_hour for one in after.claims] == [0.1]
    assert after.cost_per_hour == pytest.approx(0.1)


def test_an_offer_whose_price_has_no_rate_is_taken_last() -> None:
    world = cluster([job(n, cpus=8) for n in range(2)], settings=settings(), terms=told(0.01, "USD"))
    assert bought_at(plan(world, settings())) == ["cesnet", "cesnet"]
    narrow = make_settings(
        [make_pool(offers=[UNPRICED, KNOWN])], [make_site("cesnet", limits=Limits(vms=1)), make_site("aws")]
    )
    world = cluster([job(n, cpus=8) for n in range(2)], settings=narrow, terms=told(0.01, "USD"))
    assert bought_at(plan(world, narrow)) == ["cesnet", "aws"]


@pytest.mark.parametrize(
    "more",
    [{"budgets": Budgets(Budget(per_day=10.0))}, {"sites": [make_site("aws", limits=Limits(cost_per_hour=5.0))]}],
)
def test_where_money_is_limited_an_offer_whose_price_has_no_rate_is_not_taken(more: dict[str, Any]) -> None:
    configured = make_settings([make_pool(offers=[UNPRICED])], **more)
    decided = plan(cluster([job()], settings=configured, terms=told(0.01, "USD")), configured)
    assert bought_at(decided) == []
    assert "USD" in decided.outlooks["101"].sites["aws"]


def test_a_providers_price_counts_for_the_sites_limit() -> None:
    configured = make_settings(
        [make_pool(offers=[UNPRICED])], [make_site("aws", limits=Limits(cost_per_hour=1.0))], rates={"USD": 0.5}
    )
    world = cluster([job(n, cpus=8) for n in range(4)], settings=configured, terms=told(0.8, "USD"))
    assert len(bought_at(plan(world, configured))) == 2


def test_right_after_the_start_nothing_without_a_price_is_bought_before_the_provider_was_asked() -> None:
    for started, terms, found in (
        (ago(seconds=2), SiteTerms(), []),
        (ago(seconds=2), SiteTerms(prices=Observed({}, NOW)), ["aws"]),
        (ago(seconds=2), SiteTerms(prices=Observed(error="403")), ["aws"]),
        (ago(minutes=1), SiteTerms(), ["aws"]),
    ):
        configured = make_settings([make_pool(offers=[UNPRICED])])
        world = cluster([job()], settings=configured, terms={"aws": terms}, started_at=started)
        assert bought_at(plan(world, configured)) == found


def test_prices_of_an_hour_ago_still_serve() -> None:
    old = {"aws": SiteTerms(prices=Observed({UNPRICED.key: Price(0.1, "EUR", "x")}, ago(hours=1), "503"))}
    world = cluster([job()], settings=settings(), terms=old)
    assert bought_at(plan(world, settings())) == ["aws"]
