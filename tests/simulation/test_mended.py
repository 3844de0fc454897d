"""Defects of the core that the simulation has found, each played as it was found."""

from __future__ import annotations

from dataclasses import replace

from clues.simulation.crash import Crash, When
from clues.simulation.play import Play
from clues.simulation.worlds.profiles import Delay
from clues.simulation.worlds.scenarios import FAST, SCENARIOS


def test_a_slow_answer_to_a_launch_is_no_absence_of_the_vm() -> None:
    slow = replace(FAST, latency=Delay(20, 0.8, 0.5), provision=Delay(1), boot=Delay(4, 0.5, 1))
    scenario = replace(SCENARIOS["slow-answers"], cloud=slow)
    Play("slow-answers", 1, scenario=scenario, crash=Crash(("launching", "joining"), When.AFTER_EFFECT)).run()
