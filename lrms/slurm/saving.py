"""Slurm's power saving for eager pools: what slurm.conf says of them, and the programs that it runs.

The limits stand in a partition of their own for each pool, which takes no jobs and is hidden. So each pool has its own
times, and a partition may hold planned and eager pools: 22.05 gives a node the longest time that any of its partitions
has, and the global one only where none has any (measured: ``ResumeTimeout`` and ``SuspendTime`` of an INACTIVE, hidden
partition hold). ``SuspendExcNodes`` and ``SuspendExcParts`` are not used: planned nodes keep the global, endless time.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from clues import templates
from clues.hostlist import compress
from clues.model import Mode, Pool, Settings
from clues.places import Places

#: slurm.conf's keys, the programs' file names beside it, and what the hook is asked
PROGRAMS = (
    ("SuspendProgram", "clues-suspend", "suspend"),
    ("ResumeProgram", "clues-resume", "resume"),
    ("ResumeFailProgram", "clues-resume-fail", "resume-fail"),
)
PREFIX = "clues-eager-"
_LONGEST = 65533
_HOOK = "clues-slurm-hook"


@dataclass(frozen=True, slots=True)
class Limits:
    """A pool's times, in seconds."""

    suspend_time: int
    suspend_timeout: int
    resume_timeout: int


def eager_pools(settings: Settings) -> list[Pool]:
    """Return the pools in which Slurm picks the nodes, in the order of the configuration."""
    return [pool for pool in settings.pools.values() if pool.mode is Mode.EAGER]


def limits(pool: Pool, suspend_timeout: int) -> Limits:
    """Return a pool's times. Two boots have room before ResumeTimeout: one that fails, and one from the next offer."""
    whole = pool.boot_deadline + pool.join_deadline
    return Limits(
        suspend_time=max(1, min(int(pool.idle.total_seconds()), _LONGEST)),
        suspend_timeout=suspend_timeout,
        resume_timeout=min(int(2 * whole.total_seconds()) + 60, _LONGEST),
    )


def partition_lines(settings: Settings, suspend_timeout: int) -> list[str]:
    """Return slurm.conf's lines for the eager pools."""
    lines = []
    for pool in eager_pools(settings):
        times = limits(pool, suspend_timeout)
        lines.append(
            f"PartitionName={PREFIX}{pool.name} Nodes={compress(pool.nodes)} State=INACTIVE Hidden=YES"
            f" SuspendTime={times.suspend_time} SuspendTimeout={times.suspend_timeout}"
            f" ResumeTimeout={times.resume_timeout}"
        )
    return lines


def program_lines(settings: Settings, folder: Path) -> str:
    """Return which programs Slurm runs; ``/bin/true`` where clues alone starts and stops VMs.

    :param folder: of slurm.conf.
    """
    if not eager_pools(settings):
        return "SuspendProgram=/bin/true\nResumeProgram=/bin/true"
    return "\n".join(f"{key}={folder / name}" for key, name, _ in PROGRAMS)


def programs(settings: Settings, places: Places) -> dict[str, str]:
    """Return the programs by file name; none where no pool is eager."""
    if not eager_pools(settings):
        return {}
    beside = Path(sys.executable).parent / _HOOK
    hook = beside if beside.exists() else Path("/usr/bin") / _HOOK
    template = templates.read("slurm/power.in")
    return {
        name: template.format(
            program=name,
            hook=shlex.quote(str(hook)),
            spool=shlex.quote(str(places.requests)),
            socket=shlex.quote(str(places.hook_socket)),
            verb=verb,
        )
        for _, name, verb in PROGRAMS
    }


def differences(
    settings: Settings, config: Mapping[str, str], power: Mapping[str, Mapping[str, str]], suspend_timeout: int
) -> list[str]:
    """Return one sentence for each setting of the running controller that eager pools need otherwise.

    :param power: by partition, what it says of power saving.
    """
    found = []
    pools = eager_pools(settings)
    for key, name, _ in PROGRAMS if pools else ():
        value = config.get(key.lower(), "")
        if Path(value).name != name:
            found.append(
                f"slurm.conf: {key} is {value or 'not set'}: eager pools need {name}: clues slurm-config --write"
            )
    for key in ("SuspendExcNodes", "SuspendExcParts"):
        value = config.get(key.lower(), "")
        named = [pool.name for pool in pools if pool.name in value or any(node in value for node in pool.nodes)]
        if named:
            found.append(
                f"slurm.conf: {key} is {value}: remove what is of pool {', '.join(named)}: it would never stop"
            )
    for pool in pools:
        name, times = PREFIX + pool.name, limits(pool, suspend_timeout)
        told = power.get(name)
        if told is None:
            found.append(f"partition {name} is not known to slurmctld: include slurm-clues.conf and restart it")
            continue
        for key, wanted in (("SuspendTime", times.suspend_time), ("ResumeTimeout", times.resume_timeout)):
            if told.get(key) != str(wanted):
                found.append(
                    f"partition {name}: {key} is {told.get(key, 'not set')}, clues.yaml says {wanted}: generate "
                    "slurm-clues.conf again, restart slurmctld"
                )
    return found
