"""A site's nodes are in a reservation of Slurm's before its maintenance, and then stay open until it begins."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from clues.model import Claim, ClaimState, Facts, Maintenance, Observed, Operator, Plan, Reservation, Reserve, World
from clues.planner.explain import explain
from tests.unit.builders import (
    BUSY,
    CLOSED,
    CPU_SHAPE,
    IDLE,
    OFF,
    ago,
    ahead,
    make_claim,
    make_node,
    make_offer,
    make_pool,
    make_published,
    make_settings,
)
from tests.unit.planner.deciding import bought_at, cluster, job, of, opened, plan, state_of

BOTH = make_settings([make_pool(offers=[make_offer(), make_offer("aws", "c7i", price_per_hour=1.0)])])
HOUR = timedelta(hours=1)
UUID = "0123456789abcdef"
WINDOW = Maintenance(7, "cesnet", ahead(hours=5), ahead(hours=9))
ENDLESS = job(cpus=8, time_limit=None)


def there(node: str = "cpu-1", **more: Any) -> Claim:
    return make_claim(node, **{"opened_at": ago(hours=2), "ready_at": ago(hours=2), "used_at": ago(hours=2), **more})


def kept(*nodes: str, number: int = 7, begin: datetime = WINDOW.begin, end: datetime = WINDOW.end) -> Reservation:
    return Reservation(f"clues-01234567-{number}", frozenset(nodes), begin, end)


def world(*seen: Reservation, window: Maintenance | None = WINDOW, **more: Any) -> World:
    operator = Operator(maintenance=(window,) if window is not None else ())
    told = {"claims": [there()], "flags": {"cpu-1": BUSY}, "operator": operator, **more}
    return cluster(settings=BOTH, reservations=seen, cluster=UUID, **told)


def asked(decided: Plan) -> list[tuple[str, tuple[str, ...]]]:
    return [(one.name, one.nodes) for one in of(decided, Reserve)]


# --- what is asked of Slurm --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "orders"),
    [
        ((), [("clues-01234567-7", ("cpu-1",))]),
        ((kept("cpu-1"),), []),
        ((kept("cpu-1", "cpu-2"),), [("clues-01234567-7", ("cpu-1",))]),
        ((kept("cpu-2"),), [("clues-01234567-7", ("cpu-1",))]),
        ((kept("cpu-1"), kept("cpu-1", number=6)), [("clues-01234567-6", ())]),
        ((kept("cpu-1"), Reservation("lecture", frozenset({"cpu-1"}), ahead(hours=1), ahead(hours=2))), []),
        ((kept("cpu-1"), Reservation("clues-76543210-6", frozenset({"cpu-1"}), ahead(hours=1), ahead(hours=2))), []),
    ],
    ids="none there more another forgotten somebodys another-clusters".split(),
)
def test_the_reservation_holds_the_nodes_that_are_at_the_site(
    seen: tuple[Reservation, ...], orders: list[tuple[str, tuple[str, ...]]]
) -> None:
    assert asked(plan(world(*seen), BOTH)) == orders


def test_a_node_is_in_it_from_its_launch_until_its_vm_is_gone() -> None:
    claims = [
        there("cpu-1", state=ClaimState.LAUNCHING, opened_at=None, ready_at=None, used_at=None),
        there("cpu-2", state=ClaimState.STOPPING),
        there("cpu-3", offer=make_offer("aws", "c7i")),
    ]
    decided = plan(world(claims=claims, flags={}), BOTH)
    assert asked(decided) == [("clues-01234567-7", ("cpu-1", "cpu-2"))]
    assert (of(decided, Reserve)[0].begin, of(decided, Reserve)[0].end) == (WINDOW.begin, WINDOW.end)


def test_an_empty_one_is_deleted_and_none_is_made() -> None:
    assert asked(plan(world(kept("cpu-1"), claims=[], flags={}), BOTH)) == [("clues-01234567-7", ())]
    assert asked(plan(world(claims=[], flags={}), BOTH)) == []


def test_one_that_is_cancelled_is_deleted() -> None:
    assert asked(plan(world(kept("cpu-1"), window=None), BOTH)) == [("clues-01234567-7", ())]


@pytest.mark.parametrize(
    ("flags", "orders"), [(BUSY, []), (CLOSED, [("clues-01234567-7", ())]), (OFF, [("clues-01234567-7", ())])]
)
def test_when_it_begins_it_stays_until_its_nodes_are_closed(flags: Any, orders: Any) -> None:
    begun = Maintenance(7, "cesnet", ago(minutes=5), ahead(hours=3))
    leaving = there(state=ClaimState.DRAINING)
    seen = kept("cpu-1", begin=begun.begin, end=begun.end)
    assert asked(plan(world(seen, window=begun, claims=[leaving], flags={"cpu-1": flags}), BOTH)) == orders
    assert asked(plan(world(window=begun, claims=[leaving], flags={"cpu-1": flags}), BOTH)) == []


def test_nothing_is_asked_while_slurm_cannot_be_seen() -> None:
    blind = replace(world(), lrms=Observed(None, None, "no answer"))
    assert asked(plan(blind, BOTH)) == []


def test_a_pause_spares_jobs_as_well_and_ends_nothing_for_it() -> None:
    """No node is closed while nothing is to be stopped: without the reservation a long job would start there."""
    paused = Operator(paused=True, maintenance=(WINDOW,))
    seen = world(operator=paused)
    decided = plan(seen, BOTH)
    assert asked(decided) == [("clues-01234567-7", ("cpu-1",))]
    assert state_of(decided, seen, "cpu-1") is ClaimState.READY
    begun = Maintenance(7, "cesnet", ago(minutes=5), ahead(hours=3))
    there_is_one = kept("cpu-1", begin=begun.begin, end=begun.end)
    on = world(there_is_one, operator=Operator(paused=True, maintenance=(begun,)), flags={"cpu-1": IDLE})
    assert asked(plan(on, BOTH)) == [], "it stays for as long as its nodes are open"
    assert asked(plan(world(kept("cpu-1"), operator=Operator(paused=True)), BOTH)) == [("clues-01234567-7", ())]


def test_it_is_asked_for_before_a_node_is_opened() -> None:
    facts = Facts(CPU_SHAPE.cpus, CPU_SHAPE.memory_mib)
    fresh = make_claim(state=ClaimState.JOINING, facts=facts, enrolled_at=ago(minutes=1))
    decided = plan(world(claims=[fresh], flags={"cpu-1": CLOSED}), BOTH)
    assert opened(decided) == ["cpu-1"]
    kinds = [type(action).__name__ for action in decided.actions]
    assert kinds.index("Reserve") < kinds.index("Open")


# --- what follows from one that is seen ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        ((), ClaimState.DRAINING),
        ((kept("cpu-1"),), ClaimState.READY),
        ((kept("cpu-1", begin=ahead(hours=6)),), ClaimState.DRAINING),
        ((kept("cpu-1", end=ahead(hours=8)),), ClaimState.DRAINING),
        ((kept("cpu-1", number=6),), ClaimState.DRAINING),
    ],
    ids="none seen too-late too-short another".split(),
)
def test_a_node_in_it_stays_open_although_an_endless_job_waits(seen: Any, state: ClaimState) -> None:
    one = world(*seen, jobs=[ENDLESS])
    assert state_of(plan(one, BOTH), one) is state


def test_it_stays_open_until_it_begins_and_no_longer() -> None:
    for begin, state in ((ahead(minutes=10), ClaimState.READY), (ago(minutes=1), ClaimState.DRAINING)):
        window = Maintenance(7, "cesnet", begin, ahead(hours=9))
        one = world(kept("cpu-1", begin=begin), window=window)
        assert state_of(plan(one, BOTH), one) is state


def test_a_site_that_was_ordered_to_be_closed_earlier_is() -> None:
    window = replace(WINDOW, ahead=timedelta(hours=6))
    one = world(kept("cpu-1"), window=window)
    assert state_of(plan(one, BOTH), one) is ClaimState.DRAINING


def test_the_site_tells_it() -> None:
    text = explain(make_published(BOTH, world(kept("cpu-1"))), "cesnet", [])
    assert "until then Slurm starts only jobs there that end in time" in text


def full(*more: Any) -> list[Any]:
    """Return a job that takes all of cpu-1, and others."""
    busy = job(90, cpus=8, state="RUNNING", reason="", time_limit=HOUR, started=ago(minutes=5))
    return [replace(busy, nodes=("cpu-1",)), *more]


def test_short_jobs_are_bought_for_there_although_an_endless_one_waits() -> None:
    jobs = full(replace(ENDLESS, id="100"), job(101, cpus=8, time_limit=HOUR))
    nodes = [make_node("cpu-1", BUSY, capacity=CPU_SHAPE, used=CPU_SHAPE, partitions=frozenset({"cpu"}))]
    assert bought_at(plan(world(jobs=jobs, nodes=nodes), BOTH)) == ["aws", "aws"]
    assert sorted(bought_at(plan(world(kept("cpu-1"), jobs=jobs, nodes=nodes), BOTH))) == ["aws", "cesnet"]


def test_within_the_last_hour_nothing_is_bought_there() -> None:
    near = Maintenance(7, "cesnet", ahead(minutes=50), ahead(hours=2))
    nodes = [make_node("cpu-1", BUSY, capacity=CPU_SHAPE, used=CPU_SHAPE, partitions=frozenset({"cpu"}))]
    jobs = full(job(101, cpus=8, time_limit=timedelta(minutes=5)))
    one = world(kept("cpu-1", begin=near.begin, end=near.end), window=near, jobs=jobs, nodes=nodes)
    assert bought_at(plan(one, BOTH)) == ["aws"]
