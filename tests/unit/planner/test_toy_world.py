"""Whole days of a toy cluster under a demon that breaks and kills: what must never break does not.

A seed that fails is replayed by the line that the failure prints.
"""

from __future__ import annotations

import pytest

from tests.unit.planner.toy import World

#: name of the demon's mood, its options, the seeds that are played
MOODS = {
    "kind": ({"faults": False}, range(12)),
    "wild": ({}, range(100, 150)),
    "forgetful Slurm": ({"empty_state": True}, range(200, 240)),
    "lost ledger": ({"lose_ledger": True}, range(300, 340)),
    "all at once": ({"lose_ledger": True, "empty_state": True}, range(400, 430)),
    "kind, behind a router": ({"private": True, "faults": False}, range(500, 508)),
    "behind a router": ({"private": True}, range(520, 560)),
    "lost ledger, behind a router": ({"private": True, "lose_ledger": True}, range(600, 620)),
}


@pytest.mark.parametrize(("mood", "seed"), [(mood, seed) for mood, (_, seeds) in MOODS.items() for seed in seeds])
def test_the_world_comes_to_rest_and_nothing_broke(mood: str, seed: int) -> None:
    options = MOODS[mood][0]
    world = World(seed, **options)
    broken = world.run()
    arguments = "".join(f", {name}={value}" for name, value in options.items())
    replay = f"w = tests.unit.planner.toy.World({seed}{arguments}); w.run(); print(w.story())"
    assert not broken, f"{broken[0]}\nreplay: {replay}\n{world.story()}"


def test_the_kind_world_runs_every_job() -> None:
    world = World(3, faults=False)
    assert world.run() == []
    assert world.slurm.jobs
    assert {job.state for job in world.slurm.jobs.values()} == {"DONE"}


def test_the_wild_world_is_wild() -> None:
    """Were the demon asleep, the other tests would prove nothing."""
    worlds = [World(seed) for seed in range(100, 113)]
    for world in worlds:
        world.run()
    vms = [vm for world in worlds for cloud in world.clouds.values() for vm in cloud.vms.values()]
    assert sum(world.kills for world in worlds) > 20
    assert {"good", "never-boots", "wrong-facts", "slow", "vanishes"} <= {vm.fate for vm in vms}
    assert sum(cloud.failures for world in worlds for cloud in world.clouds.values()) > 50
    assert sum(len(world.watch.seen) for world in worlds) > 10
    assert sum(job.state == "DONE" for world in worlds for job in world.slurm.jobs.values()) > 30
