"""Defects of the core that the simulation has found, each played as it was found."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clues.simulation.crash import Crash, When
from clues.simulation.play import Play
from clues.simulation.worlds.profiles import Delay
from clues.simulation.worlds.scenarios import CPU, FAST, GPU, SCENARIOS


def test_a_slow_answer_to_a_launch_is_no_absence_of_the_vm() -> None:
    slow = replace(FAST, latency=Delay(20, 0.8, 0.5), provision=Delay(1), boot=Delay(4, 0.5, 1))
    scenario = replace(SCENARIOS["slow-answers"], cloud=slow)
    Play("slow-answers", 1, scenario=scenario, crash=Crash(("launching", "joining"), When.AFTER_EFFECT)).run()


@pytest.mark.parametrize("seed", range(3))
def test_workers_whose_router_cannot_be_replaced_are_not_paid_for_until_it_can(seed: int) -> None:
    """Its flavor is gone when it dies, so the request for the next one is invalid and is not repeated for an hour."""
    play = Play(
        "kind-private", seed, scenario=replace(SCENARIOS["kind-private"], jobs=40, script=((0.5, "reconfigured"),))
    )
    world, aws = play.world, play.world.clouds["aws"]
    at = play.scenario.lasts * 0.3
    cut_off: list[str] = []

    def lose_router() -> None:
        aws.sizes = {"c7i": CPU, "g5": GPU}
        cut_off.extend(vm.id for vm in aws.living() if not vm.is_router)
        for vm in list(aws.living()):
            if vm.is_router:
                aws.lose(vm)

    def look() -> None:
        assert [vm.id for vm in aws.living()] == [], "they are still there"

    world.time.at(at, lose_router)
    # as long as another worker and its router take at most, and the minute in which Slurm and the provider obey
    world.time.at(at + 150 + 60 + 150 + 30 + 60, look)
    world.time.at(play.scenario.lasts, lambda: aws.sizes.clear())
    play.run()
    assert cut_off
