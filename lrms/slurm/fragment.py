"""The pools as Slurm's configuration: a fragment for ``slurm.conf`` and one for ``gres.conf``.

The texts with their reasons stand in ``templates/slurm``; here is what fills them.  The same settings give the same
bytes, so that a sysadmin's ``diff`` shows what changed and nothing else.

The settings that clues needs (:data:`BASE`) are also what :mod:`lrms.slurm.check` compares with the running controller.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from clues import templates
from clues.hostlist import compress
from clues.model import Pool, Settings

SUSPEND_TIME = 2_000_000_000
SUSPEND_TIMEOUT = 5
SLURMD_TIMEOUT = 305
TREE_WIDTH = 65533
SRUN_PORTS = "60001-63000"
PLACEHOLDER = "192.0.2.1"

SLURM_FILE = "slurm-clues.conf"
GRES_FILE = "gres-clues.conf"


@dataclass(frozen=True, slots=True)
class NodeLine:
    """What slurm.conf declares for the nodes of one pool."""

    pool: str
    nodes: tuple[str, ...]
    cpus: int
    memory_mib: int
    gres: str
    features: tuple[str, ...]
    weight: int

    def __str__(self) -> str:
        parts = [
            f"NodeName={compress(self.nodes)}",
            "State=CLOUD",
            f"NodeAddr={PLACEHOLDER}",
            f"CPUs={self.cpus}",
            f"RealMemory={self.memory_mib}",
            *([f"Gres={self.gres}"] if self.gres else []),
            f"Feature={','.join(self.features)}",
            f"Weight={self.weight}",
        ]
        return " ".join(parts)


def node_lines(settings: Settings) -> list[NodeLine]:
    """Return one line for each pool, in the order of the configuration."""
    weights = _weights(settings.pools.values())
    return [
        NodeLine(
            pool=pool.name,
            nodes=pool.nodes,
            cpus=pool.shape.cpus,
            memory_mib=int(pool.shape.memory_mib * settings.pace.memory_share + 1e-6),
            gres=",".join(_gres(gpu.type, gpu.count) for gpu in pool.shape.gpus),
            features=tuple(dict.fromkeys((pool.name, *sorted(pool.features), *pool.sites))),
            weight=weights[pool.name],
        )
        for pool in settings.pools.values()
    ]


def partitions(settings: Settings) -> dict[str, list[str]]:
    """Return the nodes of each partition that a pool names, in the order of the configuration."""
    found: dict[str, list[str]] = {}
    for pool in settings.pools.values():
        for name in pool.partitions:
            found.setdefault(name, []).extend(pool.nodes)
    return found


def resume_timeout(settings: Settings) -> int:
    """Return seconds: the longest that any pool's VM may take from launch to registration."""
    return max(
        (int((pool.boot_deadline + pool.join_deadline).total_seconds()) for pool in settings.pools.values()),
        default=600,
    )


def render(settings: Settings, *, default_partition: str, gpu_devices: Sequence[str]) -> Mapping[str, str]:
    """Return the fragments by file name.

    *gpu_devices* are the device files of a node's GPUs in order; none given means ``/dev/nvidia0`` and so on.
    """
    with_gpus = any(pool.shape.gpus for pool in settings.pools.values())
    note = "\n# Generic resources that nodes may have; add others that you use.\nGresTypes=gpu\n"
    slurm = templates.read("slurm/slurm-clues.conf").format(
        cluster=settings.cluster,
        suspend_time=SUSPEND_TIME,
        true="/bin/true",
        suspend_timeout=SUSPEND_TIMEOUT,
        resume_timeout=resume_timeout(settings),
        slurmd_timeout=SLURMD_TIMEOUT,
        tree_width=TREE_WIDTH,
        srun_ports=SRUN_PORTS,
        gres_types=note if with_gpus else "",
        memory_share=f"{settings.pace.memory_share:.0%}",
        nodes="\n".join(str(line) for line in node_lines(settings)),
        partitions="\n".join(
            f"PartitionName={name} Nodes={compress(nodes)} State=UP"
            + (" Default=YES" if name == default_partition else "")
            for name, nodes in partitions(settings).items()
        ),
    )
    lines = [line for pool in settings.pools.values() for line in _gres_lines(pool, gpu_devices)]
    gpus = "\n".join(lines) if lines else "# No pool has GPUs."
    gres = templates.read("slurm/gres-clues.conf").format(cluster=settings.cluster, gpus=gpus)
    return {SLURM_FILE: slurm, GRES_FILE: gres}


def _gres(kind: str, count: int) -> str:
    return f"gpu:{kind}:{count}" if kind else f"gpu:{count}"


def _gres_lines(pool: Pool, devices: Sequence[str]) -> list[str]:
    """Return one line for each GPU of the shape: Slurm hands them out by device file."""
    kinds = [gpu.type for gpu in pool.shape.gpus for _ in range(gpu.count)]
    files = list(devices) or [f"/dev/nvidia{index}" for index in range(len(kinds))]
    if len(files) < len(kinds):
        raise ValueError(f"pool {pool.name} has {len(kinds)} GPUs a node, lrms.gpu_devices names {len(files)}")
    where = f"NodeName={compress(pool.nodes)} Name=gpu"
    return [f"{where}{f' Type={kind}' if kind else ''} File={file}" for kind, file in zip(kinds, files, strict=False)]


def _weights(pools: Iterable[Pool]) -> dict[str, int]:
    """Return 10, 20, ... by rising price of the cheapest offer; one without a price counts as free."""
    prices = {pool.name: min((offer.price_per_hour or 0.0 for offer in pool.offers), default=0.0) for pool in pools}
    ordered = sorted(prices, key=lambda name: prices[name])
    ranks = groupby(ordered, key=lambda name: prices[name])
    return {name: 10 * rank for rank, (_, names) in enumerate(ranks, start=1) for name in names}
