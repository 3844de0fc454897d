"""The real reconciler over a toy Slurm and toy clouds that do as they are told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from clues.ledger import Commit, Ledger
from clues.model import Claim, ClaimState
from tests.unit.builders import make_claim
from tests.unit.planner.toy import World
from tests.unit.planner.toy_slurm import ToyJob


@dataclass
class Parts:
    """A kind world, with the fields that tests look at within reach."""

    world: World

    def turns(self, count: int) -> None:
        for _ in range(count):
            self.world.turn += 1
            self.world._pass()
        assert self.world.broken == []

    @property
    def claims(self) -> dict[str, Claim]:
        return dict(self.world.books.claims)

    @property
    def ledger(self) -> Ledger:
        return self.world.ledger

    def claim(self, node: str = "cpu-1") -> Claim:
        return next(claim for claim in self.claims.values() if claim.node == node)

    def job(self, number: int = 101, nodes: int = 1, cpus: int = 8, seconds: int = 600) -> ToyJob:
        job = ToyJob(str(number), "cpu", nodes, cpus, 10, timedelta(seconds=seconds))
        self.world.slurm.jobs[job.id] = job
        return job

    def commit(self, claim: Claim) -> Claim:
        self.world.books.commit(Commit(claims=(claim,)))
        return claim

    def booting(self, **more: Any) -> Claim:
        now = self.world.clock.now()
        return self.commit(
            make_claim(
                **{"state": ClaimState.BOOTING, "launched_at": now, "since": now, "address": "10.77.1.10", **more}
            )
        )

    def texts(self) -> list[str]:
        return [note.text for note in self.ledger.notes(limit=1000)]


def make_parts() -> Parts:
    parts = Parts(World(1, faults=False))
    parts.turns(5)  # every node is closed now: what comes next is planned, not Slurm's own choice
    return parts
