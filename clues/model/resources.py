"""How much: CPUs, memory and GPUs as one vector that can be compared and subtracted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

#: The type of a GPU request that any GPU satisfies (``--gres=gpu:1``).
ANY_GPU = ""


@dataclass(frozen=True, slots=True, order=True)
class Gpu:
    """So many GPUs of one type, as Slurm names it; :data:`ANY_GPU` in a request means whichever there is."""

    type: str
    count: int


@dataclass(frozen=True, slots=True)
class Resources:
    """A vector of resources: of one node, of what is free on it, or of what a job needs on one node.

    ``memory_mib`` is in MiB, as in Slurm.  ``gpus`` holds one entry a type, sorted, none with count 0.
    """

    cpus: int = 0
    memory_mib: int = 0
    gpus: tuple[Gpu, ...] = ()

    @property
    def gpu_count(self) -> int:
        """All GPUs, of whichever type."""
        return sum(gpu.count for gpu in self.gpus)

    def fits_in(self, room: Resources) -> bool:
        """Return whether this need can be met out of *room*."""
        if self.cpus > room.cpus or self.memory_mib > room.memory_mib:
            return False
        return not self.gpus or _take_gpus(room.gpus, self.gpus) is not None

    def minus(self, need: Resources) -> Resources:
        """Return what is left after *need* was taken; never negative (Slurm may overcommit, we do not count on it)."""
        gpus = self.gpus
        if need.gpus:
            left = _take_gpus(self.gpus, need.gpus)
            gpus = () if left is None else left
        return Resources(max(0, self.cpus - need.cpus), max(0, self.memory_mib - need.memory_mib), gpus)

    def plus(self, more: Resources) -> Resources:
        """Return the sum."""
        gpus = make_gpus((*self.gpus, *more.gpus)) if self.gpus and more.gpus else self.gpus or more.gpus
        return Resources(self.cpus + more.cpus, self.memory_mib + more.memory_mib, gpus)

    def times(self, count: int) -> Resources:
        """Return this vector *count* times."""
        return Resources(
            self.cpus * count,
            self.memory_mib * count,
            tuple([Gpu(gpu.type, gpu.count * count) for gpu in self.gpus]) if count else (),
        )

    def how_many_in(self, room: Resources) -> int:
        """Return how many of this need fit into *room* at once (0 when none; a need of nothing counts as 1)."""
        bounds = []
        if self.cpus:
            bounds.append(room.cpus // self.cpus)
        if self.memory_mib:
            bounds.append(room.memory_mib // self.memory_mib)
        if self.gpus:
            if _take_gpus(room.gpus, self.gpus) is None:
                return 0
            bounds.append(room.gpu_count // self.gpu_count)
            available = {gpu.type: gpu.count for gpu in room.gpus}
            bounds.extend(available.get(gpu.type, 0) // gpu.count for gpu in self.gpus if gpu.type != ANY_GPU)
        return min(bounds) if bounds else 1

    def __str__(self) -> str:
        parts = [f"{self.cpus} CPUs", f"{self.memory_mib} MiB"]
        parts += [f"{gpu.count} GPU" + (f" {gpu.type}" if gpu.type else "") for gpu in self.gpus]
        return ", ".join(parts)


NOTHING = Resources()


def make_gpus(gpus: Iterable[Gpu]) -> tuple[Gpu, ...]:
    """Return *gpus* in their one canonical form: summed by type, sorted, without zeros."""
    counts: dict[str, int] = {}
    for gpu in gpus:
        counts[gpu.type] = counts.get(gpu.type, 0) + gpu.count
    return tuple(Gpu(kind, count) for kind, count in sorted(counts.items()) if count > 0)


@lru_cache(maxsize=4096)
def _take_gpus(room: tuple[Gpu, ...], need: tuple[Gpu, ...]) -> tuple[Gpu, ...] | None:
    """Return what is left of *room* once *need* is taken, or None if it does not suffice.

    Typed requests take their own type; untyped ones then take from the type with most left, as the order among
    types does not matter to Slurm.
    """
    left = {gpu.type: gpu.count for gpu in room}
    for gpu in sorted(need, key=lambda one: one.type == ANY_GPU):
        wanted = gpu.count
        if gpu.type != ANY_GPU:
            if left.get(gpu.type, 0) < wanted:
                return None
            left[gpu.type] -= wanted
            continue
        for kind in sorted(left, key=lambda one: -left[one]):
            taken = min(wanted, left[kind])
            left[kind] -= taken
            wanted -= taken
        if wanted:
            return None
    return tuple(Gpu(kind, count) for kind, count in sorted(left.items()) if count > 0)
