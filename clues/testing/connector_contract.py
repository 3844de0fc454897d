"""What every connector keeps: the core was written against this, not against a cloud.

Inherit :class:`ConnectorContract` in a test module and provide a fixture ``site``, a fresh :class:`SiteUnderTest` for
each test. What a provider cannot do is declared in the class attributes; the suite then asserts that it indeed does not
pretend to, so nothing is skipped.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from clues.errors import CLOUD_ERRORS, CloudError, InvalidRequest, NotFound, OutcomeUnknown
from clues.model import InstanceState, LaunchRequest
from clues.ports import batch_of
from clues.testing.connector_site import (
    ALIVE,
    CANARY,
    ENDED,
    OURS,
    THEIRS,
    SiteUnderTest,
    find,
    launch,
    launch_error,
    listed,
    the_one,
)
from clues.testing.telling_contract import TellingContract

__all__ = [
    "ALIVE",
    "CANARY",
    "ENDED",
    "OURS",
    "THEIRS",
    "ConnectorContract",
    "SiteUnderTest",
    "find",
    "launch",
    "launch_error",
    "listed",
    "the_one",
]


class ConnectorContract(TellingContract):
    """Inherit this; the declarations say what a provider can do."""

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

    # --- several in one call --------------------------------------------------------------------------------------

    def test_the_most_that_one_call_makes_is_as_declared(self, site: SiteUnderTest) -> None:
        assert batch_of(site.connect(OURS)) == self.BATCH

    def test_vms_of_one_call_are_each_known_by_their_own_tags_and_made_once(self, site: SiteUnderTest) -> None:
        connector, wanted = site.connect(OURS), self.one_call(site)
        outcomes = connector.launch(wanted)
        assert [one.launch_key for one in outcomes] == [one.launch_key for one in wanted]
        answered = [one.instance for one in outcomes if one.instance is not None]
        shown = {one.launch_key: one for one in listed(connector)}
        assert len(shown) == len(answered) == len(wanted)
        for asked, told in zip(wanted, answered, strict=True):
            for instance in (told, shown[asked.launch_key]):
                assert instance.id == told.id
                assert (instance.launch_key, instance.node) == (asked.launch_key, asked.node)
                assert (instance.generation, instance.kind) == (asked.generation, asked.kind)
        again = [one.instance.id for one in site.connect(OURS).launch(wanted) if one.instance is not None]
        assert again == [one.id for one in answered]
        connector.terminate(answered[0].id)
        self.eventually(lambda: self.is_gone(connector, answered[0].id))
        assert find(connector, answered[1].id).state in ALIVE

    def test_after_a_lost_answer_the_same_call_finds_its_vms(self, site: SiteUnderTest) -> None:
        connector, wanted = site.connect(OURS), self.one_call(site)
        site.fail_next("launch", "unknown-outcome")
        lost = [type(one.error) for one in connector.launch(wanted) if one.error is not None]
        assert lost == [OutcomeUnknown] * (len(wanted) if self.BATCH > 1 else 1)
        shown = {one.launch_key: one.id for one in listed(connector)}
        assert set(shown) == {one.launch_key for one in wanted}
        found = {one.launch_key: one.instance.id for one in connector.launch(wanted) if one.instance is not None}
        assert found == shown

    def one_call(self, site: SiteUnderTest) -> list[LaunchRequest]:
        """Return requests that are one call where the connector makes several VMs in one."""
        wanted = [site.request(OURS, number) for number in (1, 2)]
        keys, script = tuple(one.launch_key for one in wanted), wanted[0].user_data
        shared = {"batch": keys, "user_data": script} | ({"address": ""} if self.BATCH > 1 else {})
        return [replace(one, generation=at + 3, **shared) for at, one in enumerate(wanted)]  # type: ignore[arg-type]

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
