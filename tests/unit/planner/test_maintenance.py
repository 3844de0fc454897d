"""A site is empty when its maintenance begins, nobody's job is killed for it, and afterwards all is as before."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from clues.errors import InvalidRequest, NotFound
from clues.model import Claim, ClaimState, Facts, Leaving, Maintenance, Operator, Plan, Settings, Verdict, World
from clues.planner.explain import explain
from clues.planner.maintenance.announcing import announce, cancel, upcoming
from clues.planner.queue.room import find_room
from clues.planner.view import make_view
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
    make_offer,
    make_pool,
    make_published,
    make_settings,
)
from tests.unit.planner.deciding import bought_at, cluster, drained, job, opened, plan, state_of, terminated

S = ClaimState
HERE, THERE = make_offer(), make_offer("aws", "c7i", price_per_hour=1.0)
BOTH = make_settings([make_pool(offers=[HERE, THERE])])
HOUR = timedelta(hours=1)


def window(begin: datetime, end: datetime, lead: timedelta | None = None) -> dict[str, Any]:
    return {"operator": Operator(maintenance=(Maintenance(1, "cesnet", begin, end, lead, "root"),))}


TODAY = window(ahead(hours=5), ahead(hours=9))
NOW_ON = window(ago(hours=1), ahead(hours=3))


def there(**more: Any) -> Claim:
    return make_claim(opened_at=ago(hours=2), ready_at=ago(hours=2), used_at=ago(hours=2), **more)


def outcome(world: World, settings: Settings = BOTH) -> tuple[Plan, ClaimState | None]:
    decided = plan(world, settings)
    return decided, state_of(decided, world)


# --- buying ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("announced", "limit", "site"),
    [
        ({}, 10 * HOUR, "cesnet"),
        (TODAY, 4 * HOUR, "cesnet"),
        (TODAY, 6 * HOUR, "aws"),
        (TODAY, None, "aws"),
        (NOW_ON, 4 * HOUR, "aws"),
        (window(ahead(minutes=50), ahead(hours=2)), timedelta(minutes=5), "aws"),
        (window(ahead(hours=5), ahead(hours=9), timedelta(days=1)), HOUR, "aws"),
        (window(ahead(hours=5), ahead(hours=9), HOUR), 10 * HOUR, "aws"),
        (window(ago(hours=3), ago(hours=1)), 10 * HOUR, "cesnet"),
    ],
    ids="none ends-in-time too-long no-limit on too-near ahead-by-order late-by-order over".split(),
)
def test_a_job_is_bought_for_where_it_can_end_in_time(
    announced: dict[str, Any], limit: timedelta | None, site: str
) -> None:
    assert bought_at(plan(cluster([job(cpus=8, time_limit=limit)], settings=BOTH, **announced), BOTH)) == [site]


def test_a_job_that_can_go_nowhere_else_is_told_why_and_when() -> None:
    alone = make_settings([make_pool(offers=[HERE])])
    world = cluster([job(cpus=8, time_limit=6 * HOUR)], settings=alone, **TODAY)
    decided = plan(world, alone)
    outlook, forecast = decided.outlooks["101"], decided.forecasts["101"]
    assert (outlook.verdict, bought_at(decided)) == (Verdict.BLOCKED, [])
    assert "maintenance from 2026-03-02 19:00 to 23:00 UTC" in outlook.sites["cesnet"]
    assert forecast.early is not None
    assert forecast.early >= ahead(hours=9)
    assert "the end of the maintenance of cesnet" in forecast.waits_for


# --- nodes that are there ----------------------------------------------------------------------------------------


def test_a_node_stays_open_while_every_pending_job_could_end_in_time() -> None:
    world = cluster([job(cpus=8, time_limit=4 * HOUR)], [there()], BOTH, {"cpu-1": BUSY}, **TODAY)
    assert outcome(world)[1] is S.READY


@pytest.mark.parametrize("limit", [6 * HOUR, None])
def test_it_takes_no_new_jobs_once_one_could_start_there_and_not_end(limit: timedelta | None) -> None:
    world = cluster([job(cpus=8, time_limit=limit)], [there()], BOTH, {"cpu-1": BUSY}, **TODAY)
    decided, state = outcome(world)
    assert state is S.DRAINING
    assert drained(decided) == {"cpu-1": "clues:stopping"}
    assert next(one for one in decided.claims if one.node == "cpu-1").leaving is Leaving.MAINTENANCE


@pytest.mark.parametrize(
    "waiting",
    [
        job(partitions=("gpu",)),
        job(reason="Dependency"),
        job(reason="JobHeldUser"),
        job(dependency="7"),
        job(cpus=CPU_SHAPE.cpus + 1),
        job(constraint="aws"),
        job(constraint="spot|gpu"),
    ],
    ids="partition dependency held dependent large another-site another-market".split(),
)
def test_jobs_that_cannot_start_there_close_nothing(waiting: Any) -> None:
    assert outcome(cluster([waiting], [there()], BOTH, {"cpu-1": BUSY}, **TODAY))[1] is S.READY


@pytest.mark.parametrize(
    "waiting", [job(cpus=CPU_SHAPE.cpus), job(constraint="cesnet"), job(constraint="aws|cpu"), job(constraint="a*2")]
)
def test_jobs_that_could_start_there_if_it_were_idle_close_it(waiting: Any) -> None:
    """A constraint that is not understood may be fulfilled."""
    assert outcome(cluster([waiting], [there()], BOTH, {"cpu-1": BUSY}, **TODAY))[1] is S.DRAINING


def test_an_hour_ahead_it_is_closed_whatever_waits() -> None:
    for minutes, state in ((59, S.DRAINING), (61, S.READY)):
        announced = window(ahead(minutes=minutes), ahead(hours=3))
        assert outcome(cluster([], [there()], BOTH, {"cpu-1": BUSY}, **announced))[1] is state


def test_running_jobs_go_on_into_it_and_the_vm_is_ended_when_idle() -> None:
    leaving = there(state=S.DRAINING, leaving=Leaving.MAINTENANCE)
    world = cluster([], [leaving], BOTH, {"cpu-1": DRAINING}, **NOW_ON)
    decided, state = outcome(world)
    assert (state, terminated(decided)) == (S.DRAINING, [])
    idle = cluster([], [leaving], BOTH, {"cpu-1": CLOSED}, **NOW_ON)
    assert outcome(idle)[1] is S.STOPPING


def test_a_vm_that_comes_too_late_is_not_opened() -> None:
    """Not even in the tick in which it is ready, before it is told to leave."""
    facts = Facts(CPU_SHAPE.cpus, CPU_SHAPE.memory_mib)
    fresh = make_claim(state=S.JOINING, facts=facts, enrolled_at=ago(minutes=1))
    for announced, names in (({}, ["cpu-1"]), (NOW_ON, [])):
        decided = plan(cluster([], [fresh], BOTH, {"cpu-1": CLOSED}, **announced), BOTH)
        assert ([one.state for one in decided.claims], opened(decided)) == ([S.READY], names)


def test_nodes_of_other_sites_stay_open() -> None:
    elsewhere = there(offer=THERE)
    assert outcome(cluster([], [elsewhere], BOTH, {"cpu-1": BUSY}, **NOW_ON))[1] is S.READY


def test_a_closed_node_is_no_room_for_anybody() -> None:
    world = cluster([job(cpus=1, time_limit=HOUR)], [there()], BOTH, {"cpu-1": IDLE}, **NOW_ON)
    view = make_view(world, BOTH, NOW)
    assert list(find_room(view, world.claims, {})) == []
    assert bought_at(plan(world, BOTH)) == ["aws"]


def test_a_wanted_node_is_not_called_back_while_it_is_closed_and_is_when_it_is_over() -> None:
    leaving = there(state=S.DRAINING, leaving=Leaving.MAINTENANCE, since=ago(minutes=2))
    over = window(ago(hours=3), ago(hours=1))
    for announced, state in ((NOW_ON, S.DRAINING), (over, S.READY), ({}, S.READY)):
        assert outcome(cluster([], [leaving], BOTH, {"cpu-1": DRAINING}, **announced))[1] is state


def test_a_pause_holds_it_up_too() -> None:
    paused = Operator(paused=True, maintenance=NOW_ON["operator"].maintenance)
    assert outcome(cluster([], [there()], BOTH, {"cpu-1": BUSY}, operator=paused))[1] is S.READY


def test_the_site_tells_it() -> None:
    for announced, words in ((TODAY, "its nodes take new jobs until then"), (NOW_ON, "take no new jobs")):
        text = explain(make_published(BOTH, cluster([], [], BOTH, **announced)), "cesnet", [])
        assert "Maintenance 1, from 2026-03-02" in text
        assert words in text


# --- announcing --------------------------------------------------------------------------------------------------


def announced(begin: float, end: float, before: Operator | None = None, site: str = "cesnet") -> Operator:
    return announce(before or Operator(), site, ahead(hours=begin), ahead(hours=end), None, "root", NOW)


@pytest.mark.parametrize(
    ("begin", "end", "told"),
    [
        (2, 1, "before it begins"),
        (2, 2, "before it begins"),
        (-2, -1, "over already"),
        (9700, 9701, "clues.yaml"),
        (1, 24 * 91, "clues.yaml"),
        (1.5, 2.5, "overlaps maintenance from 2026-03-02 15:00 to 16:00 UTC of cesnet: `clues maintenance cancel 1`"),
        (0, 9, "overlaps"),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(begin: float, end: float, told: str) -> None:
    with pytest.raises(InvalidRequest, match=told):
        announced(begin, end, announced(1, 2))


def test_no_number_is_given_twice() -> None:
    standing, _ = cancel(announced(1, 2), 1, NOW)
    again = announced(1, 2, standing)
    assert [one.number for one in again.maintenance] == [2]
    with pytest.raises(NotFound):
        cancel(again, 1, NOW)


def test_what_only_touches_or_is_elsewhere_does_not_overlap() -> None:
    standing = announced(1, 2, announced(2, 3, announced(1, 2), site="cesnet"), site="aws")
    assert [(one.number, one.site) for one in standing.maintenance] == [(1, "cesnet"), (2, "cesnet"), (3, "aws")]
    assert {site: one.number for site, one in upcoming(standing, NOW).items()} == {"cesnet": 1, "aws": 3}


def test_one_that_is_over_is_forgotten_with_the_next() -> None:
    old = window(ago(hours=3), ago(hours=1))["operator"]
    assert [one.number for one in announced(1, 2, old).maintenance] == [2]
    with pytest.raises(NotFound, match="clues maintenance list"):
        cancel(old, 1, NOW)


def test_one_is_cancelled_by_its_number_and_the_others_stand() -> None:
    left, gone = cancel(announced(3, 4, announced(1, 2)), 1, NOW)
    assert (gone.number, [one.number for one in left.maintenance]) == (1, [2])
