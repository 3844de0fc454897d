"""VMs with our tag that the ledger does not know."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from clues.model import Attach, Claim, ClaimState, Instance, InstanceState, Observed, World
from clues.planner import decide
from tests.unit.builders import (
    BUSY,
    CLOSED,
    IDLE,
    NOW,
    OFF,
    ago,
    make_claim,
    make_instance,
    make_node,
    make_offer,
    make_pool,
    make_settings,
)
from tests.unit.planner.deciding import cluster, effects, job, listed, opened, plan, terminated
from tests.unit.planner.routed import DOWN as TUNNEL_DOWN
from tests.unit.planner.routed import NO_HUB, SETTINGS, SMALL, after, routed_settings, router, told, worker, world

S = ClaimState


def found(node: str = "cpu-1", **more: Any) -> Instance:
    return make_instance(make_claim(node), **more)


def adopted(world: World) -> list[tuple[str, ClaimState]]:
    return [(claim.node, claim.state) for claim in plan(world).claims if claim.adopted]


def lost_ledger(flags: Any, *instances: Instance, **node: Any) -> World:
    return listed(cluster(nodes=[make_node("cpu-1", flags, **node)]), *(instances or (found(),)))


def test_a_busy_vm_lives_on() -> None:
    world = lost_ledger(BUSY)
    assert adopted(world) == [("cpu-1", S.READY)]
    assert effects(plan(world)) == []


def test_an_open_idle_vm_lives_on() -> None:
    assert adopted(lost_ledger(IDLE)) == [("cpu-1", S.READY)]


def test_a_vm_on_its_way_is_waited_for() -> None:
    assert adopted(lost_ledger(OFF)) == [("cpu-1", S.BOOTING)]


def test_a_closed_registered_vm_whose_checks_are_forgotten_is_never_opened() -> None:
    world = lost_ledger(CLOSED)
    for _ in range(4):
        decided = plan(replace(world, lrms=replace(world.lrms)))
        assert opened(decided) == []
        claims = {**world.claims, **{claim.key: replace(claim, since=ago(seconds=1)) for claim in decided.claims}}
        world = replace(world, claims=claims)


def test_nor_is_it_called_back_for_a_job() -> None:
    world = listed(cluster([job()], nodes=[make_node("cpu-1", CLOSED)]), found())
    for _ in range(4):
        decided = plan(world)
        assert opened(decided) == []
        world = replace(
            world,
            claims={**world.claims, **{claim.key: replace(claim, since=ago(seconds=1)) for claim in decided.claims}},
        )


def test_what_is_found_keeps_its_node_from_being_bought_again() -> None:
    world = listed(cluster([job(excluded_nodes=frozenset({"cpu-2", "cpu-3", "cpu-4"}))]), found())
    assert [claim.node for claim in plan(world).claims if not claim.adopted] == []


def test_its_offer_and_generation_are_read_from_its_tags() -> None:
    dear = make_offer("cesnet", "big", price_per_hour=2.0)
    settings = make_settings([make_pool(offers=[make_offer(), dear])])
    world = listed(cluster((), (), settings), found(offer=dear.key, generation=7, id="i-77"))
    (claim,) = plan(world, settings).claims
    assert (claim.offer, claim.generation, claim.instance_id, claim.key) == (dear, 7, "i-77", "cpu-1-1")


def test_a_second_vm_of_a_node_is_ended_and_the_first_is_not() -> None:
    mine = make_claim(opened_at=ago(hours=1))
    second = found(launch_key="cpu-1-2", id="i-second", generation=2)
    world = listed(cluster((), [mine], nodes=[make_node("cpu-1", BUSY)]), make_instance(mine), second)
    decided = plan(world)
    assert [(claim.key, claim.state) for claim in decided.claims if claim.adopted] == [("cpu-1-2", S.STOPPING)]
    assert terminated(decided) == ["i-second"]
    assert [note.subject for note in decided.notes if note.kind == "alarm"] == ["cpu-1"]  # it was a leak


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_unknown_vms_the_one_that_slurm_knows_is_kept(order: int) -> None:
    real = found(id="i-real", launch_key="cpu-1-3", generation=3, addresses=("10.77.1.3",))
    other = found(id="i-other", launch_key="cpu-1-4", generation=4, addresses=("10.77.1.4",))
    world = lost_ledger(BUSY, *[real, other][::order], address="10.77.1.3")
    decided = plan(world)
    assert {claim.instance_id: claim.state for claim in decided.claims} == {"i-real": S.READY, "i-other": S.STOPPING}
    assert terminated(decided) == ["i-other"]


@pytest.mark.parametrize("order", [1, -1])
def test_else_the_younger_one_is_kept(order: int) -> None:
    old, young = found(id="i-old", launch_key="a", generation=1), found(id="i-young", launch_key="b", generation=2)
    decided = plan(lost_ledger(BUSY, *[old, young][::order]))
    assert {claim.instance_id: claim.state for claim in decided.claims} == {"i-young": S.READY, "i-old": S.STOPPING}


def ended(**more: Any) -> Claim:
    return make_claim(state=S.GONE, **more)


def test_a_late_vm_of_an_ended_claim_is_ended() -> None:
    world = replace(listed(cluster(), found(id="i-late")), ended={"cpu-1-1": ended()})
    decided = plan(world)
    assert [(claim.key, claim.state, claim.instance_id) for claim in decided.claims] == [
        ("cpu-1-1", S.STOPPING, "i-late")
    ]
    assert terminated(decided) == ["i-late"]


def test_a_late_vm_under_a_job_is_not_ended_before_it() -> None:
    world = replace(lost_ledger(BUSY, found(id="i-late")), ended={"cpu-1-1": ended()})
    assert terminated(plan(world)) == []


@pytest.mark.parametrize("more", [{"cluster": "somebody-else"}, {"cluster": ""}])
def test_a_foreign_vm_is_not_touched(more: dict[str, str]) -> None:
    decided = plan(listed(cluster(), found(**more)))
    assert (decided.claims, decided.actions, decided.orphans) == ((), (), ())


def test_a_vm_of_a_node_outside_the_pools_is_told_and_left_alone() -> None:
    rack = make_node("rack-1", {"IDLE"})
    decided = plan(listed(cluster(nodes=[rack]), found("rack-1")))
    assert (decided.claims, decided.actions) == ((), ())
    assert decided.orphans == ("cesnet/i-rack-1",)


def test_a_vm_of_a_node_that_nobody_knows_is_ended() -> None:
    assert adopted(listed(cluster(), found("old-7"))) == [("old-7", S.STOPPING)]


def test_while_slurm_cannot_be_read_nobody_is_adopted() -> None:
    world = listed(cluster(), found())
    decided = plan(replace(world, lrms=Observed(error="down")))
    assert (decided.claims, decided.orphans) == ((), ("cesnet/i-cpu-1",))


def test_a_vm_that_is_gone_is_not_adopted() -> None:
    assert adopted(listed(cluster(), found(state=InstanceState.GONE))) == []


def test_two_sites_may_use_the_same_instance_id() -> None:
    mine = make_claim("cpu-2", instance_id="12")
    settings = make_settings([make_pool(offers=[make_offer(), make_offer("upv", "medium")])])
    world = cluster((), [mine], settings, nodes=[make_node("cpu-2", BUSY)])
    world = listed(world, found("cpu-1", site="upv", id="12"), site="upv")
    decided = plan(world, settings)
    assert [(claim.node, claim.offer.site) for claim in decided.claims if claim.adopted] == [("cpu-1", "upv")]


def test_a_second_vm_that_carries_a_known_launch_key_is_ended() -> None:
    """A provider that repeated a create by itself: two VMs, one key. The claim's own is kept."""
    mine = make_claim(opened_at=ago(hours=1))
    world = listed(
        cluster((), [mine], nodes=[make_node("cpu-1", BUSY)]), make_instance(mine), make_instance(mine, id="i-twin")
    )
    decided = plan(world)
    assert terminated(decided) == ["i-twin"]


def test_a_failed_vm_is_not_adopted_into_service() -> None:
    world = lost_ledger(OFF, found(state=InstanceState.ERROR))
    first = plan(world)
    world = replace(world, claims={claim.key: claim for claim in first.claims})
    assert plan(world).claims[0].state in {S.FAILED, S.STOPPING}


def test_a_closed_vm_that_cannot_be_checked_is_let_go_at_the_next_look() -> None:
    world = lost_ledger(CLOSED)
    world = replace(world, claims={claim.key: claim for claim in plan(world).claims})
    assert [claim.state for claim in plan(world).claims] == [S.DRAINING]


# --- routers ---------------------------------------------------------------------------------------------------------


def routers_found(*instances: Instance, known: tuple[Claim, ...] = (), **more: Any) -> list[tuple[str, ClaimState]]:
    configured = more.pop("settings", SETTINGS)
    seen = listed(world(*known, settings=configured, **more), *instances, site="upv")
    return [(claim.node, claim.state) for claim in decide(seen, configured, NOW).claims if claim.adopted]


def test_a_router_is_taken_in_as_such_serving_if_its_tunnel_is_up() -> None:
    found_router = make_instance(router(), addresses=("10.77.1.9",), macs=("02:00:00:00:00:01",))
    assert routers_found(found_router) == [("router-upv", S.READY)]
    assert routers_found(found_router, overlay=TUNNEL_DOWN) == [("router-upv", S.BOOTING)]
    (claim,) = decide(listed(world(), found_router, site="upv"), SETTINGS, NOW).claims
    assert (claim.kind, claim.pool, claim.shape) == ("router", "", SMALL)
    assert (claim.address, claim.tunnel, claim.mac) == ("10.77.1.9", "10.77.252.10", "02:00:00:00:00:01")


def test_a_router_is_taken_in_while_slurm_cannot_be_read() -> None:
    seen = replace(listed(world(), make_instance(router()), site="upv"), lrms=Observed(error="away"))
    assert [claim.state for claim in decide(seen, SETTINGS, NOW).claims] == [S.READY]


def test_of_two_routers_the_one_whose_tunnel_is_up_stays() -> None:
    other = make_instance(router(generation=2), id="i-other")
    assert sorted(routers_found(other, make_instance(router()))) == [
        ("router-upv", S.READY),
        ("router-upv", S.STOPPING),
    ]
    seen = listed(world(), other, make_instance(router()), site="upv")
    stays = [claim.key for claim in decide(seen, SETTINGS, NOW).claims if claim.state is S.READY]
    assert stays == ["router-upv-1"]


def test_a_second_router_beside_one_that_is_known_is_ended() -> None:
    second = make_instance(router(generation=2), id="i-other")
    found_too = routers_found(make_instance(router()), second, known=(router(),))
    assert found_too == [("router-upv", S.STOPPING)]


def test_a_router_of_a_site_that_needs_none_is_taken_in_and_goes_by_the_rule_since_workers_may_run_behind_it() -> None:
    local = routed_settings(attach=Attach.LOCAL, router=None)
    assert routers_found(make_instance(router()), settings=local) == [("router-upv", S.READY)]


def test_two_vms_with_one_launch_key_are_two_claims() -> None:
    twins = [make_instance(router(), id="i-1"), make_instance(router(), id="i-2")]
    claims = decide(listed(world(), *twins, site="upv"), SETTINGS, NOW).claims
    assert sorted((one.instance_id, one.state) for one in claims) == [("i-1", S.READY), ("i-2", S.STOPPING)]


def test_a_worker_whose_tag_says_router_is_a_worker() -> None:
    instance = make_instance(worker(), kind="router")
    seen = listed(world(flags={"cpu-1": BUSY}), instance, site="upv")
    taken_in = [one for one in decide(seen, SETTINGS, NOW).claims if one.adopted]
    assert [(one.kind, one.state) for one in taken_in] == [("worker", S.READY)]


def test_an_adopted_router_comes_to_serve_without_another_enrolment_and_is_given_its_time() -> None:
    taken_in = router(S.BOOTING, adopted=True, launched_at=ago(hours=1))
    assert after(world(taken_in)).state is S.JOINING
    assert after(world(taken_in, overlay=NO_HUB)).state is S.BOOTING
    assert after(world(taken_in, overlay=TUNNEL_DOWN)).state is S.FAILED


def test_a_worker_with_a_tunnel_is_taken_in_with_its_address() -> None:
    direct = routed_settings(attach=Attach.DIRECT, router=None)
    instance = make_instance(worker(), addresses=("198.51.100.7",))
    seen = listed(world(flags={"cpu-1": BUSY}, overlay=told("cpu-1-1"), settings=direct), instance, site="upv")
    (claim,) = decide(seen, direct, NOW).claims
    assert (claim.address, claim.tunnel, claim.listed_addresses) == ("10.77.252.10", "10.77.252.10", ("198.51.100.7",))
