"""Jobs that a maintenance will find running are told of an hour ahead and when it begins, once each."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from clues.model import Claim, ClaimState, Job, Maintenance, Memory, Note, Observed, Operator, World
from clues.planner.maintenance.overstay import jobs_past
from tests.unit.builders import BUSY, ago, ahead, make_claim, make_job, make_offer, make_pool, make_settings
from tests.unit.planner.deciding import cluster, plan

BOTH = make_settings([make_pool(offers=[make_offer(), make_offer("aws", "c7i", price_per_hour=1.0)])])
HOUR = timedelta(hours=1)
SOON = Maintenance(7, "cesnet", ahead(minutes=50), ahead(hours=4))


def runs(limit: timedelta | None = 5 * HOUR, *, job: str = "41", node: str = "cpu-1", **more: Any) -> Job:
    return make_job(
        job,
        state="RUNNING",
        reason="",
        nodes=(node,),
        time_limit=limit,
        started=more.pop("started", ago(hours=1)),
        **more,
    )


def there(node: str = "cpu-1", **more: Any) -> Claim:
    return make_claim(node, opened_at=ago(hours=2), ready_at=ago(hours=2), used_at=ago(hours=2), **more)


def world(*jobs: Job, window: Maintenance = SOON, memory: Memory | None = None) -> World:
    operator = Operator(maintenance=(window,))
    return cluster(jobs, [there()], BOTH, {"cpu-1": BUSY}, operator=operator, memory=memory or Memory())


def told(one: World) -> list[Note]:
    return [note for note in plan(one, BOTH).notes if note.kind == "alarm"]


@pytest.mark.parametrize(
    ("job", "stays"),
    [
        (runs(None), True),
        (runs(5 * HOUR), True),
        (runs(timedelta(minutes=109)), False),
        (runs(timedelta(minutes=111)), True),
        (runs(started=None), True),
        (runs(node="cpu-2"), False),
        (make_job("41"), False),
    ],
    ids="no-limit long ends-just-in-time just-too-long unknown-start elsewhere pending".split(),
)
def test_a_job_stays_past_the_beginning_if_its_limit_lets_it(job: Job, stays: bool) -> None:
    assert bool(jobs_past(SOON, [there()], [job])) is stays


@pytest.mark.parametrize("state", [ClaimState.GONE, ClaimState.STOPPING])
def test_a_vm_that_has_ended_holds_no_job(state: ClaimState) -> None:
    claims = [there(state=state), there("cpu-2", offer=make_offer("aws", "c7i"))]
    assert bool(jobs_past(SOON, claims, [runs()])) is (state is ClaimState.STOPPING)


@pytest.mark.parametrize(
    ("begin", "words"),
    [
        (ahead(minutes=61), ""),
        (ahead(minutes=50), "begins in 50 min, and jobs may still run there by then: 41 (alice); they are not killed"),
        (ago(minutes=1), "has begun, and jobs still run there: 41 (alice); they are not killed"),
    ],
)
def test_it_is_told_when_it_is_near_and_when_it_has_begun(begin: datetime, words: str) -> None:
    notes = told(world(runs(), window=Maintenance(7, "cesnet", begin, ahead(hours=4))))
    assert [(one.subject, one.about) for one in notes] == ([("cesnet", ("job 41",))] if words else [])
    assert all(one.text.endswith(words) for one in notes)


def test_nothing_is_told_while_nobody_would_be_found() -> None:
    assert not told(world(runs(HOUR)))


def test_each_is_told_once_and_again_when_it_begins() -> None:
    first = plan(world(runs()), BOTH)
    assert first.memory.overstays == {"7": "soon"}
    assert not told(world(runs(), memory=first.memory))
    begun = world(runs(), window=Maintenance(7, "cesnet", ago(minutes=1), ahead(hours=4)), memory=first.memory)
    assert len(told(begun)) == 1
    assert not told(world(runs(), window=begun.operator.maintenance[0], memory=plan(begun, BOTH).memory))


def test_what_is_over_is_forgotten() -> None:
    over = world(
        runs(), window=Maintenance(7, "cesnet", ago(hours=3), ago(hours=1)), memory=Memory(overstays={"7": "on"})
    )
    assert plan(over, BOTH).memory.overstays == {}


def test_many_are_counted() -> None:
    jobs = [runs(job=str(number), node="cpu-1") for number in range(41, 53)]
    (note,) = told(world(*jobs))
    assert "48 (alice) and 4 more" in note.text
    assert len(note.about) == 12


def test_nobody_reads_of_others_jobs_among_what_is_about_their_own() -> None:
    (note,) = told(world(runs(), runs(job="42", user="bob")))
    assert "41 (alice), 42 (bob)" in note.text
    assert note.about == ()


def test_nothing_is_told_or_forgotten_while_slurm_cannot_be_seen() -> None:
    memory = Memory(overstays={"7": "soon"})
    blind = replace(world(runs(), memory=memory), lrms=Observed(None, None, "no answer"))
    decided = plan(blind, BOTH)
    assert decided.memory.overstays == {"7": "soon"}
    assert not [note for note in decided.notes if note.kind == "alarm"]
