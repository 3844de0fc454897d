"""A listing is whole or an error; states, addresses and tags are read strictly."""

from __future__ import annotations

from typing import Any

import pytest

from clues.errors import Transient
from clues.model import InstanceState
from clues.testing.connector_contract import OURS, launch, launch_error, listed
from clues.testing.wire import WireFault
from connectors.openstack.states import STATES, instance_of, state_of
from tests.lab.openstack_fake.under_test import OpenStackSite


def pages_of(site: OpenStackSite) -> int:
    return site.wire.count(lambda *call: site.is_op("list", *call))


# --- pages ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [1, 2, 3, 7])
def test_all_pages_are_read_whatever_their_size(site: OpenStackSite, page: int) -> None:
    site.state.page = page
    connector = site.connect(OURS)
    made = {launch(connector, site.request(OURS, number)).id for number in range(6)}
    assert {one.id for one in listed(connector)} == made


def test_pages_that_lead_in_a_circle_are_an_error(site: OpenStackSite) -> None:
    connector = site.connect(OURS)
    for number in range(3):
        launch(connector, site.request(OURS, number))
    site.state.page, site.state.looping = 1, True
    before = pages_of(site)
    with pytest.raises(Transient, match="circle"):
        listed(connector)
    assert pages_of(site) - before < 5


def test_a_list_that_changes_while_it_is_read_is_read_anew(site: OpenStackSite) -> None:
    connector = site.connect(OURS)
    made = [launch(connector, site.request(OURS, number)).id for number in range(4)]
    site.state.page = 1
    gone = WireFault.status(400, '{"badRequest": {"code": 400, "message": "marker [x] not found"}}', "application/json")

    def second_page(method: str, path: str, body: bytes) -> bool:
        return site.is_op("list", method, path, body) and "marker=" in path

    site.wire.next(gone, second_page, times=2)
    assert {one.id for one in listed(connector)} == set(made)
    site.wire.next(gone, second_page, times=3)
    with pytest.raises(Transient, match="has changed while it was read"):
        listed(connector)


@pytest.mark.parametrize("version", [(2, 96), (2, 69)])
def test_a_cell_that_is_down_makes_the_listing_an_error_and_no_second_vm(
    site: OpenStackSite, version: tuple[int, int]
) -> None:
    """Nova lists its servers with an id and no more; before 2.69 it left them out."""
    site.state.max_version = version
    connector, request = site.connect(OURS), site.request(OURS, 1)
    made = launch(connector, request)
    launch(connector, site.request(OURS, 2))
    site.state.down.add(made.id)
    with pytest.raises(Transient, match="cell"):
        listed(connector)
    assert type(launch_error(site.connect(OURS), request)) is Transient
    assert site.alive() == 2
    site.state.down.clear()
    assert len(listed(connector)) == 2


@pytest.mark.parametrize(
    "body",
    [
        '{"servers": null}',
        '{"servers": [null]}',
        '{"servers": [{"id": 7, "status": "ACTIVE", "metadata": {}}]}',
        '{"servers": [{}]}',
        "[]",
    ],
)
def test_a_page_that_is_none_is_an_error(site: OpenStackSite, body: str) -> None:
    site.wire.next(WireFault.status(200, body, "application/json"), lambda *call: site.is_op("list", *call))
    with pytest.raises(Transient):
        listed(site.connect(OURS))


# --- one server -----------------------------------------------------------------------------------------------------


def server(**more: Any) -> dict[str, Any]:
    return {"id": "the-id", "status": "ACTIVE", "metadata": {}, "created": "2026-11-29T10:00:00Z", **more}


def test_every_state_of_nova_is_known_and_an_unknown_one_is_unknown() -> None:
    """The list of https://docs.openstack.org/api-guide/compute/server_concepts.html."""
    of_nova = (
        "ACTIVE BUILD DELETED ERROR HARD_REBOOT MIGRATING PASSWORD PAUSED REBOOT REBUILD RESCUE RESIZE REVERT_RESIZE "
        "SHELVED SHELVED_OFFLOADED SHUTOFF SOFT_DELETED SUSPENDED UNKNOWN VERIFY_RESIZE"
    )
    assert set(of_nova.split()) == set(STATES)
    assert state_of({"status": "BRAND_NEW"}) is InstanceState.UNKNOWN


@pytest.mark.parametrize(
    ("status", "task", "state"),
    [
        ("ACTIVE", "deleting", InstanceState.STOPPING),
        ("ERROR", "deleting", InstanceState.STOPPING),
        ("BUILD", "deleting", InstanceState.STOPPING),
        ("SHUTOFF", "soft-deleting", InstanceState.STOPPING),
        ("DELETED", "deleting", InstanceState.GONE),
        ("ACTIVE", "powering-off", InstanceState.RUNNING),
    ],
)
def test_a_server_that_is_being_deleted_is_stopping(status: str, task: str, state: InstanceState) -> None:
    assert state_of({"status": status, "OS-EXT-STS:task_state": task}) is state


def test_addresses_of_its_own_come_before_floating_ones() -> None:
    def ip(address: str, kind: str) -> dict[str, object]:
        return {"addr": address, "OS-EXT-IPS:type": kind, "OS-EXT-IPS-MAC:mac_addr": "FA:16:3E:00:00:01", "version": 4}

    networks = {"a": [ip("203.0.113.7", "floating"), ip("10.77.1.9", "fixed")], "b": [ip("fd00::9", "fixed")]}
    one = instance_of(server(addresses=networks), "here")
    assert one.addresses == ("10.77.1.9", "fd00::9", "203.0.113.7")
    assert one.macs == ("fa:16:3e:00:00:01",)


def test_a_fault_of_a_server_that_runs_is_history() -> None:
    fault = {"code": 500, "message": "No valid host was found."}
    assert instance_of(server(fault=fault), "here").fault == ""
    assert instance_of(server(status="ERROR", fault=fault), "here").fault_code == "no-capacity"


@pytest.mark.parametrize("created", [None, "", "yesterday", 7])
def test_a_time_that_is_none_is_no_reason_to_lose_the_server(created: object) -> None:
    one = instance_of(server(created=created), "here")
    assert (one.id, one.created_at) == ("the-id", None)
