"""The forecasts' own error: every start is held against what was first told of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from clues.ledger import Commit, open_ledger
from clues.model import Accuracy, ClusterSnapshot, Forecast, Memory, Seen
from clues.planner.forecasts.accuracy import RUNS_KEPT, learn_from_queue
from tests.unit.builders import NOW, ago, ahead, make_job, make_snapshot

TOLD = Forecast(ahead(minutes=4), ahead(minutes=5), ahead(minutes=6), "nodes")
LATER = Forecast(ahead(minutes=5), ahead(minutes=6), ahead(minutes=7), "nodes")


def look(*jobs: Any, minutes: float = 0.0) -> ClusterSnapshot:
    return make_snapshot(jobs=jobs, taken_at=ahead(minutes=minutes))


def started(name: str, minutes: float, **more: Any) -> Any:
    return make_job(name, "RUNNING", started=ahead(minutes=minutes), **more)


def test_a_start_is_held_against_the_first_forecast_that_said_by_when() -> None:
    memory, seen = learn_from_queue(Memory(), Seen(), look(make_job("1")), {"1": Forecast(NOW)})
    memory, seen = learn_from_queue(memory, seen, look(make_job("1"), minutes=1), {"1": TOLD})
    memory, seen = learn_from_queue(memory, seen, look(make_job("1"), minutes=2), {"1": LATER})
    memory, seen = learn_from_queue(memory, seen, look(started("1", 5.5), minutes=6), {})
    assert memory.accuracy == Accuracy(1, 1, 0, 30.0, 30.0)
    assert memory.accuracy.share_inside == 1.0
    again, _ = learn_from_queue(memory, seen, look(started("1", 5.5), minutes=7), {})
    assert again.accuracy == memory.accuracy


@pytest.mark.parametrize(
    ("minutes", "inside", "bias"),
    [
        pytest.param(4, 1, -60.0, id="at its early end"),
        pytest.param(3, 0, -120.0, id="too early"),
        pytest.param(8, 0, 180.0, id="too late"),
    ],
)
def test_how_far_off_it_was_is_summed(minutes: float, inside: int, bias: float) -> None:
    seen = Seen(NOW, {"1": TOLD})
    memory, _ = learn_from_queue(Memory(), seen, look(started("1", minutes), minutes=9), {})
    assert memory.accuracy == Accuracy(1, inside, 0, bias, abs(bias))
    assert memory.accuracy.mean_bias == timedelta(seconds=bias)


def test_a_job_that_vanishes_without_having_started_is_not_counted() -> None:
    memory, seen = learn_from_queue(Memory(), Seen(NOW, {"1": TOLD}), look(minutes=9), {})
    assert memory == Memory()
    assert seen.promised == {}


def test_a_start_that_nothing_was_told_of_is_counted_apart() -> None:
    memory, _ = learn_from_queue(Memory(), Seen(NOW, {"1": None}), look(started("1", 1), minutes=2), {})
    assert memory.accuracy == Accuracy(untold=1)
    assert memory.accuracy.mean_error is None


def test_of_an_array_each_next_task_is_held_against_its_own_forecast() -> None:
    seen = Seen(NOW, {"7": TOLD})
    first = started("7_1", 5, array_id="7")
    memory, seen = learn_from_queue(Memory(), seen, look(first, make_job("7"), minutes=5.2), {"7": LATER})
    assert (memory.accuracy.told, seen.promised) == (1, {"7": LATER})
    memory, seen = learn_from_queue(memory, seen, look(first, make_job("7"), minutes=5.4), {"7": LATER})
    assert memory.accuracy.told == 1, "a task that has been running is no news"


def test_without_a_look_nothing_is_learnt_and_nothing_forgotten() -> None:
    seen = Seen(NOW, {"1": TOLD})
    assert learn_from_queue(Memory(), seen, None, {}) == (Memory(), seen)
    assert learn_from_queue(Memory(), seen, look(started("1", 5)), {}) == (Memory(), seen), "the same look again"


def test_what_a_job_used_of_its_limit_is_learnt_when_it_has_gone() -> None:
    hour = timedelta(hours=1)
    runs = make_job("1", "RUNNING", started=ago(minutes=30), time_limit=hour)
    memory, seen = learn_from_queue(Memory(), Seen(), look(runs), {})
    assert memory == Memory()
    memory, seen = learn_from_queue(memory, seen, look(minutes=6), {})
    assert memory.runs == (0.6,)
    requeued, _ = learn_from_queue(memory, Seen(NOW, {}, {"1": (ago(minutes=1), hour)}), look(minutes=1), {"1": TOLD})
    assert requeued.runs == memory.runs, "a job that is back in the queue has not ended"


def test_it_is_bounded_and_survives_a_restart() -> None:
    memory = Memory(accuracy=Accuracy(3, 2, 1, -4.0, 9.0))
    for minute in range(RUNS_KEPT + 20):
        seen = Seen(ago(minutes=1), {}, {"1": (ago(minutes=30), timedelta(hours=1))})
        memory, _ = learn_from_queue(memory, seen, look(minutes=minute % 20), {})
    assert len(memory.runs) == RUNS_KEPT
    ledger = open_ledger(None)
    ledger.commit(Commit(memory=memory))
    assert ledger.memory() == memory
