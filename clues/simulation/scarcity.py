"""Worlds in which capacity runs out and returns, spot VMs are taken back in rows, and no VM boots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from clues.model import Limits
from clues.simulation.demon import Mischief
from clues.simulation.scenarios import FAST, SCENARIOS, Scenario

_WIDE = {"cesnet": Limits(vms=7), "aws": Limits(vms=7, gpus=4)}

SCARCITY: Mapping[str, Scenario] = {
    "capacity-returns": Scenario({"site full": Mischief(6, 900)}, jobs=50, limits=_WIDE),
    "spot-storm": Scenario(
        cloud=replace(FAST, interruptions_per_hour=15),
        spot=True,
        on_demand_too=True,
        jobs=30,
        limits={"cesnet": Limits(vms=1), "aws": Limits(vms=7, gpus=4)},
    ),
    "broken-image": Scenario(cloud=replace(FAST, fates={"never-boots": 100}), lasts=5400.0, jobs=30, limits=_WIDE),
}

#: These, and all others.
ALL: Mapping[str, Scenario] = {**SCENARIOS, **SCARCITY}
