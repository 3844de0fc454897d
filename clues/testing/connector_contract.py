"""What every connector keeps: the core was written against this, not against a cloud.

Inherit :class:`ConnectorContract` in a test module and provide a fixture ``site``, a fresh :class:`SiteUnderTest` for
each test. What a provider cannot do is declared in the class attributes; the suite then asserts that it indeed does not
pretend to, so nothing is skipped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Protocol

import pytest

from clues.errors import CLOUD_ERRORS, CloudError, InvalidRequest, NotFound, OutcomeUnknown, QuotaExceeded
from clues.model import Instance, InstanceState, LaunchRequest, Listing
from clues.ports import Connector

OURS = "6f1d7c1e-0000-4000-8000-00000000000a"
THEIRS = "6f1d7c1e-0000-4000-8000-00000000000b"
#: Stands in user-data for everything that nobody else may read.
CANARY = "canary-5d41402abc4b2a76b9719d911017c592"

ALIVE = frozenset({InstanceState.PENDING, InstanceState.RUNNING})
ENDED = frozenset({InstanceState.STOPPING, InstanceState.GONE})


class SiteUnderTest(Protocol):
    """A provider that can be told what to do behind the connector's back."""

    name: str

    def connect(self, cluster: str) -> Connector:
        """Return a new connector object for the same site, as a restarted daemon would make it."""
        ...

    def request(self, cluster: str, number: int) -> LaunchRequest:
        """Return a request for a VM that the site can make; node, launch key and address differ by *number*."""
        ...

    def fail_next(self, op: str, code: str) -> None:
        """Let the next call of *op* (launch, list, terminate, quota) fail so; ``unknown-outcome``: after its effect."""
        ...

    def pull_the_plug(self, instance: Instance) -> None:
        """Let a VM die without the connector being asked."""
        ...

    def public_bytes(self) -> Iterable[tuple[str, bytes]]:
        """Return all that the connector and the provider left where others can read it: name and content."""
        ...


class ConnectorContract:
    """Inherit this; the declarations say what a provider can do."""

    #: quota() answers with limits; a site under test then allows exactly so many VMs. None: it does not tell.
    QUOTA_VMS: ClassVar[int | None] = None
    #: flavors() lists instance types / with prices
    TELLS_FLAVORS: ClassVar[bool] = True
    TELLS_PRICES: ClassVar[bool] = True
    #: an ended instance is listed as gone for a while; False: it is not listed any more
    SHOWS_ENDED: ClassVar[bool] = True
    #: errors (by their codes in clues.errors) that fail_next can provoke, by op
    ERRORS: ClassVar[dict[str, tuple[str, ...]]] = {}
    #: how long a state may take to show
    PATIENCE: ClassVar[timedelta] = timedelta(seconds=20)

    # --- listing and launching ------------------------------------------------------------------------------------

    def test_an_unused_site_lists_nothing(self, site: SiteUnderTest) -> None:
        listing = site.connect(OURS).list_instances()
        assert listing.site == site.name
        assert listing.instances == ()
        assert abs(listing.taken_at - datetime.now(UTC)) < self.PATIENCE

    def test_a_launched_instance_carries_its_tags_in_answer_and_listing(self, site: SiteUnderTest) -> None:
        connector = site.connect(OURS)
        request = replace(site.request(OURS, 1), generation=7, pool="a-pool")
        before = datetime.now(UTC) - timedelta(seconds=2)
        (outcome,) = connector.launch([request])
        assert outcome.error is None
        assert outcome.launch_key == request.launch_key
        answered = outcome.instance
        assert answered is not None
        listed = the_one(connector.list_instances())
        for instance in (answered, listed):
            assert instance.id
            assert instance.id == answered.id
            assert instance.site == site.name
            assert instance.state in ALIVE
            assert instance.cluster == OURS
            assert instance.launch_key == request.launch_key
            assert (instance.node, instance.pool, instance.kind) == (request.node, "a-pool", request.kind)
            assert instance.generation == 7
            assert instance.offer == request.offer.key
        assert listed.created_at is not None
        assert before <= listed.created_at <= datetime.now(UTC) + timedelta(seconds=2)
        if request.address:
            assert listed.addresses[0] == request.address

    def test_an_instance_comes_to_run(self, site: SiteUnderTest) -> None:
        connector = site.connect(OURS)
        launch(connector, site.request(OURS, 1))
        self.eventually(lambda: the_one(connector.list_instances()).state is InstanceState.RUNNING)

    def test_the_listing_holds_all_of_our_cluster_and_nothing_else(self, site: SiteUnderTest) -> None:
        ours, theirs = site.connect(OURS), site.connect(THEIRS)
        mine = {launch(ours, site.request(OURS, number)).id for number in (1, 2)}
        stranger = launch(theirs, site.request(THEIRS, 3))
        assert {one.id for one in ours.list_instances().instances} == mine
        assert [one.id for one in theirs.list_instances().instances] == [stranger.id]

    def test_outcomes_come_one_for_each_request_in_order(self, site: SiteUnderTest) -> None:
        connector = site.connect(OURS)
        good, bad, also_good = (site.request(OURS, number) for number in (1, 2, 3))
        bad = replace(bad, offer=replace(bad.offer, flavor="no-such-flavor"))
        outcomes = connector.launch([good, bad, also_good])
        assert [one.launch_key for one in outcomes] == [good.launch_key, bad.launch_key, also_good.launch_key]
        assert type(outcomes[1].error) is InvalidRequest
        assert outcomes[1].instance is None
        made = [one.instance for one in (outcomes[0], outcomes[2])]
        assert {one.node for one in made if one is not None} == {good.node, also_good.node}
        assert {one.node for one in connector.list_instances().instances} == {good.node, also_good.node}

    def test_nothing_asked_nothing_done(self, site: SiteUnderTest) -> None:
        assert site.connect(OURS).launch([]) == []

    # --- idempotence ----------------------------------------------------------------------------------------------

    def test_the_same_key_is_the_same_instance_for_a_restarted_daemon_too(self, site: SiteUnderTest) -> None:
        request = site.request(OURS, 1)
        first = launch(site.connect(OURS), request)
        assert launch(site.connect(OURS), request).id == first.id
        assert the_one(site.connect(OURS).list_instances()).id == first.id

    def test_one_key_launched_by_several_at_once_makes_one_instance(self, site: SiteUnderTest) -> None:
        request = site.request(OURS, 1)
        with ThreadPoolExecutor(4) as threads:
            ids = set(threads.map(lambda _: launch(site.connect(OURS), request).id, range(4)))
        assert len(ids) == 1
        assert {the_one(site.connect(OURS).list_instances()).id} == ids

    def test_after_a_lost_answer_the_instance_is_listed_and_the_key_finds_it(self, site: SiteUnderTest) -> None:
        connector, request = site.connect(OURS), site.request(OURS, 1)
        site.fail_next("launch", "unknown-outcome")
        error = launch_error(connector, request)
        assert type(error) is OutcomeUnknown
        assert not error.no_effect
        listed = the_one(connector.list_instances())
        assert listed.launch_key == request.launch_key
        assert launch(connector, request).id == listed.id
        the_one(connector.list_instances())

    def test_a_restarted_daemon_finds_and_ends_what_the_last_one_launched(self, site: SiteUnderTest) -> None:
        first = launch(site.connect(OURS), site.request(OURS, 1))
        after = site.connect(OURS)
        assert the_one(after.list_instances()).id == first.id
        after.terminate(first.id)
        self.eventually(lambda: self.is_gone(after, first.id))

    # --- ending ---------------------------------------------------------------------------------------------------

    def test_a_terminated_instance_ends_and_terminating_it_again_is_success(self, site: SiteUnderTest) -> None:
        connector = site.connect(OURS)
        ended, other = (launch(connector, site.request(OURS, number)) for number in (1, 2))
        connector.terminate(ended.id)
        self.eventually(lambda: self.is_gone(connector, ended.id))
        shown = ended.id in {one.id for one in connector.list_instances().instances}
        assert shown == self.SHOWS_ENDED
        connector.terminate(ended.id)
        site.connect(OURS).terminate(ended.id)
        assert find(connector, other.id).state in ALIVE

    def test_a_terminated_node_can_have_another_instance(self, site: SiteUnderTest) -> None:
        connector, request = site.connect(OURS), site.request(OURS, 1)
        first = launch(connector, request)
        connector.terminate(first.id)
        self.eventually(lambda: self.is_gone(connector, first.id))
        second = launch(connector, replace(request, launch_key=request.launch_key + "-2", generation=2))
        assert second.id != first.id
        assert find(connector, second.id).state in ALIVE

    def test_an_instance_of_another_cluster_is_not_ended(self, site: SiteUnderTest) -> None:
        theirs = site.connect(THEIRS)
        stranger = launch(theirs, site.request(THEIRS, 1))
        with pytest.raises(NotFound):
            site.connect(OURS).terminate(stranger.id)
        assert the_one(theirs.list_instances()).state in ALIVE

    def test_a_lost_answer_to_terminate_is_told_and_can_be_repeated(self, site: SiteUnderTest) -> None:
        connector = site.connect(OURS)
        instance = launch(connector, site.request(OURS, 1))
        site.fail_next("terminate", "unknown-outcome")
        with pytest.raises(OutcomeUnknown):
            connector.terminate(instance.id)
        connector.terminate(instance.id)
        self.eventually(lambda: self.is_gone(connector, instance.id))

    def test_an_instance_that_died_by_itself_does_not_look_alive(self, site: SiteUnderTest) -> None:
        connector = site.connect(OURS)
        dead, other = (launch(connector, site.request(OURS, number)) for number in (1, 2))
        site.pull_the_plug(dead)
        self.eventually(lambda: all(one.id != dead.id or one.state not in ALIVE for one in listed(connector)))
        assert find(connector, other.id).state in ALIVE
        connector.terminate(dead.id)
        self.eventually(lambda: self.is_gone(connector, dead.id))

    # --- errors ---------------------------------------------------------------------------------------------------

    def test_declared_errors_are_known_and_every_call_has_some(self) -> None:
        assert set(self.ERRORS) >= {"launch", "list", "terminate"}
        assert {code for codes in self.ERRORS.values() for code in codes} <= set(CLOUD_ERRORS)

    def test_a_refused_launch_has_its_type_and_no_effect(self, site: SiteUnderTest) -> None:
        connector = site.connect(OURS)
        for code in self.ERRORS["launch"]:
            if not CLOUD_ERRORS[code].no_effect:
                continue
            site.fail_next("launch", code)
            error = launch_error(connector, site.request(OURS, 1))
            assert type(error) is CLOUD_ERRORS[code]
            assert str(error)
            assert listed(connector) == ()
        launch(connector, site.request(OURS, 1))

    def test_a_listing_that_failed_is_an_error_and_no_shorter_list(self, site: SiteUnderTest) -> None:
        connector = site.connect(OURS)
        launch(connector, site.request(OURS, 1))
        for code in self.ERRORS["list"]:
            site.fail_next("list", code)
            with pytest.raises(CloudError) as caught:
                connector.list_instances()
            assert type(caught.value) is CLOUD_ERRORS[code]
        the_one(connector.list_instances())

    def test_a_refused_terminate_has_its_type_and_no_effect(self, site: SiteUnderTest) -> None:
        connector = site.connect(OURS)
        instance = launch(connector, site.request(OURS, 1))
        for code in self.ERRORS["terminate"]:
            if not CLOUD_ERRORS[code].no_effect:
                continue
            site.fail_next("terminate", code)
            with pytest.raises(CloudError) as caught:
                connector.terminate(instance.id)
            assert type(caught.value) is CLOUD_ERRORS[code]
            assert the_one(connector.list_instances()).state in ALIVE

    # --- what it tells of itself ----------------------------------------------------------------------------------

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


def listed(connector: Connector) -> Sequence[Instance]:
    """Return what the connector lists."""
    return connector.list_instances().instances


def the_one(listing: Listing) -> Instance:
    """Return the only instance of a listing."""
    assert len(listing.instances) == 1, listing
    return listing.instances[0]


def find(connector: Connector, instance_id: str) -> Instance:
    """Return one instance as it is listed."""
    return next(one for one in listed(connector) if one.id == instance_id)


def launch(connector: Connector, request: LaunchRequest) -> Instance:
    """Launch one VM, which must succeed."""
    (outcome,) = connector.launch([request])
    assert outcome.error is None, (outcome.error, outcome.error.words)
    assert outcome.instance is not None
    return outcome.instance


def launch_error(connector: Connector, request: LaunchRequest) -> CloudError:
    """Launch one VM, which must fail: in its outcome, or as a whole."""
    try:
        (outcome,) = connector.launch([request])
    except CloudError as error:
        return error
    assert outcome.instance is None
    assert outcome.error is not None
    return outcome.error
