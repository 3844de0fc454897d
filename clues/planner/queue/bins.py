"""Room that is there or on its way: nodes alike are kept as one bin, so that thousands of them cost little.

A bin is taken from by *splitting*: one node leaves it, loses what was taken, and joins the bin of its new likes.
Nodes without a free CPU are in no bin at all.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from clues.model import NOTHING, Resources


class Origin(IntEnum):
    """Where room comes from, in the order in which it is used up."""

    OPEN = 0  # Slurm can start the job there now
    STARTING = 1  # a VM is on its way
    LEAVING = 2  # being drained by us; can be called back
    BOUGHT = 3  # bought in this very decision


@dataclass(frozen=True, slots=True)
class Likes:
    """What makes nodes alike."""

    size: Resources
    free: Resources
    features: frozenset[str]
    partitions: frozenset[str]
    site: str
    origin: Origin
    reservations: frozenset[str] = frozenset()

    @property
    def empty(self) -> bool:
        """Nothing of it is taken, as an exclusive job wants it."""
        return self.free == self.size

    @property
    def order(self) -> tuple[int, int, int, int, str]:
        """What is there is used first, then the tightest: GPUs and large nodes are kept for those that need them."""
        return (self.origin, self.free.gpu_count, self.free.cpus, self.free.memory_mib, self.site)


class Bin:
    """Nodes alike; ``number`` is its name in a decision, and is never used again."""

    __slots__ = ("likes", "names", "number", "steps")

    def __init__(self, likes: Likes, number: int) -> None:
        self.likes, self.number = likes, number
        self.names: list[str] = []
        #: where one of its nodes goes when this is taken from it (by identity), or all of it
        self.steps: dict[tuple[int, bool], _Step] = {}


class _Step(NamedTuple):
    """What becomes of a node that something is taken from."""

    #: kept, as a step is found by its identity
    need: Resources
    likes: Likes
    target: Bin | None
    taken: Resources
    #: how often empty bins had been swept when it was found
    sweeps: int


class Bins:
    """All room of one decision, to be taken from while that decision lasts."""

    def __init__(self) -> None:
        self._bins: dict[Likes, Bin] = {}
        self._order: list[tuple[tuple[int, int, int, int, str], int, Bin]] = []
        self._made = 0
        self._most = 64
        self._likes: dict[str, Likes] = {}
        self._at: dict[str, Bin | None] = {}
        self._sweeps = 0
        #: grows when there is more room than there was
        self.version = 0

    def add(self, likes: Likes, name: str) -> None:
        """Put a node into the bin of its likes; a node without a free CPU is left out."""
        self.version += 1
        self._put(likes, name)

    def _put(self, likes: Likes, name: str) -> None:
        self._likes[name] = likes
        found = self._at[name] = self._bin_for(likes)
        if found is not None:
            found.names.append(name)

    def _bin_for(self, likes: Likes) -> Bin | None:
        if likes.free.cpus <= 0:
            return None
        found = self._bins.get(likes)
        if found is None:
            self._made += 1
            found = self._bins[likes] = Bin(likes, self._made)
            insort(self._order, (likes.order, found.number, found))
        return found

    def take(self, source: Bin, name: str, need: Resources, *, whole: bool = False) -> Resources:
        """Take *need* (or the *whole* node) from one node of a bin; return what was taken, GPUs by their types."""
        source.names.remove(name)
        step = source.steps.get((id(need), whole))
        if step is None or step.sweeps != self._sweeps:
            before = source.likes.free
            free = NOTHING if whole else before.minus(need)
            likes = _with(source.likes, free)
            step = _Step(need, likes, self._bin_for(likes), before.minus(free), self._sweeps)
            source.steps[id(need), whole] = step
        self._likes[name], self._at[name] = step.likes, step.target
        if step.target is not None:
            step.target.names.append(name)
        return step.taken

    def give_back(self, name: str, taken: Resources) -> None:
        """Undo what was taken from a node."""
        likes = self._likes[name]
        if (found := self._at[name]) is not None:
            found.names.remove(name)
        self.add(_with(likes, likes.free.plus(taken)), name)

    def likes_of(self, name: str) -> Likes:
        """Return the likes of a node that was added."""
        return self._likes[name]

    def bin_of(self, name: str) -> Bin | None:
        """Return the bin that a node is in; None when it is not known or has no room."""
        return self._at.get(name)

    def __iter__(self) -> Iterator[Bin]:
        """Go through the bins that hold nodes, in :attr:`Likes.order`."""
        if len(self._order) > self._most:  # most of them may be empty by now
            self._sweeps += 1
            self._bins = {likes: one for likes, one in self._bins.items() if one.names}
            self._order = [entry for entry in self._order if entry[2].names]
            self._most = 2 * len(self._order) + 64
        return (entry[2] for entry in self._order if entry[2].names)


def _with(likes: Likes, free: Resources) -> Likes:
    """Return the same with other room left (``replace`` takes five times as long)."""
    return Likes(likes.size, free, likes.features, likes.partitions, likes.site, likes.origin, likes.reservations)
