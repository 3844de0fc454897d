"""The part of the contract of connectors that is about what they tell: quota, prices, consoles, what is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pytest

from clues.errors import InvalidRequest, NotFound, QuotaExceeded
from clues.model import InstanceState, Soundness
from clues.ports import Connector
from clues.testing.connector_site import CANARY, OURS, THEIRS, SiteUnderTest, find, launch, listed, the_one


class TellingContract:
    """Declares what a provider tells, and keeps it to that."""

    #: quota() answers with limits; a site under test then allows exactly so many VMs. None: it does not tell.
    QUOTA_VMS: ClassVar[int | None] = None
    #: flavors() lists instance types / with prices
    TELLS_FLAVORS: ClassVar[bool] = True
    TELLS_PRICES: ClassVar[bool] = True
    #: prices() tells what the offer of the site under test costs
    PRICES_OFFERS: ClassVar[bool] = True
    #: credentials_until() tells when those of the site under test end
    CREDENTIALS_END: ClassVar[bool] = False
    #: the most VMs that the connector of the site under test makes in one call
    BATCH: ClassVar[int] = 1
    #: consoles can be read
    TELLS_CONSOLE: ClassVar[bool] = True
    #: an ended instance is listed as gone for a while; False: it is not listed any more
    SHOWS_ENDED: ClassVar[bool] = True
    #: errors (by their codes in clues.errors) that fail_next can provoke, by op
    ERRORS: ClassVar[dict[str, tuple[str, ...]]] = {}
    #: how long a state may take to show
    PATIENCE: ClassVar[timedelta] = timedelta(seconds=20)

    def test_the_quota_is_told_and_kept(self, site: SiteUnderTest) -> None:
        connector = site.connect(OURS)
        quota = connector.quota()
        if self.QUOTA_VMS is None:
            assert quota is None or quota.limits.vms is None
            return
        assert quota is not None
        assert (quota.limits.vms, quota.vms_used) == (self.QUOTA_VMS, 0)
        outcomes = connector.launch([site.request(OURS, number) for number in range(self.QUOTA_VMS + 1)])
        assert [type(one.error) for one in outcomes] == [type(None)] * self.QUOTA_VMS + [QuotaExceeded]
        assert len(listed(connector)) == self.QUOTA_VMS
        quota = connector.quota()
        assert quota is not None
        assert quota.vms_used == self.QUOTA_VMS
        assert quota.used.cpus > 0

    def test_flavors_are_told_as_declared(self, site: SiteUnderTest) -> None:
        flavors = {flavor.name: flavor for flavor in site.connect(OURS).flavors()}
        if not self.TELLS_FLAVORS:
            assert flavors == {}
            return
        flavor = flavors[site.request(OURS, 1).offer.flavor]
        assert flavor.resources.cpus > 0
        assert flavor.resources.memory_mib > 0
        assert (flavor.price_per_hour is not None) == self.TELLS_PRICES
        assert len(flavor.currency) == (3 if self.TELLS_PRICES else 0)

    def test_prices_of_offers_are_told_as_declared(self, site: SiteUnderTest) -> None:
        connector, offer = site.connect(OURS), site.request(OURS, 1).offer
        nowhere = replace(offer, flavor="no-such-flavor")
        assert connector.prices([]) == {}
        prices = connector.prices([offer, nowhere])
        assert set(prices) == ({offer.key} if self.PRICES_OFFERS else set())
        for price in prices.values():
            assert price.amount >= 0
            assert len(price.currency) == 3
            assert price.currency.isupper()
            assert price.source
            assert price.source.isprintable()
            assert price.as_of is None or price.as_of <= datetime.now(UTC) + timedelta(minutes=1)

    def test_the_end_of_credentials_is_told_as_declared(self, site: SiteUnderTest) -> None:
        until = site.connect(OURS).credentials_until()
        assert (until is not None) == self.CREDENTIALS_END
        assert until is None or until > datetime.now(UTC)

    def test_consoles_are_read_as_declared_and_only_those_of_our_own(self, site: SiteUnderTest) -> None:
        connector = site.connect(OURS)
        own = launch(connector, site.request(OURS, 1))
        stranger = launch(site.connect(THEIRS), site.request(THEIRS, 2))
        if not self.TELLS_CONSOLE:
            with pytest.raises(InvalidRequest):
                connector.console(own.id)
            return
        self.eventually(lambda: find(connector, own.id).state is InstanceState.RUNNING)
        assert len(connector.console(own.id)) <= 2**20
        with pytest.raises(NotFound):
            connector.console(stranger.id)

    def test_an_examination_names_what_is_wrong_with_a_cure_and_changes_nothing(self, site: SiteUnderTest) -> None:
        connector, offer = site.connect(OURS), site.request(OURS, 1).offer
        sound = connector.examine([offer])
        assert sound
        assert [one for one in sound if one.soundness is Soundness.BAD] == []
        ill = connector.examine([offer, replace(offer, flavor="no-such-flavor")])
        wrong = [one for one in ill if one.soundness is Soundness.BAD]
        assert any("no-such-flavor" in one.topic + one.text for one in wrong)
        assert all(one.topic and one.text for one in ill)
        assert all(one.cure for one in wrong)
        assert listed(connector) == ()

    def test_user_data_is_for_the_vm_alone(self, site: SiteUnderTest) -> None:
        connector = site.connect(OURS)
        request = replace(site.request(OURS, 1), user_data=f"#!/bin/sh\n: {CANARY}\n")
        outcomes = connector.launch([request])
        shown = [
            repr(request),
            repr(outcomes),
            repr(connector.list_instances()),
            repr(connector),
            repr(vars(connector)),
        ]
        assert not [text for text in shown if CANARY in text]
        self.eventually(lambda: the_one(connector.list_instances()).state is InstanceState.RUNNING)
        assert [name for name, content in site.public_bytes() if CANARY.encode() in content] == []

    # --- helpers --------------------------------------------------------------------------------------------------

    def eventually(self, true: Callable[[], bool]) -> None:
        """Wait until *true* is; fail after PATIENCE."""
        deadline = time.monotonic() + self.PATIENCE.total_seconds()
        while not true():
            assert time.monotonic() < deadline, "it did not come true in time"
            time.sleep(0.05)

    def is_gone(self, connector: Connector, instance_id: str) -> bool:
        """Return whether an instance is listed as gone, or not at all where the provider does not show ended ones."""
        states = [one.state for one in listed(connector) if one.id == instance_id]
        return states == [InstanceState.GONE] if self.SHOWS_ENDED else states == []
