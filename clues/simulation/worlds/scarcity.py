"""Worlds in which capacity runs out and returns, spot VMs are taken back in rows, and no VM boots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from clues.model import Limits
from clues.simulation.demon import Mischief
from clues.simulation.worlds.scenarios import FAST, SCENARIOS, Scenario, eager

_WIDE = {"cesnet": Limits(vms=7), "aws": Limits(vms=7, gpus=4)}

_SCARCITY: Mapping[str, Scenario] = {
    "capacity-returns": Scenario({"site full": Mischief(6, 900)}, jobs=50, limits=_WIDE),
    "spot-storm": Scenario(
        cloud=replace(FAST, interruptions_per_hour=15),
        spot=True,
        on_demand_too=True,
        jobs=30,
        limits={"cesnet": Limits(vms=1), "aws": Limits(vms=7, gpus=4)},
    ),
    # Slurm gives gangs what is up at one site, where there is no room for the rest of them
    "eager-gangs": Scenario(
        {"daemon killed": Mischief(8), "half a command": Mischief(12), "site full": Mischief(3, 200)},
        replace(FAST, capacity={"m": 2, "c7i": 4, "g5": 2}),
        jobs=30,
        change=eager,
    ),
    "broken-image": Scenario(cloud=replace(FAST, fates={"never-boots": 100}), lasts=5400.0, jobs=30, limits=_WIDE),
}

SCARCITY: Mapping[str, Scenario] = {
    **_SCARCITY,
    # of gangs that need more VMs at once than is risked then
    "eager-broken-image": replace(_SCARCITY["broken-image"], lasts=3600.0, jobs=16, change=eager),
}

#: These, and all others.
ALL: Mapping[str, Scenario] = {**SCENARIOS, **SCARCITY}
