"""What is let go, what is kept, what is called back."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from clues.model import Boots, Claim, ClaimState, Memory, Operator, Pace, Seen, Settings, Warm, Window, Wish
from clues.planner.queue.room import find_room
from clues.planner.supply import let_go
from clues.planner.view import make_view
from tests.unit.builders import (
    BUSY,
    CLOSED,
    CPU_SHAPE,
    IDLE,
    NOW,
    ago,
    make_claim,
    make_node,
    make_offer,
    make_pool,
    make_settings,
)
from tests.unit.planner.deciding import bought, cluster, job, opened, plan, state_of

S = ClaimState
READY, DRAINING = S.READY, S.DRAINING


def idle_claim(node: str = "cpu-1", minutes: float = 11, **more: Any) -> Claim:
    return make_claim(
        node,
        idle_since=ago(minutes=minutes),
        opened_at=ago(hours=1),
        used_at=ago(hours=1),
        ready_at=ago(hours=1),
        **more,
    )


def leaving(claims: list[Claim], settings: Settings | None = None, **more: Any) -> list[str]:
    world = cluster((), claims, settings, {claim.node: IDLE for claim in claims}, **more)
    return [claim.node for claim in plan(world, settings).claims if claim.state is DRAINING]


def test_a_node_idle_for_longer_than_its_pool_allows_is_drained() -> None:
    assert leaving([idle_claim()]) == ["cpu-1"]


def test_a_node_idle_for_less_is_kept() -> None:
    assert leaving([idle_claim(minutes=9)]) == []


def test_idleness_begins_when_it_is_seen() -> None:
    world = cluster((), [make_claim(opened_at=ago(hours=2), used_at=ago(hours=2))], flags={"cpu-1": IDLE})
    (claim,) = plan(world).claims
    assert (claim.state, claim.idle_since) == (READY, NOW)


def test_a_busy_node_is_not_idle_any_more() -> None:
    world = cluster((), [idle_claim()], flags={"cpu-1": BUSY})
    (claim,) = plan(world).claims
    assert (claim.state, claim.idle_since) == (READY, None)


@pytest.mark.parametrize("flags", [{"IDLE", "CLOUD", "COMPLETING"}, {"MIXED", "CLOUD"}, {"ALLOCATED", "CLOUD"}])
def test_a_node_that_a_job_is_just_leaving_is_busy(flags: set[str]) -> None:
    assert state_of(plan(world := cluster((), [idle_claim()], flags={"cpu-1": flags})), world) is READY


def test_a_node_that_a_pending_job_would_use_is_kept() -> None:
    world = cluster([job()], [idle_claim(minutes=10.5)], flags={"cpu-1": IDLE})
    assert state_of(plan(world), world) is READY


def test_but_not_for_ever() -> None:
    """Slurm may hold the job for something that is not known here: nothing bills for ever."""
    world = cluster([job()], [idle_claim(minutes=60)], flags={"cpu-1": IDLE})
    assert state_of(plan(world), world) is DRAINING


def test_as_many_are_kept_warm_as_the_pool_wants() -> None:
    settings = make_settings([make_pool(keep_warm=(Warm(2),))])
    assert len(leaving([idle_claim(f"cpu-{n}") for n in range(1, 5)], settings)) == 2


def test_missing_warm_nodes_are_bought() -> None:
    settings = make_settings([make_pool(keep_warm=(Warm(2),))])
    assert len(bought(plan(cluster((), [idle_claim()], settings, {"cpu-1": IDLE}), settings))) == 1


def test_a_busy_node_is_not_warm() -> None:
    settings = make_settings([make_pool(keep_warm=(Warm(1),))])
    assert bought(plan(cluster((), [make_claim()], settings, {"cpu-1": BUSY}), settings)) == ["cpu-2"]


def test_a_node_that_is_down_is_not_kept_warm() -> None:
    settings = make_settings([make_pool(keep_warm=(Warm(1),))])
    dead = make_node("cpu-1", {"DOWN", "CLOUD", "NOT_RESPONDING"}, reason="Not responding")
    world = cluster((), [idle_claim(minutes=30)], settings, nodes=[dead])
    assert state_of(plan(world, settings), world) is DRAINING


def test_the_dearest_goes_first() -> None:
    cheap, dear = make_offer(price_per_hour=0.1), make_offer("aws", "c7i", price_per_hour=1.0)
    settings = make_settings([make_pool(offers=[cheap, dear])], pace=Pace(destroys_per_tick=1))
    claims = [idle_claim("cpu-1", 30, offer=cheap), idle_claim("cpu-2", 12, offer=dear)]
    assert leaving(claims, settings) == ["cpu-2"]


def test_no_more_leave_at_once_than_the_brake_allows() -> None:
    settings = make_settings([make_pool(count=8)], pace=Pace(destroys_per_tick=3))
    assert len(leaving([idle_claim(f"cpu-{n}") for n in range(1, 9)], settings)) == 3


def test_those_already_leaving_count_for_the_brake() -> None:
    settings = make_settings([make_pool(count=8)], pace=Pace(destroys_per_tick=2))
    gone = [make_claim(f"cpu-{n}", DRAINING, since=NOW) for n in (7, 8)]
    world = cluster((), [idle_claim(), *gone], settings, {"cpu-1": IDLE, "cpu-7": BUSY, "cpu-8": BUSY})
    assert state_of(plan(world, settings), world) is READY


def draining(**more: Any) -> Claim:
    return make_claim(state=DRAINING, **{"ready_at": ago(hours=1), "opened_at": ago(hours=1), "since": NOW, **more})


def test_a_draining_node_that_is_wanted_again_is_called_back_and_opened() -> None:
    world = cluster([job()], [draining()], flags={"cpu-1": CLOSED})
    decided = plan(world)
    assert bought(decided) == []
    assert state_of(decided, world) is READY
    assert opened(decided) == ["cpu-1"]


def test_what_an_operator_sent_away_is_not_called_back() -> None:
    world = cluster([job()], [draining(by_operator=True)], flags={"cpu-1": CLOSED})
    decided = plan(world)
    assert state_of(decided, world) is DRAINING
    assert bought(decided) == ["cpu-2"]


def test_what_an_admin_holds_is_not_called_back() -> None:
    held = make_node("cpu-1", CLOSED, reason="broken fan [root]")
    world = cluster([job()], [draining()], nodes=[held])
    assert state_of(plan(world), world) is DRAINING


def test_what_never_passed_its_checks_is_not_called_back() -> None:
    world = cluster([job()], [draining(ready_at=None, opened_at=None, adopted=True)], flags={"cpu-1": CLOSED})
    decided = plan(world)
    assert opened(decided) == []
    assert state_of(decided, world) is not READY


def test_while_paused_nothing_is_let_go() -> None:
    assert leaving([idle_claim()], operator=Operator(paused=True)) == []


def test_an_order_to_switch_on_buys_the_node_and_is_granted_when_it_serves() -> None:
    order = Operator(wishes={"cpu-3": Wish.ON})
    assert bought(plan(cluster(operator=order))) == ["cpu-3"]
    world = cluster((), [make_claim("cpu-3")], flags={"cpu-3": IDLE}, operator=order)
    assert plan(world).granted == ("cpu-3",)


@pytest.mark.parametrize("wish", [Wish.OFF, Wish.DRAIN, Wish.DISABLED])
@pytest.mark.parametrize("state", [S.PLANNED, S.BOOTING, S.JOINING, S.READY])
def test_an_order_to_end_ends_a_node_in_any_phase_without_opening_it(wish: Wish, state: ClaimState) -> None:
    claim = make_claim(state=state, launched_at=ago(minutes=1), since=ago(seconds=5))
    flags = IDLE if state is READY else CLOSED
    world = cluster((), [claim], flags={"cpu-1": flags}, operator=Operator(wishes={"cpu-1": wish}))
    decided = plan(world)
    assert state_of(decided, world) in {DRAINING, S.GONE}
    assert opened(decided) == []


@pytest.mark.parametrize(("wish", "granted"), [(Wish.OFF, True), (Wish.DRAIN, True), (Wish.DISABLED, False)])
def test_an_order_to_end_is_granted_once_no_vm_is_left(wish: Wish, granted: bool) -> None:
    assert bool(plan(cluster(operator=Operator(wishes={"cpu-1": wish}))).granted) is granted


def test_a_disabled_node_is_not_bought() -> None:
    assert bought(plan(cluster([job()], operator=Operator(wishes={"cpu-1": Wish.DISABLED})))) == ["cpu-2"]


def test_a_node_whose_pool_was_removed_is_drained() -> None:
    settings = make_settings([make_pool("other")], sites=None)
    world = cluster((), [make_claim()], settings, nodes=[make_node("cpu-1", BUSY)])
    assert state_of(plan(world, settings), world) is DRAINING


def test_short_jobs_that_no_look_saw_are_use_too() -> None:
    """Between two looks ten jobs may have come and gone; Slurm tells when the last one ended."""
    seen = make_node("cpu-1", IDLE, last_busy=ago(minutes=1))
    world = cluster((), [idle_claim(minutes=11)], nodes=[seen])
    assert state_of(plan(world), world) is READY


@pytest.mark.parametrize(
    ("ended", "seen_at", "since"),
    [
        pytest.param(3, 5, 3, id="it ended since the last look"),
        pytest.param(300, 5, 5, id="the clock was set back since: it was busy at the last look"),
        pytest.param(3, None, 0, id="there was no look before"),
        pytest.param(None, 5, 0, id="Slurm does not tell"),
    ],
)
def test_idle_time_runs_from_the_end_of_the_last_job(ended: int | None, seen_at: int | None, since: int) -> None:
    seen = make_node("cpu-1", IDLE, last_busy=None if ended is None else ago(minutes=ended))
    busy = replace(idle_claim(minutes=60), idle_since=None)
    world = replace(cluster((), [busy], nodes=[seen]), seen=Seen(at=None if seen_at is None else ago(minutes=seen_at)))
    (after,) = plan(world).claims
    assert after.idle_since == ago(minutes=since)


@pytest.mark.parametrize("last_busy", [None, ago(hours=3)])
def test_idle_time_of_a_node_that_is_seen_open_for_the_first_time_runs_from_its_opening(
    last_busy: datetime | None,
) -> None:
    """What Slurm tells of the node's last use is then of the VM before."""
    seen = make_node("cpu-1", IDLE, last_busy=last_busy)
    fresh = replace(idle_claim(), idle_since=None, opened_at=None, used_at=None, since=ago(minutes=4))
    world = replace(cluster((), [fresh], nodes=[seen]), seen=Seen(at=ago(minutes=5)))
    (after,) = plan(world).claims
    assert (after.opened_at, after.idle_since) == (NOW, ago(minutes=4))


def test_a_last_use_that_is_yet_to_come_says_nothing() -> None:
    """The clock was set back since: else the node would count as used, and be paid for, until it has caught up."""
    seen = make_node("cpu-1", IDLE, last_busy=ago(minutes=-60))
    world = cluster((), [idle_claim(minutes=11)], nodes=[seen])
    assert state_of(plan(world), world) is DRAINING


def test_the_idle_time_is_the_pools_own() -> None:
    short = replace(make_pool(), idle=timedelta(minutes=2))
    assert leaving([idle_claim(minutes=3)], make_settings([short])) == ["cpu-1"]


def test_a_node_that_is_let_go_although_wanted_does_not_come_back_at_once() -> None:
    """Else it would go to and fro at every tick, and its bill would never end."""
    claim, states = idle_claim(minutes=60), []
    for flags in (IDLE, CLOSED, CLOSED, CLOSED):
        world = cluster([job()], [claim], flags={"cpu-1": flags})
        moved = [one for one in plan(world).claims if one.key == claim.key]
        claim = replace(moved[0] if moved else claim, since=ago(seconds=1))
        states.append(claim.state)
    assert READY not in states


def test_neither_the_room_nor_the_recall_knows_what_never_passed_its_checks() -> None:
    """Two guards, each on its own: demand must not count on it, and supply must not call it back."""
    unchecked = draining(ready_at=None, opened_at=None, adopted=True)
    world = cluster([job()], [unchecked], flags={"cpu-1": CLOSED})
    view = make_view(world, make_settings(), NOW)
    assert list(find_room(view, world.claims, {})) == []
    assert let_go(view, world.claims, {"cpu-1"}).changed == {}
    checked = cluster([job()], [draining()], flags={"cpu-1": CLOSED})
    seen = make_view(checked, make_settings(), NOW)
    assert len(list(find_room(seen, checked.claims, {}))) == 1
    assert [claim.state for claim in let_go(seen, checked.claims, {"cpu-1"}).changed.values()] == [READY]


def test_neither_of_them_knows_what_slurm_took_out_for_a_fault() -> None:
    """Called back it would be taken out again at the next look, and so on, while the job waits for it."""
    for reason, known in (("Kill task failed", False), ("clues:stopping", True)):
        node = make_node("cpu-1", CLOSED, reason=reason, capacity=CPU_SHAPE, partitions=frozenset({"cpu"}))
        world = cluster([job()], [draining()], nodes=[node])
        view = make_view(world, make_settings(), NOW)
        assert bool(list(find_room(view, world.claims, {}))) is known
        assert bool(let_go(view, world.claims, {"cpu-1"}).changed) is known


def warm_from(hour: int, minute: int, nodes: int = 1) -> Settings:
    """NOW is a Monday, 14:00 UTC."""
    window = Window(frozenset({0}), hour * 60 + minute, 23 * 60, ZoneInfo("UTC"))
    return make_settings([make_pool(keep_warm=(Warm(nodes, (window,)),))])


@pytest.mark.parametrize(
    ("hour", "minute", "count"), [(13, 0, 1), (14, 4, 1), (14, 20, 0)], ids=["open", "opens soon", "opens later"]
)
def test_warm_nodes_are_there_when_their_window_opens(hour: int, minute: int, count: int) -> None:
    settings = warm_from(hour, minute)
    memory = Memory(boots={"cesnet/hpc.8core/on-demand": Boots((240.0,) * 20)})
    world = cluster((), (), settings, memory=memory)
    assert len(bought(plan(world, settings))) == count


def test_warm_nodes_are_let_go_when_their_window_has_closed() -> None:
    closed = make_settings([make_pool(keep_warm=(Warm(1, (Window(frozenset({0}), 0, 14 * 60, ZoneInfo("UTC")),)),))])
    assert leaving([idle_claim()], closed) == ["cpu-1"]
    assert leaving([idle_claim()], warm_from(13, 0)) == []


def test_the_largest_number_of_the_windows_that_hold_is_kept() -> None:
    open_now = Window(frozenset({0}), 8 * 60, 18 * 60, ZoneInfo("UTC"))
    later = Window(frozenset({1}), 8 * 60, 18 * 60, ZoneInfo("UTC"))
    settings = make_settings([make_pool(keep_warm=(Warm(1), Warm(2, (open_now,)), Warm(4, (later,))))])
    assert len(leaving([idle_claim(f"cpu-{n}") for n in range(1, 5)], settings)) == 2
