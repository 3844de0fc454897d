"""Where a ticket has to come from, and until when: the table of every way to attach a site."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from clues.model import Attach, Claim, ClaimState, Kind, Offer, RouterPlan, Settings, Site
from clues.reconciler.admission import refused_address, ticket_ends
from tests.unit.builders import NOW, make_claim, make_settings

PUBLIC, NAT, INSIDE = "198.51.100.20", "203.0.113.7", "192.168.3.4"
PLAN = RouterPlan(Offer("upv", "small", "router"), boot_deadline=timedelta(minutes=7))


def settings(attach: Attach, egress: tuple[str, ...] = ()) -> Settings:
    site = Site("upv", "local", attach, egress=egress, router=PLAN if attach is Attach.ROUTER else None)
    return replace(make_settings(), sites={"upv": site})


def claim(kind: Kind = Kind.WORKER, *, address: str = "10.77.2.10", **more: object) -> Claim:
    base = make_claim(state=ClaimState.BOOTING, address=address, launched_at=NOW)
    return replace(base, kind=kind, offer=replace(base.offer, site="upv"), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("attach", [Attach.LOCAL, Attach.ROUTER])
def test_a_worker_in_our_network_calls_from_its_own_address_only(attach: Attach) -> None:
    own = claim()
    assert refused_address(own, "10.77.2.10", settings(attach), [own]) == ""
    for address in ("10.77.2.11", NAT, "mars", ""):
        assert refused_address(own, address, settings(attach), [own])


@pytest.mark.parametrize("kind", [Kind.ROUTER, Kind.WORKER])
@pytest.mark.parametrize(
    ("listed", "egress", "caller", "good"),
    [
        ((PUBLIC,), (), PUBLIC, True),
        ((PUBLIC,), (), NAT, False),
        ((INSIDE, PUBLIC), (), NAT, False),
        ((INSIDE,), (), INSIDE, True),
        ((INSIDE,), (), NAT, True),  # behind the provider's NAT: nobody knows where it comes out
        ((), (), NAT, True),
        ((INSIDE,), ("203.0.113.0/28",), NAT, True),
        ((INSIDE,), ("203.0.113.0/28",), PUBLIC, False),
        ((PUBLIC,), ("203.0.113.0/28",), PUBLIC, True),
    ],
)
def test_who_comes_by_the_internet_comes_from_where_its_provider_lists_it_or_the_site_comes_out(
    kind: Kind, listed: tuple[str, ...], egress: tuple[str, ...], caller: str, good: bool
) -> None:
    attach = Attach.ROUTER if kind is Kind.ROUTER else Attach.DIRECT
    own = claim(kind, listed_addresses=listed, tunnel="10.77.252.10")
    assert (refused_address(own, caller, settings(attach, egress), [own]) == "") is good


@pytest.mark.parametrize("attach", list(Attach))
@pytest.mark.parametrize("kind", [Kind.ROUTER, Kind.WORKER])
@pytest.mark.parametrize("field", ["address", "tunnel"])
def test_nobody_calls_from_an_address_of_another_claim(attach: Attach, kind: Kind, field: str) -> None:
    own = claim(kind, address="")
    other = replace(claim(address=""), key="other", node="cpu-2")
    other = replace(other, address="10.77.2.66") if field == "address" else replace(other, tunnel="10.77.2.66")
    text = refused_address(own, "10.77.2.66", settings(attach), [own, other])
    assert "cpu-2" in text


def test_a_tickets_time_begins_with_the_first_listing_and_before_that_with_the_launch() -> None:
    rules = settings(Attach.ROUTER)
    listed = NOW + timedelta(minutes=3)
    assert ticket_ends(claim(listed_at=listed), rules) == listed + rules.pace.ticket
    (pool,) = [one for one in rules.pools.values() if one.name == claim().pool]
    assert ticket_ends(claim(), rules) == NOW + pool.boot_deadline
    assert ticket_ends(claim(Kind.ROUTER), rules) == NOW + PLAN.boot_deadline
    never = claim(launched_at=None)
    assert ticket_ends(never, rules) == never.created_at
