"""What is wanted, what can be bought, and what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

#: CPUs, MiB of memory, then GPUs: as many places as the nodes of one source have
Vector = tuple[int, ...]

#: A filling: so many tasks of each class (by its place in the problem) on one node.
Filling = Mapping[int, int]

_EPSILON = 1e-9


@dataclass(frozen=True, slots=True)
class Source:
    """Nodes alike that could be bought at one price."""

    size: Vector
    #: for one node; what ties shall be decided by is in it already, as a very small part
    price: float
    #: what one node takes of each limit, by the limit's place in the problem
    uses: tuple[tuple[int, float], ...]
    #: the nodes of a gang come from sources with the same place: a zone of a site
    place: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """A class of tasks that are alike, or of gangs that are."""

    #: by source: how many nodes one of them needs there, and how much on each; absent: it can not be there
    fits: Mapping[int, tuple[int, Vector]]

    @property
    def single(self) -> bool:
        """One node is enough for it, wherever that is cheapest."""
        return any(nodes == 1 for nodes, _ in self.fits.values())


@dataclass(frozen=True, slots=True)
class Problem:
    """All that has to be decided together."""

    sources: Sequence[Source]
    classes: Sequence[Wanted]
    #: how much of each limit is left
    limits: Sequence[float]
    #: tasks of these classes in the order of their priority, neighbours of a class joined: (class, count)
    queue: Sequence[tuple[int, int]]


@dataclass(slots=True)
class Placed:
    """One node to buy, and what lies on it; a gang's share counts as one task."""

    source: int
    filling: dict[int, int]


#: One gang: its class, and the places of its nodes among the others.
Gang = tuple[int, tuple[int, ...]]


@dataclass(slots=True)
class Unit:
    """Nodes that are bought together: one, or all those of gangs that have nodes in common."""

    nodes: list[Placed]
    gangs: list[Gang] = field(default_factory=list)


@dataclass
class Packing:
    """What to buy, and how many of each class found no place under the limits."""

    units: list[Unit]
    left: dict[int, int]


class Left:
    """How much of each limit is left while purchases are made."""

    __slots__ = ("rows",)

    def __init__(self, rows: Sequence[float]) -> None:
        self.rows = list(rows)

    def most(self, source: Source) -> int:
        """Return how many nodes of a source the limits still allow."""
        found = 10**9
        for row, amount in source.uses:
            found = min(found, int((self.rows[row] + _EPSILON * max(1.0, amount)) // amount))
        return max(0, found)

    def take(self, source: Source, count: int) -> None:
        """Count so many more nodes (fewer, if negative)."""
        for row, amount in source.uses:
            self.rows[row] -= amount * count
