"""What a breaker whose time has passed lets through: one launch at first, and more with each that works."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from clues.model import Breaker, Claim, ClaimState, Job, Memory, Plan, Settings
from clues.planner.capacity.gates import Gates
from tests.unit.builders import (
    CLOSED,
    IDLE,
    NOW,
    ago,
    ahead,
    make_claim,
    make_node,
    make_offer,
    make_pool,
    make_settings,
)
from tests.unit.planner.deciding import bought, cluster, job, plan

OFFER = make_offer()
OWN = f"cpu at {OFFER.key}"
S = ClaimState


def settings(count: int = 8, **more: Any) -> Settings:
    return make_settings([make_pool(count=count, offers=[OFFER])], **more)


def ended(key: str, code: str, allowed: int = 1) -> Memory:
    """Return a memory with one breaker whose time has passed."""
    one = Breaker(key, code, "why", ago(minutes=9), ago(minutes=1), 1, ago(minutes=5), allowed)
    one = replace(one, owner="cpu", offer=OFFER.key)
    # a pool is closed for as long as what is held against all of its offers says so
    return Memory({key: one} if key != "pool cpu" else {key: one, OWN: replace(one, key=OWN, code="boot")})


def singles(count: int) -> list[Job]:
    return [job(n, cpus=8) for n in range(count)]


def decided(memory: Memory, jobs: list[Job], *claims: Claim, size: int = 8) -> Plan:
    configured = settings(size)
    flags = {one.node: IDLE if one.state is S.READY else CLOSED for one in claims}
    nodes = [
        replace(node, reason="") if flags[node.name] is IDLE else node
        for node in (make_node(name, flags[name]) for name in flags)
    ]
    return plan(cluster(jobs, claims, configured, nodes=nodes, memory=memory), configured)


KINDS = [
    (OFFER.key, "no-capacity"),
    ("cesnet", "quota"),
    ("cesnet", "auth"),
    (OWN, "boot"),
    (OWN, "invalid"),
    ("pool cpu", "boots"),
]


@pytest.mark.parametrize(("key", "code"), KINDS, ids=lambda one: one.replace(" ", "-"))
def test_when_its_time_has_passed_it_is_tried_with_one_launch(key: str, code: str) -> None:
    after = decided(ended(key, code), singles(5))
    assert len(bought(after)) == 1
    assert "one VM is tried and its answer is awaited (why)" in str(after.outlooks["1"].sites)


@pytest.mark.parametrize(("key", "code"), KINDS[:-1], ids=lambda one: one.replace(" ", "-"))
def test_as_many_as_have_worked_twice_over_are_asked_for_at_once(key: str, code: str) -> None:
    assert len(bought(decided(ended(key, code, 4), singles(8)))) == 4


@pytest.mark.parametrize("code", ["throttled", "transient"])
def test_what_passes_by_itself_is_not_tried_one_by_one(code: str) -> None:
    assert len(bought(decided(ended("cesnet", code), singles(5)))) == 5


RUNS = {"launched_at": ago(minutes=2), "launches": 1, "listed_at": ago(minutes=1)}


@pytest.mark.parametrize(
    ("state", "more", "answered"),
    [
        (S.LAUNCHING, {"launched_at": ago(minutes=2), "launches": 1}, ""),
        (S.BOOTING, {"launched_at": ago(minutes=2)}, ""),
        (S.BOOTING, RUNS, "no-capacity"),
        (S.JOINING, RUNS, "no-capacity"),
        (S.JOINING, {**RUNS, "ready_at": ago(seconds=9)}, "no-capacity boot"),
        (S.LAUNCHING, {"launched_at": ago(minutes=20), "launches": 1}, "no-capacity boot"),  # asked before it failed
    ],
    ids=["launching", "booting", "running", "joining", "passed", "long-ago"],
)
def test_until_it_is_answered_no_second_is_asked_for(state: S, more: dict[str, Any], answered: str) -> None:
    tried = make_claim("cpu-1", state, **more)
    for key, code in ((OFFER.key, "no-capacity"), (OWN, "boot")):
        waits = Gates(ended(key, code), [tried], NOW, {tried.key}).why_not("cpu", OFFER, 1)
        assert (waits == "") == (code in answered), code


def test_a_launch_that_is_sent_again_is_itself_the_try() -> None:
    """The connection was refused, then another found no room: were one more bought, two would try at once."""
    waits = make_claim("cpu-1", S.LAUNCHING, launched_at=ago(minutes=20), launches=1)
    assert bought(decided(ended(OFFER.key, "no-capacity"), singles(5), waits)) == []


def test_a_gang_is_itself_the_try_for_capacity() -> None:
    """Were it held to one at a time, it would wait for ever; a refusal costs nothing."""
    memory = ended(OFFER.key, "no-capacity")
    assert len(bought(decided(memory, [job(cpus=8, nodes=5)]))) == 5
    tried = make_claim("cpu-8", S.LAUNCHING, launched_at=ago(seconds=5), launches=1)
    assert bought(decided(memory, [job(cpus=8, nodes=5)], tried)) == []


def test_for_a_gang_whose_pools_boots_fail_single_vms_are_tried() -> None:
    """Sixteen dead VMs at each try would cost; and with each that works it comes nearer."""
    for allowed, tried in ((1, 1), (2, 2), (4, 4), (8, 5)):
        after = decided(ended(OWN, "boot", allowed), [job(cpus=8, nodes=5)])
        assert len(bought(after)) == tried
        assert {one.gang for one in after.claims} == {"" if tried < 5 else "101"}
    assert len(bought(decided(ended("pool cpu", "boots"), [job(cpus=8, nodes=5)]))) == 1


def test_nothing_is_tried_for_a_gang_that_found_another_place() -> None:
    other = make_offer("aws", "c7i", price_per_hour=0.5)
    configured = make_settings([make_pool(count=8, offers=[OFFER, other])])
    world = cluster([job(cpus=8, nodes=5)], settings=configured, memory=ended(OWN, "boot"))
    assert {one.offer.site for one in plan(world, configured).claims} == {"aws"}


def test_an_open_one_lets_nothing_through() -> None:
    memory = ended(OFFER.key, "no-capacity", 8)
    open_again = {OFFER.key: replace(memory.breakers[OFFER.key], until=ahead(minutes=1))}
    assert bought(decided(Memory(open_again), singles(3))) == []
