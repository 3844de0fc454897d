"""What VMs of a trial cost, as their provider charges."""

from datetime import timedelta
from random import Random

import pytest

from clues.model import Billing
from clues.simulation.slurm.controller import SimSlurm
from clues.simulation.timeline import Timeline
from clues.simulation.trials.meter import Meter
from clues.simulation.trials.outcome import Outcome
from clues.simulation.worlds.profiles import CALM_SLURM
from tests.unit.builders import CPU_SHAPE, make_pool


@pytest.mark.parametrize(
    ("billing", "cost"), [(Billing(), 1.5), (Billing(timedelta(hours=1)), 2.0)], ids=["moment", "hour"]
)
def test_an_hour_and_a_half_costs_two_where_hours_are_charged(billing: Billing, cost: float) -> None:
    time, pool = Timeline(), make_pool()
    slurm = SimSlurm([pool], time, Random(1), CALM_SLURM)
    meter = Meter(time, slurm, {"cpu": pool}, Outcome("x"))
    meter.vm_made("vm", "cpu-1", "cesnet", 1.0, CPU_SHAPE, billing)
    time.passed = 5400.0
    meter.vm_ended("vm")
    assert meter.outcome.total.cost == pytest.approx(cost)
