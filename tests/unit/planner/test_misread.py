"""Nothing buys for ever: a job for which a node stood open in vain buys nothing more; an innocent one is not blamed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from clues.model import Claim, ClaimState, Job, Memory, Misread, Resources, Verdict, World
from clues.planner.queue.jobclass import fingerprint
from tests.unit.builders import BUSY, CLOSED, IDLE, ago, make_claim, make_node
from tests.unit.planner.deciding import bought, cluster, job, plan


def stood(minutes: float = 2, node: str = "cpu-1", **more: Any) -> Claim:
    return make_claim(
        node, **{"jobs": ("101",), "opened_at": ago(minutes=minutes), "idle_since": ago(minutes=minutes), **more}
    )


def misread(world: World) -> list[str]:
    return list(plan(world).memory.misread)


def known(one: Job) -> Memory:
    return Memory(misread={one.id: Misread(one.id, fingerprint(one), ago(minutes=1), "cpu-1")})


def test_a_job_whose_node_stood_open_in_vain_was_misread() -> None:
    decided = plan(cluster([job()], [stood()], flags={"cpu-1": IDLE}))
    assert list(decided.memory.misread) == ["101"]
    assert any("stood open" in note.text for note in decided.notes)


def test_it_is_given_a_minute() -> None:
    assert misread(cluster([job()], [stood(0.9)], flags={"cpu-1": IDLE})) == []


def test_if_another_job_took_the_node_nobody_misread_anything() -> None:
    assert misread(cluster([job()], [stood(used_at=ago(minutes=1))], flags={"cpu-1": BUSY})) == []


@pytest.mark.parametrize("reason", ["JobHeldUser", "Dependency"])
def test_a_job_that_was_held_meanwhile_was_not_misread(reason: str) -> None:
    assert misread(cluster([job(reason=reason)], [stood()], flags={"cpu-1": IDLE})) == []


def test_a_node_that_is_not_usable_proves_nothing() -> None:
    assert misread(cluster([job()], [stood()], flags={"cpu-1": CLOSED})) == []
    dead = {"IDLE", "CLOUD", "NOT_RESPONDING"}
    assert misread(cluster([job()], [stood()], flags={"cpu-1": dead})) == []


def test_a_gang_that_lacks_another_node_was_not_misread() -> None:
    claims = [stood(gang="101", gang_size=2), stood(node="cpu-2", gang="101", gang_size=2)]
    wanted = job(cpus=8, nodes=3)
    assert misread(cluster([wanted], claims, flags={"cpu-1": IDLE, "cpu-2": IDLE})) == []


def test_a_gang_with_all_its_nodes_open_was() -> None:
    claims = [stood(gang="101", gang_size=2), stood(node="cpu-2", gang="101", gang_size=2)]
    assert misread(cluster([job(cpus=8, nodes=2)], claims, flags={"cpu-1": IDLE, "cpu-2": IDLE})) == ["101"]


def test_a_misread_job_buys_nothing() -> None:
    decided = plan(cluster([job()], memory=known(job())))
    assert bought(decided) == []
    assert decided.outlooks["101"].verdict is Verdict.MISREAD


def test_until_it_changes() -> None:
    changed = replace(job(), constraint="cpu")
    assert bought(plan(cluster([changed], memory=known(job())))) == ["cpu-1"]


def test_it_is_forgotten_when_the_job_is_gone() -> None:
    assert misread(cluster([], memory=known(job()))) == []


def test_another_job_buys_all_the_same() -> None:
    decided = plan(cluster([job(), job(102)], memory=known(job())))
    assert [claim.jobs for claim in decided.claims] == [("102",)]


def test_a_misread_job_keeps_no_node() -> None:
    world = cluster([job()], [stood(11)], flags={"cpu-1": IDLE}, memory=known(job()))
    assert plan(world).claims[0].state is ClaimState.DRAINING


def test_a_node_that_came_smaller_than_its_shape_does_not_buy_for_ever() -> None:
    """Slurm lists less memory than the shape promised: the job never fits, whatever is bought."""
    small = make_node("cpu-1", IDLE, capacity=Resources(8, 1000))
    world = cluster([job(ask={"memory_per_node_mib": 20_000})], [stood()], nodes=[small])
    first = plan(world)
    assert list(first.memory.misread) == ["101"]
    assert bought(plan(replace(world, memory=first.memory))) == []


def test_nothing_buys_for_ever() -> None:
    """A job that Slurm never starts, played for hours: a bounded number of purchases."""
    wanted, total, memory = job(), 0, Memory()
    claims: dict[str, Claim] = {}
    for _ in range(40):
        nodes = [make_node(claim.node, IDLE) for claim in claims.values()]
        world = cluster([wanted], claims.values(), nodes=nodes, memory=memory)
        decided = plan(world)
        total += len(bought(decided))
        memory = decided.memory
        # every VM that was bought stands open two minutes later, and is let go after that
        claims = {
            claim.key: make_claim(claim.node, jobs=claim.jobs, opened_at=ago(minutes=2))
            for claim in decided.claims
            if claim.state is ClaimState.LAUNCHING
        }
    assert total == 1
