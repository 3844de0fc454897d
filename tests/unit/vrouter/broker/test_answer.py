"""Whom the broker lets in, and with what."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Network

import pytest

from clues.inventory import Inventory, Member
from clues.model import ClaimState, Kind
from vrouter.broker.answer import Denial, Place, answer, directives, mounters, place_of, places, reach

ROUTER = Member(
    "key-2", Kind.ROUTER, "upv", "router-upv", ClaimState.READY, tunnel="10.77.252.11", subnets=("10.77.2.0/24",)
)
STATES = {
    ClaimState.PLANNED: (False, False),
    ClaimState.LAUNCHING: (False, True),
    ClaimState.BOOTING: (False, True),
    ClaimState.JOINING: (True, True),
    ClaimState.READY: (True, True),
    ClaimState.DRAINING: (True, True),
    ClaimState.STOPPING: (False, False),
    ClaimState.FAILED: (False, False),
    ClaimState.GONE: (False, False),
}


@pytest.mark.parametrize("state", list(ClaimState))
def test_only_who_has_enrolled_and_is_not_on_the_way_out(state: ClaimState) -> None:
    before, after = STATES[state]
    assert (place_of(replace(ROUTER, state=state)) is not None) == before
    assert (place_of(replace(ROUTER, state=state, identity="ab")) is not None) == after


def test_a_member_without_a_tunnel_has_no_business_there() -> None:
    assert place_of(replace(ROUTER, tunnel="")) is None


def test_one_damaged_member_keeps_nobody_else_out() -> None:
    damaged = replace(ROUTER, key="key-3", subnets=("10.77.2.0/24\npush evil",))
    inventory = Inventory("c", 1, datetime.now(UTC), members=(ROUTER, damaged))
    assert places(inventory) == {"key-2": Place("10.77.252.11", ("10.77.2.0/24",))}


def test_exports_are_for_workers_that_have_enrolled() -> None:
    worker = replace(ROUTER, key="w1", kind=Kind.WORKER, tunnel="", address="10.77.2.10")
    coming = replace(worker, key="w2", address="10.77.2.11", state=ClaimState.BOOTING)
    leaving = replace(worker, key="w3", address="10.77.2.12", state=ClaimState.STOPPING)
    nowhere = replace(worker, key="w4", address="")
    inventory = Inventory(
        "c", 1, datetime.now(UTC), members=(replace(ROUTER, address="10.77.2.9"), worker, coming, leaving, nowhere)
    )
    assert mounters(inventory) == ("10.77.2.10",)


def test_unknown_is_not_empty_but_lets_nobody_in_either() -> None:
    unknown = answer(None, "key-2")
    assert isinstance(unknown, Denial)
    assert "try again" in unknown.reason
    assert answer({}, "key-2") == Denial("not a member")


def test_a_damaged_range_is_left_out_of_what_clients_are_told() -> None:
    inventory = Inventory("c", 1, datetime.now(UTC), network="10.77.0.0/16", routes=('10.0.0.0/8"', "192.0.2.0/24", ""))
    assert reach(inventory) == ("10.77.0.0/16", "192.0.2.0/24")


def test_addresses_and_routes_are_answered_inline() -> None:
    lines = directives(Place("10.77.252.11", ("10.77.2.0/24",)), IPv4Network("10.77.252.0/22"), ("10.77.0.0/16",))
    assert lines == [
        "ifconfig-push 10.77.252.11 255.255.252.0",
        "iroute 10.77.2.0 255.255.255.0",
        'push "route 10.77.0.0 255.255.0.0"',
    ]
