"""The daemon's picture, put in order once for all views, so that each view of thousands of nodes is one walk.

The claims shown are those of the last decision: what was committed, not what was there before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from clues.model import Claim, Job, Kind, Node, Pool, Published, Wish


@dataclass(frozen=True, slots=True)
class Lens:
    """A picture, put in order, and the moment from which ages are reckoned."""

    published: Published
    now: datetime
    #: live claims
    claims: tuple[Claim, ...]
    #: the youngest live claim of each worker node
    claim_of: Mapping[str, Claim]
    pool_of: Mapping[str, Pool]
    nodes: Mapping[str, Node]
    jobs: tuple[Job, ...]
    jobs_on: Mapping[str, list[str]]
    wishes: Mapping[str, Wish]

    @classmethod
    def of(cls, published: Published, now: datetime) -> Lens:
        """Return the picture in order."""
        world, plan = published.world, published.plan
        latest = {**world.claims, **{claim.key: claim for claim in plan.claims}}
        claims = tuple(claim for claim in latest.values() if claim.live)
        workers = sorted((claim for claim in claims if claim.kind is Kind.WORKER), key=lambda one: one.generation)
        snapshot = world.lrms.value
        jobs = snapshot.jobs if snapshot else ()
        jobs_on: dict[str, list[str]] = {}
        for job in jobs:
            if job.running:
                for name in job.nodes:
                    jobs_on.setdefault(name, []).append(job.id)
        return cls(
            published=published,
            now=now,
            claims=claims,
            claim_of={claim.node: claim for claim in workers},
            pool_of={name: pool for pool in published.settings.pools.values() for name in pool.nodes},
            nodes=snapshot.nodes if snapshot else {},
            jobs=jobs,
            jobs_on=jobs_on,
            wishes={name: wish for name, wish in world.operator.wishes.items() if name not in plan.granted},
        )

    def age(self, moment: datetime | None) -> float | None:
        """Return seconds since *moment*, never negative."""
        return None if moment is None else round(max(0.0, (self.now - moment).total_seconds()), 1)

    def outsiders(self) -> list[str]:
        """Return Slurm's nodes that belong to no pool."""
        return [name for name in self.nodes if name not in self.pool_of]


def utc(moment: datetime | None) -> str:
    """Return ISO 8601 in UTC to the second, empty for None."""
    return "" if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")
