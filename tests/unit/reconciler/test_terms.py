"""When the sites are asked what they allow and cost, and what is kept of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from clues.errors import AuthFailed, NoCapacity, QuotaExceeded, Throttled, Transient
from clues.model import Claim, ClaimState, Flavor, LaunchOutcome, Limits, Offer, Pace, Price, Quota, Resources
from clues.reconciler.terms import SOON, TermsReader
from tests.unit.builders import NOW, ago, make_claim, make_offer
from tests.unit.reconciler.parts import make_parts
from tests.unit.reconciler.test_observer import Hand, Held

OFFER = make_offer(price_per_hour=None)
QUOTA = Quota(Limits(vms=40), Resources(cpus=16), 2)
PRICE = Price(0.5, "EUR", "the site")


class Site:
    """A provider that tells everything, and may be told to fail at one thing."""

    def __init__(self) -> None:
        self.errors: dict[str, Exception] = {}
        self.asked: list[str] = []

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if what in self.errors:
            raise self.errors[what]

    def prices(self, offers: Sequence[Offer]) -> Mapping[str, Price]:
        self._ask("prices")
        return {offer.key: PRICE for offer in offers}

    def quota(self) -> Quota | None:
        self._ask("quota")
        return QUOTA

    def credentials_until(self) -> datetime | None:
        self._ask("credentials")
        return NOW + timedelta(days=9)

    def flavors(self) -> list[Flavor]:
        self._ask("flavors")
        return [Flavor("hpc.8core", Resources(8, 32768))]


class Parts:
    def __init__(self) -> None:
        self.clock, self.workers, self.site = Hand(), Held(), Site()
        self.claims: dict[str, Claim] = {}
        self.changes = 0
        self.reader = TermsReader(
            self.workers, self.clock, offers=lambda _: [OFFER], claims=lambda: self.claims, changed=self._changed
        )
        self.reader.use({"cesnet": self.site}, Pace())  # type: ignore[dict-item]

    def _changed(self) -> None:
        self.changes += 1

    def after(self, seconds: float) -> list[str]:
        """Let time pass; return what was asked then."""
        self.clock.at += timedelta(seconds=seconds)
        self.site.asked.clear()
        self.reader.pump()
        while self.workers.calls:
            self.workers.work()
        return list(self.site.asked)


@pytest.fixture
def parts() -> Parts:
    return Parts()


ALL = ["prices", "quota", "credentials", "flavors"]


def test_all_is_asked_at_the_start_and_then_rarely(parts: Parts) -> None:
    assert parts.after(0) == ALL
    assert [parts.after(30) for _ in range(9)] == [[]] * 9
    assert parts.after(31) == ALL


def test_what_was_told_is_kept_as_old_as_the_question(parts: Parts) -> None:
    parts.reader.pump()
    parts.clock.at += timedelta(seconds=9)
    while parts.workers.calls:
        parts.workers.work()
    terms = parts.reader.terms["cesnet"]
    assert (terms.prices.value, terms.prices.taken_at) == ({OFFER.key: PRICE}, NOW)
    assert terms.quota.value == QUOTA
    assert terms.credentials.value == NOW + timedelta(days=9)
    assert set(terms.flavors.value or {}) == {"hpc.8core"}


def test_a_site_that_has_told_nothing_yet_is_known_to_be_asked(parts: Parts) -> None:
    assert parts.reader.terms["cesnet"].prices.taken_at is None


def test_what_the_quota_has_counted_is_what_had_a_vm_before_it_was_asked_for(parts: Parts) -> None:
    there, coming = make_claim("cpu-1"), make_claim("cpu-2", ClaimState.LAUNCHING)
    elsewhere = make_claim("cpu-3", offer=make_offer("aws"))
    parts.claims = {one.key: one for one in (there, coming, elsewhere)}
    parts.reader.pump()
    parts.workers.work()  # the prices have come: the quota is being asked for
    parts.claims[coming.key] = replace(coming, instance_id="i-2")
    while parts.workers.calls:
        parts.workers.work()
    assert set(parts.reader.terms["cesnet"].counted) == {there.key}


def test_one_part_that_fails_keeps_its_last_value_and_tells_and_the_others_come(parts: Parts) -> None:
    parts.after(0)
    parts.site.errors["quota"] = AuthFailed("the policy forbids it")
    assert parts.after(301) == ALL
    terms = parts.reader.terms["cesnet"]
    assert (terms.quota.value, terms.quota.taken_at, terms.quota.error) == (QUOTA, NOW, "the policy forbids it")
    assert terms.flavors.error == ""


def test_a_quota_that_could_not_be_read_again_keeps_what_it_had_counted(parts: Parts) -> None:
    claim = make_claim()
    parts.claims = {claim.key: claim}
    parts.after(0)
    parts.claims = {}
    parts.site.errors["quota"] = Transient("503")
    parts.after(301)
    assert set(parts.reader.terms["cesnet"].counted) == {claim.key}


def test_a_site_that_fails_is_asked_again_soon_then_less_and_less_often(parts: Parts) -> None:
    parts.site.errors["flavors"] = Transient("503")
    parts.after(0)
    waits = []
    for _ in range(5):
        waited = 0
        while not parts.after(1):
            waited += 1
        waits.append(waited)
    assert SOON.total_seconds() - 2 < waits[0] < SOON.total_seconds() * 1.25 + 2
    assert all(later > earlier * 1.5 for earlier, later in pairwise(waits[:4]))
    assert waits[4] <= 301
    parts.site.errors.clear()
    while not parts.after(10):
        pass
    assert parts.after(295) == []


def test_a_site_that_asks_for_time_gets_it_and_is_asked_nothing_more(parts: Parts) -> None:
    parts.site.errors["prices"] = Throttled("slower", retry_after=timedelta(minutes=20))
    assert parts.after(0) == ["prices"]
    assert parts.after(19 * 60) == []
    assert parts.after(61) == ["prices"]


def test_an_unforeseen_failure_ends_nothing(parts: Parts) -> None:
    parts.site.errors["prices"] = RuntimeError("a bug")
    assert parts.after(0) == ALL
    assert "a bug" in parts.reader.terms["cesnet"].prices.error


def test_only_one_question_at_a_time(parts: Parts) -> None:
    for _ in range(5):
        parts.reader.pump()
        parts.clock.at += timedelta(minutes=10)
    assert [lane for lane, _, _ in parts.workers.calls] == ["cesnet/looks"]


def test_a_quota_that_is_not_so_any_more_is_asked_for_soon_and_alone(parts: Parts) -> None:
    parts.after(0)
    for _ in range(3):
        parts.reader.hurry("cesnet")
    assert parts.after(28) == []
    assert parts.after(3) == ["quota"]
    assert parts.after(60) == []
    assert parts.after(215) == ALL  # the great round goes on in its own rhythm


def test_who_answers_with_errors_is_not_hurried(parts: Parts) -> None:
    parts.site.errors["quota"] = Transient("503")
    parts.after(0)
    parts.reader.hurry("cesnet")
    asked: list[str] = []
    while not asked:
        asked = parts.after(1)
    assert asked == ALL


def test_what_is_new_hurries_the_next_look(parts: Parts) -> None:
    parts.after(0)
    first = parts.changes
    assert first == 4
    parts.after(301)
    assert parts.changes == first


def test_after_a_new_configuration_all_is_asked_again(parts: Parts) -> None:
    parts.after(0)
    parts.reader.use({"cesnet": parts.site}, Pace())  # type: ignore[dict-item]
    assert parts.after(1) == ALL


# --- in the reconciler -----------------------------------------------------------------------------------------------


def test_the_world_carries_what_the_sites_tell() -> None:
    parts = make_parts()
    parts.turns(20)
    published = parts.world.reconciler.published
    assert published is not None
    assert {site for site, one in published.world.terms.items() if one.quota.taken_at} == {"cesnet", "aws"}


@pytest.mark.parametrize(("error", "asked"), [(QuotaExceeded("8 of 8"), True), (NoCapacity("none"), False)])
def test_a_launch_that_the_quota_did_not_allow_asks_for_it_soon(error: Exception, asked: bool) -> None:
    parts = make_parts()
    parts.turns(20)
    quotas: list[int] = []
    cloud = parts.world.clouds["cesnet"]
    cloud.quota = lambda: quotas.append(1)  # type: ignore[method-assign]
    claim = parts.booting(state=ClaimState.LAUNCHING, instance_id="", since=ago(seconds=1))
    parts.world.reconciler.launched(LaunchOutcome(claim.key, error=error))  # type: ignore[arg-type]
    parts.turns(5)
    assert bool(quotas) == asked
