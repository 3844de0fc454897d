"""Pools in which Slurm picks the nodes: what is bought for it, what is given up, and which nodes it may pick."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from clues.model import (
    Annotate,
    Breaker,
    Claim,
    ClaimState,
    ClusterSnapshot,
    Drain,
    Facts,
    Forget,
    GiveUp,
    Job,
    Limits,
    Memory,
    Mode,
    Node,
    Observed,
    Operator,
    PowerRequest,
    PowerUp,
    Release,
    Settings,
    Wish,
    World,
)
from tests.unit.builders import (
    NOW,
    ago,
    ahead,
    make_claim,
    make_instance,
    make_node,
    make_offer,
    make_pool,
    make_settings,
    make_site,
)
from tests.unit.planner.deciding import (
    bought,
    bought_at,
    cluster,
    drained,
    effects,
    job,
    listed,
    of,
    plan,
    powered_off,
    state_of,
    terminated,
)

S = ClaimState

OFF, OPEN_OFF = "IDLE+CLOUD+DRAIN+POWERED_DOWN", "IDLE+CLOUD+POWERED_DOWN"
WAITING, WAITING_FOR_NOBODY = "ALLOCATED+CLOUD+POWERING_UP", "IDLE+CLOUD+POWERING_UP"
NONE = "clues:no VM to be had, see `clues offers`"


def eager(count: int = 2) -> Settings:
    offers = (make_offer("cesnet"), make_offer("upv", price_per_hour=1.0))
    pool = make_pool(count=count, mode=Mode.EAGER, offers=offers)
    return make_settings([pool], [make_site("cesnet"), make_site("upv")])


def flags(settings: Settings, *states: str) -> dict[str, list[str]]:
    """Return the nodes of the pool in these states; the rest is off and open."""
    (pool,) = settings.pools.values()
    given = [*states, *[OPEN_OFF] * (len(pool.nodes) - len(states))]
    return {name: state.split("+") for name, state in zip(pool.nodes, given, strict=True)}


def configuring(*nodes: str, number: int = 42) -> Job:
    """Return a job that waits for its nodes to come."""
    return replace(job(number, nodes=len(nodes)), state="CONFIGURING", nodes=nodes)


def without_capacity(settings: Settings, *keys: str) -> Memory:
    (pool,) = settings.pools.values()
    chosen = keys or tuple(offer.key for offer in pool.offers)
    return Memory(
        breakers={
            key: Breaker(key, "no-capacity", 'no "host"\nwas found', NOW, ahead(minutes=5), failed_at=NOW)
            for key in chosen
        }
    )


def test_all_nodes_of_a_job_are_bought_at_one_site() -> None:
    settings = eager(3)
    world = cluster([configuring("cpu-1", "cpu-2")], (), settings, flags(settings, WAITING, WAITING))
    decided = plan(world, settings)
    assert bought(decided) == ["cpu-1", "cpu-2"]
    assert len(set(bought_at(decided))) == 1
    assert {claim.jobs for claim in decided.claims} == {("42",)}
    assert {claim.gang for claim in decided.claims} == {"42"}
    assert effects(decided)[2:] == []


@pytest.mark.parametrize("capacity", [True, False], ids=["offers are open", "none can be had"])
@pytest.mark.parametrize("mate", ["MIXED+CLOUD+POWERED_DOWN", "IDLE+CLOUD+POWERED_DOWN+POWER_UP", WAITING])
def test_no_vm_is_asked_for_before_slurm_has_asked_for_all_machines_of_a_job(mate: str, capacity: bool) -> None:
    """slurmctld ignores a machine that has booted before it asked for it: such a VM would never register."""
    settings = eager(2)
    memory = Memory() if capacity else without_capacity(settings)
    seen = flags(settings, WAITING, mate)
    decided = plan(cluster([configuring("cpu-1", "cpu-2")], (), settings, seen, memory=memory), settings)
    asked = mate == WAITING
    assert bought(decided) == (["cpu-1", "cpu-2"] if asked and capacity else [])
    assert bool(of(decided, GiveUp)) is (asked and not capacity)


def test_a_worker_that_waits_for_its_router_is_launched_only_when_slurm_has_asked_for_its_machine() -> None:
    settings = eager(1)
    claim = make_claim("cpu-1", S.PLANNED, jobs=("42",))
    for seen, then in (("MIXED+CLOUD+POWERED_DOWN", S.PLANNED), (WAITING, S.LAUNCHING)):
        world = cluster([configuring("cpu-1")], [claim], settings, flags(settings, seen))
        assert state_of(plan(world, settings), world) is then


def test_a_failed_node_of_a_gang_is_tried_again_where_its_mates_are() -> None:
    settings = eager(2)
    mate = make_claim("cpu-2", S.BOOTING, offer=settings.pools["cpu"].offers[1], gang="42", jobs=("42",))
    world = cluster([configuring("cpu-1", "cpu-2")], [mate], settings, flags(settings, WAITING, WAITING))
    assert bought_at(plan(world, settings)) == [mate.offer.site]


def test_the_next_offer_is_tried_for_the_same_node() -> None:
    settings = eager(1)
    first = settings.pools["cpu"].offers[0]
    memory = without_capacity(settings, first.key)
    world = cluster([configuring("cpu-1")], (), settings, flags(settings, WAITING), memory=memory)
    decided = plan(world, settings)
    assert bought(decided) == ["cpu-1"]
    assert bought_at(decided) != [first.site]
    assert of(decided, GiveUp) == []


def test_a_job_that_gets_no_vm_is_freed_whole_and_told_why() -> None:
    settings = eager(4)
    began = ago(minutes=1)
    mate = make_claim("cpu-2", S.BOOTING, gang="42", jobs=("42",), launched_at=began, listed_at=began)
    world = cluster(
        [configuring("cpu-1", "cpu-2", "cpu-3")],
        [mate, make_claim("cpu-3", S.READY)],
        settings,
        flags(settings, WAITING, WAITING, "ALLOCATED+CLOUD"),
        memory=without_capacity(settings),
    )
    decided = plan(world, settings)
    # the mate on its way too, in one command; the one that has come stays for whoever needs it
    assert [action.nodes for action in of(decided, GiveUp)] == [("cpu-1", "cpu-2")]
    (note,) = of(decided, Annotate)
    assert note.job == "42"
    assert "no-capacity" in note.text
    assert any("given up" in one.text and "job 42" in one.about for one in decided.notes)


@pytest.mark.parametrize(
    ("vms", "shared", "then"),
    [
        pytest.param(9, False, S.DRAINING, id="another site can give the whole job"),
        pytest.param(2, False, S.READY, id="no site can"),
        pytest.param(9, True, S.READY, id="another job runs there, too"),
    ],
)
def test_nodes_that_keep_a_gang_where_its_rest_cannot_be_had_are_let_go(vms: int, shared: bool, then: S) -> None:
    settings = eager(4)
    settings = replace(settings, sites={**settings.sites, "upv": make_site("upv", limits=Limits(vms=vms))})
    jobs = [configuring("cpu-1", "cpu-2", "cpu-3")]
    jobs += [replace(job(7), state="RUNNING", nodes=("cpu-3",))] if shared else []
    world = cluster(
        jobs,
        [make_claim("cpu-3", S.READY, opened_at=ago(minutes=9))],
        settings,
        flags(settings, WAITING, WAITING, "MIXED+CLOUD"),
        memory=without_capacity(settings, settings.pools["cpu"].offers[0].key),
    )
    decided = plan(world, settings)
    assert [action.nodes for action in of(decided, GiveUp)] == [("cpu-1", "cpu-2")]
    assert {one.node: one.state for one in decided.claims}.get("cpu-3", S.READY) is then


@pytest.mark.parametrize(
    ("allowed", "seen", "tried"),
    [
        pytest.param(1, [], ("cpu-1",), id="one is risked"),
        pytest.param(2, [], ("cpu-1", "cpu-2"), id="two are"),
        pytest.param(1, [WAITING_FOR_NOBODY], ("cpu-2",), id="one offer is tried already"),
        pytest.param(1, [WAITING_FOR_NOBODY, WAITING_FOR_NOBODY], (), id="each is"),
        pytest.param(4, [], (), id="as many as it needs may be had"),
    ],
)
def test_where_a_gang_needs_more_than_is_risked_single_nodes_are_tried(
    allowed: int, seen: list[str], tried: tuple[str, ...]
) -> None:
    """Slurm would give it all nodes that stand open, so they do not; and no boot would show that VMs come again."""
    settings = eager(4)
    offers = settings.pools["cpu"].offers
    keys = [f"cpu at {offer.key}" for offer in offers]
    failed = [Breaker(key, "boot", "why", ago(minutes=9), ago(minutes=1), 1, ago(minutes=5), allowed) for key in keys]
    failed = [replace(one, owner="cpu", offer=offer.key) for one, offer in zip(failed, offers, strict=True)]
    memory = Memory(breakers={one.key: one for one in failed})
    for waiting in ([job(nodes=3)], []):
        world = cluster(waiting, (), settings, flags(settings, *seen), memory=memory)
        found = [action.nodes for action in of(plan(world, settings), PowerUp)]
        assert found == ([tried] if tried and waiting else [])


def test_a_mate_that_slurm_has_left_behind_is_powered_down() -> None:
    settings = eager(2)
    mate = make_claim("cpu-1", S.BOOTING, gang="42", jobs=("42",))
    world = cluster([job(42, nodes=2)], [mate], settings, flags(settings, WAITING_FOR_NOBODY))
    assert [action.nodes for action in of(plan(world, settings), GiveUp)] == [("cpu-1",)]


@pytest.mark.parametrize(
    ("state", "jobs"),
    [(WAITING_FOR_NOBODY, ()), (WAITING, ()), (WAITING_FOR_NOBODY, (configuring("cpu-1"),))],
    ids=["alone", "given to another job", "its job still has it"],
)
def test_a_node_on_its_way_that_is_no_mate_left_behind_goes_on(state: str, jobs: tuple[Job, ...]) -> None:
    settings = eager(1)
    claim = make_claim("cpu-1", S.BOOTING, jobs=("42",), gang="" if state == WAITING_FOR_NOBODY and not jobs else "42")
    world = cluster(jobs, [claim], settings, flags(settings, state))
    assert of(plan(world, settings), GiveUp) == []


def test_what_is_only_not_known_yet_gives_nothing_up_and_closes_nothing() -> None:
    settings = eager(2)
    world = cluster([configuring("cpu-1")], (), settings, flags(settings, WAITING))
    starting = replace(world, listings={})
    assert effects(plan(starting, settings)) == []


def test_while_none_can_be_had_no_node_stands_open_and_then_as_many_as_could() -> None:
    settings = eager(3)
    closed = plan(cluster((), (), settings, flags(settings), memory=without_capacity(settings)), settings)
    assert drained(closed) == dict.fromkeys(("cpu-1", "cpu-2", "cpu-3"), NONE)
    again = cluster((), (), settings, flags(settings, OFF, OFF, "DOWN+CLOUD+POWERED_DOWN"))
    again = replace(again, lrms=_with_reason(again, NONE))
    assert of(plan(again, settings), Release) == [Release(("cpu-1", "cpu-2", "cpu-3"))]


def test_no_more_nodes_stand_open_than_the_limits_allow() -> None:
    pool = make_pool(count=3, mode=Mode.EAGER, offers=make_pool().offers[:1])
    site = make_site(pool.offers[0].site)
    settings = make_settings([pool], [replace(site, limits=replace(site.limits, vms=1))])
    decided = plan(cluster((), (), settings, flags(settings)), settings)
    assert drained(decided) == {"cpu-2": NONE, "cpu-3": NONE}
    # which ones does not change while nothing does
    settled = cluster((), (), settings, flags(settings, OFF, OPEN_OFF, OFF))
    assert effects(plan(replace(settled, lrms=_with_reason(settled, NONE)), settings)) == []


@pytest.mark.parametrize("reason", ["clues:off", "ResumeTimeout reached", "broken fan [root]"])
def test_a_node_that_was_left_down_is_opened_again_unless_an_admin_closed_it(reason: str) -> None:
    settings = eager(1)
    world = cluster((), (), settings, flags(settings, "DOWN+CLOUD+POWERED_DOWN"))
    decided = plan(replace(world, lrms=_with_reason(world, reason)), settings)
    assert bool(of(decided, Release)) is (reason != "broken fan [root]")


def test_a_command_that_was_cut_in_the_middle_is_given_again() -> None:
    settings = eager(1)
    world = cluster((), (), settings, flags(settings, "DOWN+CLOUD+POWERING_UP"))
    decided = plan(replace(world, lrms=_with_reason(world, "clues:no VM for it")), settings)
    assert [action.nodes for action in of(decided, GiveUp)] == [("cpu-1",)]
    assert bought(decided) == []


def test_slurm_picks_what_it_pleases_and_nothing_is_bought_for_the_queue() -> None:
    settings = eager(2)
    decided = plan(cluster([job(7)], (), settings, flags(settings)), settings)
    assert bought(decided) == []
    assert decided.outlooks["7"].verdict == "served"


def test_slurm_lets_idle_nodes_go_not_clues() -> None:
    settings = eager(1)
    claim = make_claim("cpu-1", S.READY, opened_at=ago(hours=5), idle_since=ago(hours=5))
    world = cluster((), [claim], settings, flags(settings, "IDLE+CLOUD"))
    assert effects(plan(world, settings)) == []


#: a claim's state, what Slurm shows of its node, the state that it goes to, and whether its VM is ended
LIVES = [
    (S.READY, "IDLE+CLOUD+POWERING_DOWN", S.DRAINING, False),
    (S.READY, WAITING, S.DRAINING, False),  # powered down and up again between two looks
    (S.DRAINING, "IDLE+CLOUD+POWERING_DOWN", S.STOPPING, True),
    (S.DRAINING, WAITING, S.STOPPING, True),  # its successor is bought when it is gone
    (S.DRAINING, "MIXED+CLOUD+POWER_DOWN", S.DRAINING, False),  # a job runs there still
    (S.STOPPING, OPEN_OFF, S.STOPPING, False),  # open: it may be given a job this moment, so it is closed first
    (S.STOPPING, "IDLE+CLOUD+DRAIN+POWERED_DOWN", S.STOPPING, True),
    (S.BOOTING, "DOWN+CLOUD+POWERING_DOWN", S.FAILED, False),
    (S.JOINING, "DOWN+CLOUD+POWERED_DOWN", S.FAILED, False),
    (S.LAUNCHING, "DOWN+CLOUD+POWERING_DOWN", S.FAILED, False),
    (S.BOOTING, WAITING, S.BOOTING, False),
    (S.JOINING, "ALLOCATED+CLOUD", S.READY, False),
]


@pytest.mark.parametrize(("state", "seen", "then", "ended"), LIVES, ids=[f"{s}-{f}" for s, f, *_ in LIVES])
def test_the_life_of_a_claim_follows_slurms_power_flags(state: S, seen: str, then: S, ended: bool) -> None:
    settings = eager(1)
    began = ago(minutes=1)
    claim = make_claim("cpu-1", state, opened_at=ago(hours=1), since=began, launches=1, launched_at=began)
    claim = replace(claim, instance_id="" if state is S.LAUNCHING else claim.instance_id)
    there = () if state is S.LAUNCHING else (make_instance(claim),)
    world = listed(cluster((), [claim], settings, nodes=[_node(seen)]), *there, site=claim.offer.site)
    decided = plan(world, settings)
    assert state_of(decided, world) is then
    assert bool(terminated(decided)) is ended
    assert powered_off(decided) == []


def test_a_node_that_is_off_is_closed_while_its_vm_ends() -> None:
    settings = eager(1)
    claim = make_claim("cpu-1", S.STOPPING, since=ago(minutes=1))
    world = _listed(cluster((), [claim], settings, nodes=[_node(OPEN_OFF)]), claim)
    assert list(drained(plan(world, settings))) == ["cpu-1"]


@pytest.mark.parametrize("state", [S.FAILED, S.STOPPING, S.DRAINING])
def test_nothing_is_drained_while_slurm_powers_it_up(state: S) -> None:
    settings = eager(1)
    world = cluster((), [make_claim("cpu-1", state)], settings, nodes=[_node(WAITING)])
    decided = plan(world, settings)
    assert (drained(decided), powered_off(decided), of(decided, GiveUp)) == ({}, [], [])


def test_a_node_that_waits_gets_its_next_vm_once_the_last_one_is_gone() -> None:
    settings = eager(1)
    claim = make_claim("cpu-1", S.STOPPING, since=ago(hours=1), terminated_at=ago(hours=1), confirmed_at=ago(hours=1))
    claim = replace(claim, missing_since=ago(minutes=30), launched_at=ago(hours=2))
    world = cluster([configuring("cpu-1")], [claim], settings, flags(settings, WAITING), generations={"cpu-1": 7})
    decided = plan(listed(world), settings)
    assert state_of(decided, world) is S.GONE
    after = cluster([configuring("cpu-1")], (), settings, flags(settings, WAITING), generations={"cpu-1": 7})
    assert [one.generation for one in plan(after, settings).claims] == [8]


def test_a_worker_that_is_less_than_ordered_fails_before_slurm_can_use_it() -> None:
    settings = eager(1)
    claim = make_claim("cpu-1", S.JOINING, since=ago(seconds=5), facts=Facts(cpus=1, memory_mib=512))
    world = _listed(cluster((), [claim], settings, nodes=[_node(WAITING)]), claim)
    assert state_of(plan(world, settings), world) is S.FAILED


def test_a_claim_learns_its_job_when_it_is_seen() -> None:
    settings = eager(1)
    claim = make_claim("cpu-1", S.BOOTING, jobs=())
    world = _listed(cluster([configuring("cpu-1")], [claim], settings, nodes=[_node(WAITING)]), claim)
    assert [one.jobs for one in plan(world, settings).claims if one.key == claim.key] == [("42",)]


@pytest.mark.parametrize(
    ("wish", "seen", "wanted"),
    [
        (Wish.ON, OPEN_OFF, [PowerUp(("cpu-1",))]),
        (Wish.DISABLED, OPEN_OFF, [Drain(("cpu-1",), "clues:off")]),
        (Wish.DISABLED, OFF, []),
        (Wish.OFF, WAITING, [GiveUp(("cpu-1",), "clues:no VM for it, its job is requeued")]),
    ],
    ids=["on", "disable", "disabled", "off"],
)
def test_an_operators_orders(wish: Wish, seen: str, wanted: list[object]) -> None:
    settings = eager(1)
    world = cluster((), (), settings, nodes=[_node(seen)], operator=Operator(wishes={"cpu-1": wish}))
    assert effects(plan(world, settings)) == wanted


def test_requests_of_the_hook_are_told_and_then_forgotten() -> None:
    settings = eager(1)
    world = cluster((), (), settings, flags(settings))
    request = PowerRequest("1-2.json", datetime(2026, 1, 1, tzinfo=UTC), "resume", ("cpu-1",), ("42",))
    assert world.lrms.value is not None
    world = replace(world, lrms=replace(world.lrms, value=replace(world.lrms.value, requests=(request,))))
    decided = plan(world, settings)
    assert effects(decided) == [Forget(("1-2.json",))]  # the request alone buys nothing
    (note,) = decided.notes
    assert (note.at, note.subject) == (request.at, "cpu-1")
    assert note.text == "Slurm asks: resume cpu-1 for 42"


def _node(seen: str) -> Node:
    return make_node("cpu-1", seen.split("+"), reason="clues:off" if {"DRAIN", "DOWN"} & set(seen.split("+")) else "")


def _listed(world: World, claim: Claim) -> World:
    return listed(world, make_instance(claim), site=claim.offer.site)


def _with_reason(world: World, reason: str) -> Observed[ClusterSnapshot]:
    snapshot = world.lrms.value
    assert snapshot is not None
    nodes = {name: replace(node, reason=reason if node.closed else "") for name, node in snapshot.nodes.items()}
    return replace(world.lrms, value=replace(snapshot, nodes=nodes))
