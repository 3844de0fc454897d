"""The pools as Slurm's configuration: a fragment for ``slurm.conf`` and one for ``gres.conf``.

The texts with their reasons stand in ``templates/slurm``; here is what fills them.  The same settings give the same
bytes, so that a sysadmin's ``diff`` shows what changed and nothing else.

The settings that clues needs (:data:`BASE`) are also what :mod:`lrms.slurm.check` compares with the running controller.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from clues import templates
from clues.hostlist import compress
from clues.model import Attach, Pool, Settings
from clues.places import Places
from lrms.slurm import programs, saving

SUSPEND_TIME = 2_000_000_000
SUSPEND_TIMEOUT = 5
SLURMD_TIMEOUT = 305
#: Seconds, where a site is reached through a tunnel. slurmctld pings a node that it has not heard of for a third of the
#: timeout; so two thirds are what a cut can last for certain, and that shall be more than five minutes.
SLURMD_TIMEOUT_REMOTE = 480
TREE_WIDTH = 65533
SRUN_PORTS = "60001-63000"
PLACEHOLDER = "192.0.2.1"

_CLEANING = f"""
# A worker is cleaned when a user has no job there any more. Workers get these two programs by themselves; other nodes
# have to have them at the same place (executable), or every job there fails. If you have a Prolog and an Epilog of your
# own, name those instead and let them run these.
Prolog={programs.PROLOG}
Epilog={programs.EPILOG}
"""

_EAGER = """# --- eager pools: hidden, they take no jobs; they are here only for their times, in seconds ---
# SuspendTime: a node without a job for so long is powered down (the pool's `idle`). ResumeTimeout: a node that has not
# come after so long is given up by Slurm; clues knows sooner."""

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
            features=pool.declared_features,
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


def remote_sites(settings: Settings) -> list[str]:
    """Return the sites that a cut of the internet can part from slurmctld."""
    return [name for name, site in settings.sites.items() if site.attach is not Attach.LOCAL]


def slurmd_timeout(settings: Settings) -> int:
    """Return seconds: so long slurmctld waits for a worker that it does not hear of."""
    return SLURMD_TIMEOUT_REMOTE if remote_sites(settings) else SLURMD_TIMEOUT


def render(
    settings: Settings,
    *,
    default_partition: str,
    gpu_devices: Sequence[str],
    srun_ports: str = SRUN_PORTS,
    timeout: int | None = None,
    clean: bool = False,
    folder: Path = Path("/etc/slurm"),
    places: Places | None = None,
) -> Mapping[str, str]:
    """Return the fragments by file name, and the programs that they name.

    :param gpu_devices: the device files of a node's GPUs in order; none given means ``/dev/nvidia0`` and so on.
    :param timeout: SlurmdTimeout in seconds; None: what suits the sites.
    :param clean: whether workers are cleaned between users; the programs for that are among the files then.
    :param folder: of slurm.conf, where the programs of eager pools will stand.
    :param places: where those find cluesd; without it none are written.
    """
    with_gpus = any(pool.shape.gpus for pool in settings.pools.values())
    note = "\n# Generic resources that nodes may have; add others that you use.\nGresTypes=gpu\n"
    slurm = templates.read("slurm/slurm-clues.conf").format(
        cluster=settings.cluster,
        suspend_time=SUSPEND_TIME,
        power_programs=saving.program_lines(settings, folder),
        suspend_timeout=SUSPEND_TIMEOUT,
        resume_timeout=resume_timeout(settings),
        slurmd_timeout=slurmd_timeout(settings) if timeout is None else timeout,
        tree_width=TREE_WIDTH,
        srun_ports=srun_ports,
        gres_types=note if with_gpus else "",
        cleaning=_CLEANING if clean else "",
        memory_share=f"{settings.pace.memory_share:.0%}",
        nodes="\n".join(str(line) for line in node_lines(settings)),
        partitions="\n".join(
            f"PartitionName={name} Nodes={compress(nodes)} State=UP"
            + (" Default=YES" if name == default_partition else "")
            for name, nodes in partitions(settings).items()
        )
        + _eager(settings),
    )
    lines = [line for pool in settings.pools.values() for line in _gres_lines(pool, gpu_devices)]
    gpus = "\n".join(lines) if lines else "# No pool has GPUs."
    gres = templates.read("slurm/gres-clues.conf").format(cluster=settings.cluster, gpus=gpus)
    cleaning = {Path(path).name: templates.read(name) for path, name in programs.CLEANING.items()} if clean else {}
    power = saving.programs(settings, places) if places is not None else {}
    return {SLURM_FILE: slurm, GRES_FILE: gres, **cleaning, **power}


def _eager(settings: Settings) -> str:
    lines = saving.partition_lines(settings, SUSPEND_TIMEOUT)
    return "".join(["\n\n", _EAGER, *(f"\n{line}" for line in lines)]) if lines else ""


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
