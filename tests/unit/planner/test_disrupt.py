"""Old VMs, VMs that would be others today, and spare ones: drained, a few at a time, and never under a job."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from clues.model import (
    Breaker,
    Claim,
    ClaimState,
    Job,
    Leaving,
    Memory,
    Node,
    Pool,
    Resources,
    Settings,
    Warm,
    World,
)
from clues.planner.explain import explain
from tests.unit.builders import (
    BUSY,
    CLOSED,
    CPU_SHAPE,
    DRAINING,
    IDLE,
    NOW,
    ago,
    ahead,
    make_claim,
    make_job,
    make_node,
    make_offer,
    make_pool,
    make_published,
    make_settings,
)
from tests.unit.planner.deciding import bought, cluster, job, plan, state_of

HOME, CLOUD = make_offer(price_per_hour=0.1), make_offer("aws", "c7i", price_per_hour=0.4)
OLD = make_pool(max_age=timedelta(hours=2), idle=timedelta(hours=9), count=8)
SPARE = make_pool(offers=[HOME, CLOUD], consolidate=True, count=8)


def claim_of(node: str = "cpu-1", **more: Any) -> Claim:
    return make_claim(
        node,
        **{
            "since": ago(hours=1),
            "created_at": ago(hours=1),
            "launched_at": ago(hours=1),
            "opened_at": ago(hours=1),
            "used_at": ago(hours=1),
            "offer": HOME,
            **more,
        },
    )


def old(node: str = "cpu-1", **more: Any) -> Claim:
    return claim_of(node, launched_at=ago(hours=3), created_at=ago(hours=3), offer=make_offer(), **more)


def busy(name: str, cpus: int, hours: float | None = 0.2) -> tuple[Node, Job]:
    """A node with so many CPUs taken, by a job that goes on for so long at most."""
    node = make_node(name, {"MIXED", "CLOUD"}, capacity=CPU_SHAPE, used=Resources(cpus, 1024 * cpus))
    limit = None if hours is None else timedelta(hours=1 + hours)
    number = name.rpartition("-")[2]
    return node, make_job(f"90{number}", "RUNNING", nodes=(name,), started=ago(hours=1), time_limit=limit)


def _goes(claim: Claim, world: World) -> bool:
    return claim.state is ClaimState.DRAINING and world.claims[claim.key].state is not ClaimState.DRAINING


def leaving(world: World, pool: Pool) -> dict[str, Leaving | None]:
    decided = plan(world, make_settings([pool]))
    return {one.node: one.leaving for one in decided.claims if _goes(one, world)}


# --- age ---


@pytest.mark.parametrize("flags", [BUSY, IDLE], ids=["busy", "idle"])
def test_a_vm_that_is_too_old_takes_no_further_job(flags: frozenset[str]) -> None:
    world = cluster((), [old()], make_settings([OLD]), {"cpu-1": flags})
    assert leaving(world, OLD) == {"cpu-1": Leaving.OLD}
    assert leaving(cluster((), [claim_of(offer=make_offer())], make_settings([OLD]), {"cpu-1": flags}), OLD) == {}


def test_vms_of_one_age_do_not_all_expire_together() -> None:
    ages = [timedelta(minutes=minutes) for minutes in range(90, 125, 2)]
    counts = []
    for age in ages:
        claims = [claim_of(f"cpu-{n}", launched_at=NOW - age, offer=make_offer()) for n in range(1, 9)]
        flags = {one.node: BUSY for one in claims}
        pool = replace(OLD, disrupt=1.0)
        counts.append(len(leaving(cluster((), claims, make_settings([pool]), flags), pool)))
    assert (counts[0], counts[-1]) == (0, 8)
    assert len(set(counts)) > 3


@pytest.mark.parametrize(("share", "going", "more"), [(0.1, 0, 1), (0.5, 0, 4), (0.5, 2, 2), (0.5, 4, 0), (0.1, 1, 0)])
def test_no_more_than_a_share_is_out_of_service_at_a_time(share: float, going: int, more: int) -> None:
    pool = replace(OLD, disrupt=share)
    out = [old(f"cpu-{n}", state=ClaimState.DRAINING, leaving=Leaving.SPARE) for n in range(1, going + 1)]
    claims = [*out, *(old(f"cpu-{n}") for n in range(going + 1, 9))]
    flags = {one.node: DRAINING if one in out else BUSY for one in claims}
    world = cluster((), claims, make_settings([pool]), flags)
    assert len(leaving(world, pool)) == more


def test_an_old_node_is_replaced_when_it_is_wanted_and_not_called_back() -> None:
    going = old(state=ClaimState.DRAINING, leaving=Leaving.OLD)
    world = cluster([job()], [going], make_settings([OLD]), {"cpu-1": CLOSED})
    decided = plan(world, make_settings([OLD]))
    assert bought(decided) == ["cpu-2"]
    assert state_of(decided, world) is not ClaimState.READY


def test_while_nothing_else_boots_what_serves_is_kept() -> None:
    breaker = Breaker("cesnet", "auth", "no", ago(minutes=1), ahead(minutes=9))
    world = cluster((), [old()], make_settings([OLD]), {"cpu-1": BUSY}, memory=Memory(breakers={"cesnet": breaker}))
    assert leaving(world, OLD) == {}


def test_a_node_that_waits_for_its_gang_is_not_taken_from_it() -> None:
    world = cluster((), [old(used_at=None, jobs=("7",), gang="7")], make_settings([OLD]), {"cpu-1": IDLE})
    assert leaving(world, OLD) == {}


# --- drift ---


def drifted(**more: Any) -> tuple[Settings, Pool]:
    pool = replace(make_pool(idle=timedelta(hours=9)), **more)
    return make_settings([pool]), pool


@pytest.mark.parametrize(
    ("pool", "claim", "goes"),
    [
        ({"offers": (make_offer(image="new"),)}, {}, True),
        ({"offers": (make_offer(flavor="other"),)}, {}, True),
        ({"recipes": {"cesnet": "b"}}, {"recipe": "a"}, True),
        ({"recipes": {"cesnet": "a"}}, {"recipe": "a"}, False),
        ({"recipes": {"cesnet": "b"}}, {"recipe": ""}, False),
        ({"offers": (make_offer(image="new"),), "drift": False}, {}, False),
        ({"offers": (make_offer(image="new"),)}, {"adopted": True}, False),
        ({}, {}, False),
    ],
    ids=["image", "offer gone", "boot", "same boot", "boot not known", "switched off", "adopted", "as it was"],
)
def test_an_idle_node_that_would_be_another_today_goes(pool: Any, claim: Any, goes: bool) -> None:
    settings, configured = drifted(**pool)
    held = claim_of(offer=make_offer(), idle_since=ago(minutes=1), **claim)
    for flags, expected in ((IDLE, goes), (BUSY, False)):
        world = cluster((), [held], settings, {"cpu-1": flags})
        assert bool(leaving(world, configured)) is expected
    wanted = cluster([job()], [held], settings, {"cpu-1": IDLE})
    assert leaving(wanted, configured) == {}


def test_a_warm_node_that_differs_is_replaced() -> None:
    settings, _ = drifted(offers=(make_offer(image="new"),), keep_warm=(Warm(1),))
    claim = claim_of(offer=make_offer(), idle_since=ago(minutes=1))
    decided = plan(cluster((), [claim], settings, {"cpu-1": IDLE}), settings)
    assert [one.node for one in decided.claims if one.state is ClaimState.DRAINING] == ["cpu-1"]
    after = cluster((), [replace(claim, state=ClaimState.STOPPING)], settings, {"cpu-1": CLOSED})
    assert bought(plan(after, settings)) == ["cpu-2"]


# --- consolidation ---


def half_used(*used: tuple[str, int, float | None, Any], jobs: tuple[Job, ...] = (), **more: Any) -> World:
    """A world of nodes: (name, CPUs taken, hours that its job goes on at most, further fields of its claim)."""
    claims, nodes, running = [], [], []
    for name, cpus, hours, fields in used:
        node, its_job = busy(name, cpus, hours)
        nodes.append(node if cpus else make_node(name, IDLE, capacity=CPU_SHAPE))
        running += [its_job] if cpus else []
        claims.append(claim_of(name, **{"idle_since": None if cpus else ago(minutes=1), **fields}))
    memory = Memory()
    return cluster((*running, *jobs), claims, make_settings([SPARE]), nodes=nodes, memory=memory, **more)


DEAR: dict[str, Any] = {"offer": CLOUD}


def test_a_dear_half_used_node_is_drained_when_a_cheaper_one_has_room_for_its_work() -> None:
    assert leaving(half_used(("cpu-1", 2, 0.2, DEAR), ("cpu-2", 4, 9, {})), SPARE) == {"cpu-1": Leaving.SPARE}


@pytest.mark.parametrize(
    "used",
    [
        (("cpu-1", 2, 0.2, {}), ("cpu-2", 4, 9, DEAR)),
        (("cpu-1", 2, 0.2, DEAR), ("cpu-2", 7, 9, {})),
        (("cpu-1", 5, 0.2, DEAR), ("cpu-2", 2, 9, {})),
        (("cpu-1", 2, 2.0, DEAR), ("cpu-2", 4, 9, {})),
        (("cpu-1", 2, None, DEAR), ("cpu-2", 4, 9, {})),
        (("cpu-1", 2, 0.2, {**DEAR, "since": ago(minutes=3)}), ("cpu-2", 4, 9, {})),
        (("cpu-1", 2, 0.2, DEAR), ("cpu-2", 4, 9, {"created_at": ago(minutes=3)})),
        (("cpu-1", 2, 0.2, {"offer": make_offer(price_per_hour=0.0)}), ("cpu-2", 4, 9, {})),
    ],
    ids=[
        "the other is dearer", "no room", "more than half", "goes on for long", "no limit", "called back lately",
        "the pool grew", "free",
    ],
)  # fmt: skip
def test_it_is_kept_where_that_does_not_pay(used: Any) -> None:
    assert leaving(half_used(*used), SPARE) == {}


def test_it_is_kept_while_jobs_wait() -> None:
    assert leaving(half_used(("cpu-1", 2, 0.2, DEAR), ("cpu-2", 4, 9, {}), jobs=(job(),)), SPARE) == {}


def test_two_nodes_never_stand_in_for_one_another() -> None:
    used: Any = [(f"cpu-{n}", 2, 0.2, {}) for n in range(1, 3)]
    pool = replace(SPARE, disrupt=1.0)
    assert len(leaving(half_used(*used), pool)) == 1
    three = [*used, ("cpu-3", 4, 0.2, DEAR), ("cpu-4", 4, 0.2, DEAR)]
    gone = leaving(half_used(*three), pool)
    assert {"cpu-3", "cpu-4"} <= set(gone)
    assert len(gone) == 2


def test_of_equals_the_emptiest_goes() -> None:
    assert set(leaving(half_used(("cpu-1", 3, 0.2, {}), ("cpu-2", 1, 0.2, {})), SPARE)) == {"cpu-2"}


def test_a_spare_node_is_called_back_although_jobs_run_there_when_demand_comes_back() -> None:
    node, its_job = busy("cpu-1", 2)
    going = claim_of(state=ClaimState.DRAINING, leaving=Leaving.SPARE, since=ago(minutes=2), **DEAR)
    node = replace(node, flags=frozenset({"MIXED", "CLOUD", "DRAIN"}), reason="clues:stopping")
    settings = make_settings([SPARE])
    world = cluster([its_job, job(5, cpus=4)], [going], settings, nodes=[node])
    decided = plan(world, settings)
    assert bought(decided) == []
    (back,) = [one for one in decided.claims if one.node == "cpu-1"]
    assert (back.state, back.leaving) == (ClaimState.READY, None)


# --- told ---


@pytest.mark.parametrize(
    ("pool", "claim", "told"),
    [
        ({}, {}, "Kept: idle for less than 10 min; it goes in 9 min."),
        ({"keep_warm": (Warm(1),)}, {}, "Kept warm: pool cpu wants 1."),
        ({"max_age": timedelta(hours=2)}, {}, "It takes no further job from 2026-03-02 14:"),
        (
            {"offers": (make_offer(image="new"),)},
            {},
            "It goes when it is idle: its image is clues-worker, now it would",
        ),
    ],
    ids=["idle", "warm", "age", "drift"],
)
def test_explain_tells_why_a_node_is_kept(pool: Any, claim: Any, told: str) -> None:
    settings = make_settings([make_pool(**pool)])
    held = claim_of(offer=make_offer(), idle_since=ago(minutes=1), **claim)
    world = cluster((), [held], settings, {"cpu-1": IDLE})
    assert told in explain(make_published(settings, world), "cpu-1", [])
