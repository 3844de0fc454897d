"""What is lacking, and what is bought for it: values between the queue (``demand.py``) and its purchases."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from clues.model import Job, Node, Offer, Pool, Resources
from clues.planner.buying.placement import Buyer
from clues.planner.queue.jobclass import JobClass


class Part(NamedTuple):
    """What a gang has already of the nodes that it needs: so many at a site, some of which are yet to be opened."""

    site: str = ""
    nodes: int = 0
    mates: int = 0


NO_PART = Part()

#: What those have in common that are planned as one class.
Kind = tuple[int, Part]


@dataclass(slots=True)
class Lacking:
    """Tasks of one job without room."""

    rank: int
    job: Job
    group: JobClass
    count: int
    #: of one gang
    part: Part = NO_PART

    @property
    def kind(self) -> Kind:
        """What decides where it can be."""
        return id(self.group), self.part


@dataclass(slots=True)
class Lot:
    """Vacant nodes of a pool that the same classes accept."""

    pool: Pool
    nodes: list[Node]
    accepts: frozenset[int]
    #: those before this place are taken
    begin: int = 0

    def vacant(self, count: int, buyer: Buyer) -> list[Node]:
        """Return so many nodes that are still vacant, or as many as there are."""
        while self.begin < len(self.nodes) and not buyer.is_vacant(self.pool, self.nodes[self.begin]):
            self.begin += 1
        rest = islice(self.nodes, self.begin, None)
        return list(islice((node for node in rest if buyer.is_vacant(self.pool, node)), count))


@dataclass
class Purchase:
    """Nodes that are bought together, and who shall run on them."""

    #: for each node, where it is taken from, and for which offer
    spots: list[tuple[Lot, Offer]]
    jobs: dict[int, Job] = field(default_factory=dict)
    #: by rank of a job, for each of its tasks on which of the nodes (by their place) it lies
    tasks: dict[int, list[tuple[int, ...]]] = field(default_factory=dict)
    loads: list[Resources] = field(default_factory=list)
    #: by rank of a gang of which a part is there: where the rest of it lies, and with how many of that it is opened
    completes: dict[int, tuple[tuple[int, ...], int]] = field(default_factory=dict)
    #: once it is bought
    nodes: list[Node] = field(default_factory=list)

    @property
    def rank(self) -> int:
        """The rank of its most urgent job."""
        return min(self.tasks)

    @property
    def site(self) -> str:
        """Where its nodes are."""
        return self.spots[0][1].site

    def gangs(self) -> dict[int, tuple[Job, int]]:
        """Return for each node (by its place) the gang that it is opened with, and how many nodes are.

        A gang whose nodes are all of another's is opened when that one is: so the largest come first, then the most
        urgent. What one shares with others, and what it has for itself, is opened in parts.
        """
        wide = [
            (-len(spot), rank, spot)
            for rank, spots in self.tasks.items()
            for spot in spots
            if len(spot) > 1 or rank in self.completes
        ]
        found: dict[int, tuple[Job, int]] = {}
        for _, rank, spot in sorted(wide):
            own = [at for at in spot if at not in found]
            completed, mates = self.completes.get(rank, ((), 0))
            size = len(own) + (mates if spot == completed else 0)
            found |= dict.fromkeys(own, (self.jobs[rank], size))
        return found
