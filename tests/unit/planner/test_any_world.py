"""Whatever world is seen, possible or not: a decision is made, and it does nothing that must never be done."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clues.lifecycle import may_move
from clues.model import (
    KNOWN_FLAGS,
    Attach,
    Bind,
    Claim,
    ClaimState,
    Drain,
    Facts,
    Instance,
    InstanceState,
    Kind,
    Launch,
    Observed,
    Open,
    Operator,
    Plan,
    PowerOff,
    Resources,
    RouterPlan,
    Settings,
    Terminate,
    Warm,
    Wish,
    World,
)
from clues.planner import decide
from tests.unit.builders import (
    CPU_SHAPE,
    NOW,
    ago,
    make_claim,
    make_instance,
    make_node,
    make_offer,
    make_pool,
    make_settings,
    make_site,
)
from tests.unit.planner.deciding import cluster, job, listed
from tests.unit.planner.routed import told

S = ClaimState

ROUTER = RouterPlan(make_offer(flavor="small"), Resources(1, 1024))
SITES = [make_site(attach=Attach.ROUTER, router=ROUTER), make_site(attach=Attach.DIRECT), make_site()]
CONFIGURED = [make_settings([make_pool(keep_warm=(Warm(1),))], [site]) for site in SITES]
SETTINGS = CONFIGURED[0]
NODES = [*SETTINGS.pools["cpu"].nodes, "rack-1"]
MOMENTS = st.sampled_from([None, NOW, ago(seconds=1), ago(minutes=3), ago(hours=2), NOW + timedelta(minutes=5)])
FLAGS = st.frozensets(st.sampled_from([*sorted(KNOWN_FLAGS), "SHINY"]), min_size=1, max_size=5)
REASONS = st.sampled_from(["", "clues:off", "broken fan [root]", "Not responding", "Kill task failed"])
TOLD = st.sampled_from([Observed(), told(), told("router-cesnet-1", "cpu-1-1"), told(hub=False), told(at=ago(hours=1))])
FACTS = st.sampled_from([None, Facts(8, CPU_SHAPE.memory_mib), Facts(1, 1)])


@st.composite
def claims(draw: st.DrawFn) -> Claim:
    def moment() -> datetime | None:
        return draw(MOMENTS)

    kind: dict[str, Any] = draw(st.sampled_from([{}, {}, {"kind": Kind.ROUTER, "pool": "", "offer": ROUTER.offer}]))
    return make_claim(
        "router-cesnet" if kind else draw(st.sampled_from(NODES[:4])),
        draw(st.sampled_from([one for one in ClaimState if one is not ClaimState.GONE])),
        generation=draw(st.integers(1, 3)),
        since=moment() or NOW,
        launched_at=moment(),
        missing_since=moment(),
        terminated_at=moment(),
        opened_at=moment(),
        used_at=moment(),
        idle_since=moment(),
        ready_at=moment(),
        launches=draw(st.integers(0, 9)),
        facts=draw(FACTS),
        failure=draw(st.sampled_from(["", "boot", "vanished", "no-capacity"])),
        gang=draw(st.sampled_from(["", "101"])),
        gang_size=draw(st.integers(0, 3)),
        jobs=draw(st.sampled_from([(), ("101",), ("102",)])),
        instance_id=draw(st.sampled_from(["", "r-1"] if kind else ["", "i-1", "i-2"])),
        adopted=draw(st.booleans()),
        by_operator=draw(st.booleans()),
        held_by=draw(st.sampled_from(["", "broken fan [root]"])),
        tunnel=draw(st.sampled_from(["", "10.77.252.10"])),
        tunnel_since=moment(),
        tunnel_missing_since=moment(),
        **kind,
    )


@st.composite
def instances(draw: st.DrawFn) -> Instance:
    claim = make_claim(draw(st.sampled_from([*NODES, "old-7"])), generation=draw(st.integers(1, 3)))
    return make_instance(
        claim,
        id=draw(st.sampled_from(["i-1", "i-2", "i-3"])),
        state=draw(st.sampled_from(InstanceState)),
        **draw(st.sampled_from([{}, {"cluster": "somebody-else"}, {"launch_key": ""}, {"kind": "router"}])),
    )


@st.composite
def routers(draw: st.DrawFn) -> Instance:
    claim = make_claim("router-cesnet", generation=draw(st.integers(1, 3)), kind=Kind.ROUTER)
    return make_instance(claim, id=draw(st.sampled_from(["r-1", "r-2"])), state=draw(st.sampled_from(InstanceState)))


@st.composite
def worlds(draw: st.DrawFn) -> World:
    nodes = [
        make_node(name, draw(FLAGS), reason=draw(REASONS), used=draw(st.sampled_from([Resources(), Resources(3, 99)])))
        for name in draw(st.sets(st.sampled_from(NODES)))
    ]
    wishes = draw(st.dictionaries(st.sampled_from([*NODES[:4], "router-cesnet"]), st.sampled_from(Wish), max_size=2))
    world = cluster(
        draw(st.sampled_from([(), (job(),), (job(cpus=8, nodes=2), job(102, nodes=3))])),
        draw(st.lists(claims(), max_size=4, unique_by=lambda claim: claim.key)),
        SETTINGS,
        nodes=nodes,
        operator=Operator(draw(st.booleans()), wishes),
        overlay=draw(TOLD),
    )
    if draw(st.booleans()):
        world = listed(world, *draw(st.lists(instances() | routers(), max_size=4, unique_by=lambda one: one.id)))
    blind: dict[str, Any] = draw(st.sampled_from([{}, {}, {"lrms": Observed(error="away")}, {"listings": {}}]))
    for name, value in blind.items():
        world = World(**{**{field: getattr(world, field) for field in World.__slots__}, name: value})
    return world


Claims = dict[str, Claim]


def moves_only_along_the_table(world: World, decided: Plan, after: Claims) -> None:
    for claim in decided.claims:
        before = world.claims.get(claim.key)
        assert before is None or may_move(before.state, claim.state)


def touches_no_node_outside_the_pools_or_with_an_unknown_flag(world: World, decided: Plan, after: Claims) -> None:
    snapshot = world.lrms.value
    for action in decided.actions:
        of_router = isinstance(action, Terminate) and after[action.key].kind is Kind.ROUTER
        assert snapshot is not None or isinstance(action, Launch) or of_router
        names = action.nodes if isinstance(action, Open | Drain | PowerOff) else ()
        for name in (*names, *((action.node,) if isinstance(action, Bind) else ())):
            assert name in SETTINGS.pools["cpu"].nodes
            assert snapshot is not None
            assert snapshot.nodes[name].understood


def opens_only_ready_claims_and_no_admins_node(world: World, decided: Plan, after: Claims) -> None:
    for action in decided.actions:
        for name in action.nodes if isinstance(action, Open) else ():
            assert any(claim.node == name and claim.state is ClaimState.READY for claim in after.values())
            assert world.lrms.value is not None
            assert not world.lrms.value.nodes[name].kept_by_admin


def ends_no_vm_under_a_job_unless_another_claim_backs_its_node(world: World, decided: Plan, after: Claims) -> None:
    for action in decided.actions:
        if not isinstance(action, Terminate):
            continue
        claim = after[action.key]
        assert (claim.state, claim.terminated_at) == (ClaimState.STOPPING, NOW)  # to be committed first
        if claim.kind is Kind.ROUTER:
            continue  # Slurm knows no router
        assert world.lrms.value is not None
        node = world.lrms.value.nodes.get(claim.node)
        rivals = [one for one in after.values() if one.node == claim.node and one.key != claim.key and one.live]
        assert node is None or rivals or not node.busy


def counts_every_launch_in_the_plan(world: World, decided: Plan, after: Claims) -> None:
    planned = {claim.key: claim for claim in decided.claims}
    for action in decided.actions:
        if isinstance(action, Launch):
            claim = planned[action.key]
            assert (claim.state, claim.launched_at) == (ClaimState.LAUNCHING, NOW)
            assert claim.launches >= 1


def buys_no_node_that_another_claim_backs(world: World, decided: Plan, after: Claims) -> None:
    new = [claim for claim in decided.claims if claim.key not in world.claims and not claim.adopted]
    for claim in new:
        assert [one.key for one in after.values() if one.node == claim.node and one.live] == [claim.key]


def launches_no_worker_behind_a_router_that_is_not_there(world: World, decided: Plan, after: Claims) -> None:
    launched = {action.key for action in decided.actions if isinstance(action, Launch)}
    workers = [key for key in launched if after[key].kind is Kind.WORKER and after[key].launches == 1]
    ready = [one for one in world.claims.values() if one.kind is Kind.ROUTER and one.state in (S.READY, S.DRAINING)]
    assert not workers or ready or all(world.claims[key].state is S.LAUNCHING for key in workers)


def buys_at_most_one_router_and_none_beside_another(world: World, decided: Plan, after: Claims) -> None:
    new = [one for one in decided.claims if one.kind is Kind.ROUTER and one.key not in world.claims and not one.adopted]
    routers = [one for one in after.values() if one.kind is Kind.ROUTER and one.live]
    assert not new or routers == new


RULES = (
    moves_only_along_the_table,
    touches_no_node_outside_the_pools_or_with_an_unknown_flag,
    opens_only_ready_claims_and_no_admins_node,
    ends_no_vm_under_a_job_unless_another_claim_backs_its_node,
    counts_every_launch_in_the_plan,
    buys_no_node_that_another_claim_backs,
    buys_at_most_one_router_and_none_beside_another,
)


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(worlds(), st.sampled_from(CONFIGURED))
def test_a_decision_is_made_always_the_same_and_keeps_every_rule(world: World, configured: Settings) -> None:
    decided = decide(world, configured, NOW)
    after = {**world.claims, **{claim.key: claim for claim in decided.claims}}
    for keeps in RULES:
        keeps(world, decided, after)
    if configured is SETTINGS:
        launches_no_worker_behind_a_router_that_is_not_there(world, decided, after)
    assert decide(world, configured, NOW) == decided
