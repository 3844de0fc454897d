"""Jobs that no pool can ever run: which pool comes nearest, and what exactly it lacks.

Nearest is the pool that lacks the fewest kinds of things: a partition, each feature of the constraint, CPUs, memory,
GPUs of each type, nodes. Of two that lack as many it is the one that lacks the smaller part of what is asked for, and
then the first of the configuration. A job may lie on its nodes in several ways; each pool is judged by the way that
suits it best.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from clues.model import ANY_GPU, ClusterSnapshot, Node, Pool, Request, Resources, Verdict
from clues.planner.queue.constraint import Alternatives, satisfied
from clues.planner.queue.layout import lay_out, shares
from clues.planner.view import View
from clues.units import show_memory


@dataclass(frozen=True, slots=True)
class Misfit:
    """Why a pool can never hold a job."""

    pool: str
    #: in words, each kind of thing once
    lacks: tuple[str, ...]
    #: the part of what is asked for that is lacking, summed over the kinds
    part: float
    #: what its nodes have, in words; empty where that is not the point
    has: str = ""

    @property
    def distance(self) -> tuple[int, float]:
        """What pools are ordered by, the nearest first."""
        return (len(self.lacks), self.part)

    def __str__(self) -> str:
        text = " and ".join([", ".join(self.lacks[:-1]), self.lacks[-1]] if len(self.lacks) > 1 else self.lacks)
        return f"lacks {text}" + (f": {self.has}" if self.has else "")


def find_misfit(
    pool: Pool,
    request: Request,
    wanted_partitions: Sequence[str],
    alternatives: Alternatives,
    *,
    partitions: frozenset[str],
    features: Iterable[frozenset[str]],
    nodes_in_all: int,
    default_memory_mib: int,
) -> Misfit:
    """Return what a pool lacks that cannot hold a job.

    :param partitions: those that its nodes are in.
    :param features: what its nodes have at each of its sites.
    :param nodes_in_all: how many nodes a job may have there at most.
    """
    lacks: list[str] = []
    has: list[str] = []
    part = 0.0
    if wanted_partitions and partitions.isdisjoint(wanted_partitions):
        lacks.append(f"partition {' or '.join(wanted_partitions)}")
        has.append(f"its nodes are in {', '.join(sorted(partitions)) or 'none'}")
        part += 1
    missing = min(
        (wanted - present for wanted in alternatives for present in features), key=lambda one: (len(one), sorted(one))
    )
    lacks += [f"feature {name}" for name in sorted(missing)]
    part += len(missing)
    amounts, short = min(
        (_short(each, pool.shape) for _, each in shares(request, pool.shape, default_memory_mib)),
        key=lambda one: (len(one[0]), one[1]),
    )
    if amounts:
        lacks += amounts
        part += short
        has.append(f"its nodes have {_shown(pool.shape)}")
    elif (layout := lay_out(request, pool.shape, default_memory_mib)) is not None and layout.nodes > nodes_in_all:
        more = layout.nodes - nodes_in_all
        lacks.append(f"{more} node{'s' if more > 1 else ''}")
        part += 1 - nodes_in_all / layout.nodes
        has.append(f"it has {len(pool.nodes)} and the job needs {layout.nodes}")
    elif layout is None and not lacks:
        lacks.append("nodes: the job may have fewer than it needs")
        part += 1
    return Misfit(pool.name, tuple(lacks), part, "; ".join(has))


def _short(each: Resources, size: Resources) -> tuple[list[str], float]:
    """Return what a node of this size lacks, and the part of what is asked for that this is."""
    wants: list[tuple[str, int, int]] = [
        ("CPU{s}", each.cpus, size.cpus),
        ("memory", each.memory_mib, size.memory_mib),
    ]
    there = {gpu.type: gpu.count for gpu in size.gpus}
    left = size.gpu_count
    for gpu in sorted(each.gpus, key=lambda one: one.type == ANY_GPU):  # those of any type take what is left
        has = left if gpu.type == ANY_GPU else there.get(gpu.type, 0)
        wants.append((f"GPU{{s}} {gpu.type}".rstrip(), gpu.count, has))
        left -= min(gpu.count, has)
    lacks, part = [], 0.0
    for what, wanted, has in wants:
        if wanted > has:
            more = wanted - has
            what = what.format(s="s" if more > 1 else "")
            lacks.append(f"{show_memory(more)} of memory" if what == "memory" else f"{more} {what}")
            part += more / wanted
    return lacks, part


def _shown(shape: Resources) -> str:
    parts = [f"{shape.cpus} CPUs", show_memory(shape.memory_mib)]
    parts += [f"{gpu.count} GPU{'s' if gpu.count > 1 else ''} {gpu.type}".rstrip() for gpu in shape.gpus]
    return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Hopeless:
    """What is said of jobs that no pool can hold."""

    verdict: Verdict
    text: str
    #: the same of the pools that are not the nearest
    others: Mapping[str, str]


def hopeless(
    view: View,
    snapshot: ClusterSnapshot,
    request: Request,
    partitions: Sequence[str],
    alternatives: Alternatives,
    misfits: Iterable[Misfit],
) -> Hopeless:
    """Return what is said of jobs that no pool can hold; nodes outside the pools may still run them."""

    def could(node: Node) -> bool:
        return (
            (not partitions or not node.partitions.isdisjoint(partitions))
            and satisfied(alternatives, node.active_features or node.features)
            and lay_out(request, node.capacity, snapshot.default_memory_per_cpu_mib) is not None
        )

    for node in view.outside:
        if could(node):
            return Hopeless(Verdict.WAITS, f"waits for nodes outside the pools, such as {node.name}", {})
    nearest, *others = sorted(misfits, key=lambda one: one.distance)
    text = f"no pool can ever run it; the nearest, {nearest.pool}, {nearest}"
    return Hopeless(Verdict.NEVER, text, {f"pool {one.pool}": str(one) for one in others})
