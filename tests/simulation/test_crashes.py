"""The crash matrix: the daemon dies at each persisted step, before its commit, after it, and after its effect."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clues.simulation.crash import STEPS, Crash, When
from clues.simulation.demon import STORM, TUNNELS, Mischief
from clues.simulation.play import Play, play
from clues.simulation.worlds.scenarios import SCENARIOS

#: Where a step is to be met: most of them wherever there are faults.
PLACES = {("gone", "stopping"): "late", ("launching", "joining"): "slow-answers", ("draining", "ready"): "recalled"}

MATRIX = [(step, when) for step in STEPS for when in When]


def _name(step: tuple[str, str]) -> str:
    return PLACES.get(step, "storm-private")


@pytest.mark.parametrize(
    ("step", "when"), MATRIX, ids=lambda value: value if isinstance(value, str) else ">".join(value)
)
def test_a_crash_at_this_step_leaves_nothing_behind(step: tuple[str, str], when: When) -> None:
    play(_name(step), 1, crash=Crash(step, when))


#: Steps on whose sides a call for several VMs is, with the move that the answer to it makes.
OF_CALLS = [("new", "launching"), ("launching", "booting")]


@pytest.mark.parametrize("when", list(When))
@pytest.mark.parametrize("step", OF_CALLS, ids=">".join)
def test_a_crash_around_a_call_for_several_vms_makes_none_twice(step: tuple[str, str], when: When) -> None:
    crash = Crash(step, when, nth=2)
    play("together", 1, crash=crash)
    assert crash.struck


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("when", list(When))
@pytest.mark.parametrize("step", STEPS, ids=">".join)
def test_a_crash_at_this_step_in_twenty_worlds(step: tuple[str, str], when: When) -> None:
    struck = 0
    for seed in range(20):
        crash = Crash(step, when, nth=1 + seed % 3)
        play(_name(step), 100 + seed, crash=crash)
        struck += crash.struck
    assert struck, f"no world ever came to {'>'.join(step)}"


#: What becomes of claims of eager pools, whose orders go out in two commands each.
OF_EAGER = [("new", "launching"), ("launching", "booting"), ("joining", "ready"), ("ready", "draining")]


@pytest.mark.parametrize("when", list(When))
@pytest.mark.parametrize("step", OF_EAGER, ids=">".join)
def test_a_crash_in_an_eager_pool_leaves_no_job_and_no_node_behind(step: tuple[str, str], when: When) -> None:
    crash = Crash(step, when, nth=2)
    play("eager-gangs", 0, crash=crash)
    assert crash.struck


PAIRS = [
    ("daemon killed", "site lost"),
    ("daemon killed", "slurmctld out"),
    ("daemon killed", "disk full"),
    ("slurmctld out", "site not listed"),
    ("VM lost", "slurmctld out"),
    ("VM lost", "daemon killed"),
    ("hub down", "daemon killed"),
    ("router lost", "disk full"),
    ("reconfigured", "half a command"),
    ("site lost", "clock set"),
]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: "+".join(pair))
def test_two_faults_at_once_again_and_again(pair: tuple[str, str]) -> None:
    kinds = {**STORM, **TUNNELS}
    scenario = replace(
        SCENARIOS["kind-private"],
        # by themselves they come almost never; how long they last is told here
        mischief={name: Mischief(0.001, kinds[name].lasts) for name in pair},
        script=tuple((share / 10, name) for share in range(1, 10) for name in pair),
    )
    Play("kind-private", 5, scenario=scenario).run()
