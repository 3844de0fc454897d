"""The simulation's bench plays the part of a trace that it is asked for, and reckons who is beaten."""

from __future__ import annotations

import pytest

from clues.simulation.trials.outcome import Outcome, Share
from clues.simulation.trials.traces import Trace, TraceJob
from tests.lab.bench.simulate import figures_of, part_of


def outcome(name: str, wait: float, cost: float) -> Outcome:
    return Outcome(name, waits=[wait], total=Share(cost=cost))


def test_a_part_of_a_trace_begins_at_its_own_beginning() -> None:
    trace = Trace("x.swf", tuple(TraceJob(str(n), 100.0 * n, 60.0, 1) for n in range(5)), 0)
    assert [(one.id, one.submitted) for one in part_of(trace, 3).jobs] == [("3", 0.0), ("4", 100.0)]
    assert part_of(trace, 0) == trace
    assert part_of(trace, 9).jobs == ()


@pytest.mark.parametrize(
    ("wait", "cost", "on_the_front"),
    [
        pytest.param(60.0, 9.0, True, id="cheapest"),
        pytest.param(50.0, 11.0, True, id="waits least but for the bound"),
        pytest.param(60.0, 10.0, True, id="the same as another"),
        pytest.param(60.0, 10.5, False, id="dearer at the same wait"),
        pytest.param(61.0, 10.0, False, id="waits longer at the same cost"),
    ],
)
def test_one_is_on_the_front_unless_another_is_better(wait: float, cost: float, on_the_front: bool) -> None:
    peers = {name: outcome(name, 60.0, 10.0) for name in ("static", "clues", "parallelcluster")}
    played = {"ours": outcome("ours", wait, cost), **peers, "clairvoyant_bound": outcome("bound", 0.0, 1.0)}
    figures = {one.name: one.value for one in figures_of("x", played, ["ours"])}
    assert figures["x.ours.on_the_front"] == float(on_the_front)
    assert figures.get("x.wait_at_cost_of_clues") == (wait / 60 if cost <= 10 else None)
    assert figures.get("x.cost_at_wait_of_clues") == (cost / 10 if wait <= 60 else None)
