"""VMs that the provider made and then declared failed: what that is held against, and what comes next."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clues.model import Claim, ClaimState, InstanceState, Memory
from tests.unit.builders import CLOSED, make_instance, make_node, make_offer, make_pool, make_settings
from tests.unit.planner.claims import BOOTING, JOINING, LAUNCHING
from tests.unit.planner.deciding import bought_at, cluster, job, listed, plan, state_of
from tests.unit.planner.routed import ROUTER_OFFER, SETTINGS, planned, router
from tests.unit.planner.routed import world as routed_world

HERE, ELSEWHERE = make_offer(), make_offer("aws", "c7i", price_per_hour=0.5)
OWN = f"cpu at {HERE.key}"
SETTINGS_TWO = make_settings([make_pool(offers=[HERE, ELSEWHERE])])


def in_error(claim: Claim, code: str, state: InstanceState = InstanceState.ERROR, **more: object) -> Memory:
    """Return what is remembered once a claim's VM was listed so."""
    seen = cluster([job()], [claim], SETTINGS_TWO, nodes=[make_node(claim.node, CLOSED)])
    vm = make_instance(claim, state=state, fault="No valid host was found", fault_code=code, **more)
    decided = plan(listed(seen, vm), SETTINGS_TWO)
    assert state_of(decided, seen) is ClaimState.FAILED
    assert bought_at(decided) == ["aws"]  # the next offer, at once
    return decided.memory


@pytest.mark.parametrize("claim", [LAUNCHING, BOOTING, JOINING], ids=lambda one: one.state)
@pytest.mark.parametrize(("code", "key"), [("no-capacity", HERE.key), ("quota", "cesnet"), ("invalid", OWN), ("", OWN)])
def test_it_is_held_against_the_offer_or_the_site_that_it_is_about(claim: Claim, code: str, key: str) -> None:
    (breaker,) = in_error(claim, code).breakers.values()
    assert (breaker.key, breaker.code) == (key, code or "provider")
    assert "No valid host was found" in breaker.words


@pytest.mark.parametrize("code", ["transient", "unknown-outcome", "not-found", "nonsense"])
def test_a_code_that_would_be_forgiven_or_is_not_known_is_held_against_the_offer(code: str) -> None:
    """Else the same offer would be bought again in each tick."""
    assert in_error(BOOTING, code).breakers[OWN].code == "provider"


@pytest.mark.parametrize("state", [InstanceState.GONE, InstanceState.STOPPING, InstanceState.STOPPED])
def test_a_vm_that_its_provider_has_ended_already_has_its_code_too(state: InstanceState) -> None:
    """EC2 tells want of capacity of instances that are terminated."""
    assert in_error(BOOTING, "quota", state).breakers["cesnet"].code == "quota"


def test_a_vm_that_came_to_nothing_is_ended_all_the_same() -> None:
    failed = replace(BOOTING, state=ClaimState.FAILED, failure="no-capacity", launches=1)
    seen = cluster([], [failed], SETTINGS_TWO)
    assert state_of(plan(seen, SETTINGS_TWO), seen) is ClaimState.STOPPING


def test_a_router_that_came_to_nothing_is_held_against_its_own_offer() -> None:
    claim = router(ClaimState.BOOTING)
    vm = make_instance(claim, state=InstanceState.ERROR, fault_code="no-capacity")
    seen = routed_world(claim)
    decided = planned(listed(seen, vm, site="upv"), SETTINGS)
    assert decided.memory.breakers[ROUTER_OFFER.key].code == "no-capacity"
