"""What the core finds at a site besides its connector's findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from clues.doctor.sites import examine_site
from clues.errors import AuthFailed, Transient
from clues.model import Finding, Flavor, Gpu, Offer, Price, Resources, Settings, Soundness
from tests.unit.builders import GPU_SHAPE, make_offer, make_pool, make_settings, make_site
from tests.unit.planner.routed import SETTINGS as ROUTED

GOOD, BAD, UNKNOWN = Soundness.GOOD, Soundness.BAD, Soundness.UNKNOWN


class Site:
    """A connector that tells what it is told to tell."""

    def __init__(self, **told: Any) -> None:
        self.told, self.examined = told, list[str]()

    def _tell(self, what: str, otherwise: Any) -> Any:
        value = self.told.get(what, otherwise)
        if isinstance(value, Exception):
            raise value
        return value

    def examine(self, offers: Sequence[Offer]) -> list[Finding]:
        self.examined = [offer.key for offer in offers]
        return [Finding("credentials", GOOD, "accepted")]

    def credentials_until(self) -> datetime | None:
        found: datetime | None = self._tell("credentials", None)
        return found

    def flavors(self) -> list[Flavor]:
        found: list[Flavor] = self._tell("flavors", [])
        return found

    def prices(self, _: Sequence[Offer]) -> Mapping[str, Price]:
        found: Mapping[str, Price] = self._tell("prices", {})
        return found


def found_at(settings: Settings, **told: Any) -> dict[str, Finding]:
    site = Site(**told)
    return {one.topic: one for one in examine_site(site, settings.sites["cesnet"], settings)}  # type: ignore[arg-type]


FREE = make_settings([make_pool(offers=[make_offer()])])


def test_the_connector_examines_all_that_is_offered_the_router_too() -> None:
    site = Site()
    list(examine_site(site, ROUTED.sites["upv"], ROUTED))  # type: ignore[arg-type]
    assert sorted(site.examined) == ["upv/large/on-demand", "upv/small/on-demand"]


def test_its_findings_come_first() -> None:
    assert next(iter(found_at(FREE).values())).topic == "credentials"


@pytest.mark.parametrize(
    ("has", "found"),
    [
        (Resources(8, 30 * 1024), GOOD),
        (Resources(16, 64 * 1024), GOOD),
        (Resources(4, 30 * 1024), BAD),
        (Resources(8, 8 * 1024), BAD),
    ],
)
def test_a_flavor_is_held_against_the_shape_of_its_pool(has: Resources, found: Soundness) -> None:
    finding = found_at(FREE, flavors=[Flavor("hpc.8core", has)])["flavor hpc.8core"]
    assert (finding.soundness, bool(finding.cure)) == (found, found is BAD)


@pytest.mark.parametrize(("gpus", "found"), [((Gpu("NVIDIA-A10", 1),), GOOD), ((Gpu("x", 2),), GOOD), ((), UNKNOWN)])
def test_gpus_are_counted_whatever_they_are_called_where_the_provider_tells(
    gpus: tuple[Gpu, ...], found: Soundness
) -> None:
    settings = make_settings([make_pool("gpu", shape=GPU_SHAPE, offers=[make_offer()])])
    flavor = Flavor("hpc.8core", Resources(8, 60 * 1024, gpus))
    assert found_at(settings, flavors=[flavor])["flavor hpc.8core"].soundness is found


def test_too_few_gpus_are_bad() -> None:
    two = Resources(8, 1024, (Gpu("a10", 2),))
    settings = make_settings([make_pool("gpu", shape=two, offers=[make_offer()])])
    finding = found_at(settings, flavors=[Flavor("hpc.8core", Resources(8, 1024, (Gpu("a10", 1),)))])
    assert "1 of 2 GPUs" in finding["flavor hpc.8core"].text


@pytest.mark.parametrize(
    ("left", "found"), [(timedelta(days=9), GOOD), (timedelta(hours=20), BAD), (timedelta(hours=-1), BAD)]
)
def test_credentials_that_end_soon_are_bad(left: timedelta, found: Soundness) -> None:
    finding = found_at(FREE, credentials=datetime.now(UTC) + left)["credentials' end"]
    assert (finding.soundness, bool(finding.cure)) == (found, found is BAD)


def test_credentials_without_an_end_are_not_talked_of() -> None:
    assert "credentials' end" not in found_at(FREE)


UNPRICED = make_offer(price_per_hour=None)


@pytest.mark.parametrize(
    ("price", "found"),
    [(Price(0.4, "EUR", "x"), GOOD), (Price(0.4, "USD", "x"), BAD), (None, UNKNOWN)],
)
def test_prices_are_looked_at_where_the_configuration_has_none(price: Price | None, found: Soundness) -> None:
    settings = make_settings([make_pool(offers=[UNPRICED])])
    told = {UNPRICED.key: price} if price else {}
    assert found_at(settings, prices=told)[f"price of {UNPRICED.key}"].soundness is found
    assert not [topic for topic in found_at(FREE, prices=told) if "price" in topic]


def test_what_cannot_be_read_is_not_good_and_hides_nothing_else() -> None:
    settings = make_settings([make_pool(offers=[UNPRICED])])
    found = found_at(settings, credentials=Transient("503"), flavors=Transient("503"), prices=AuthFailed("403"))
    assert {one.soundness for topic, one in found.items() if topic != "credentials"} == {UNKNOWN}
    assert set(found) == {"credentials", "credentials' end", "flavors", "prices"}


def test_a_site_without_an_offer_is_told() -> None:
    settings = make_settings([make_pool(offers=[make_offer("aws")])], [make_site("cesnet"), make_site("aws")])
    assert found_at(settings)["offers"].soundness is UNKNOWN
