"""Jobs of a trace as jobs for the pools of a configuration: which pool, how many nodes, how much on each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from clues.model import ANY_GPU, Gpu, Pool, Resources, Settings
from clues.simulation.slurm.parts import SimJob
from clues.simulation.trials.traces import TraceJob


@dataclass
class Fitted:
    """What became of a trace."""

    jobs: list[tuple[float, SimJob]] = field(default_factory=list)
    #: jobs that no pool can hold, by what they lack
    misfits: Counter[str] = field(default_factory=Counter)


def fit(jobs: Iterable[TraceJob], settings: Settings) -> Fitted:
    """Give each job the first pool that can hold it: its own partition's if there is one, without GPUs before with."""
    fitted = Fitted()
    pools = sorted(settings.pools.values(), key=lambda pool: pool.shape.gpu_count)
    for number, job in enumerate(jobs):
        own = [pool for pool in pools if job.partition and job.partition in _partitions(pool)]
        chosen = next((one for pool in own or pools if (one := _on(job, pool, number)) is not None), None)
        if chosen is None:
            fitted.misfits[_what(job)] += 1
        else:
            fitted.jobs.append((job.submitted, chosen))
    return fitted


def _partitions(pool: Pool) -> tuple[str, ...]:
    return pool.partitions or (pool.name,)


def _on(job: TraceJob, pool: Pool, number: int) -> SimJob | None:
    shape = pool.shape
    if job.gpus and not shape.gpu_count:
        return None
    # a job that was given some nodes for its size elsewhere has the number that this size of node makes it
    nodes = max(1, -(-job.cpus // shape.cpus), -(-job.gpus // shape.gpu_count) if job.gpus else 1)
    if job.memory_mib:
        nodes = max(nodes, -(-job.memory_mib // max(1, shape.memory_mib)))
    if nodes > len(pool.nodes):
        return None
    cpus = -(-job.cpus // nodes)
    memory = -(-job.memory_mib // nodes) if job.memory_mib else shape.memory_mib * cpus // shape.cpus
    gpus = (Gpu(ANY_GPU, -(-job.gpus // nodes)),) if job.gpus else ()
    need = Resources(cpus, min(memory, shape.memory_mib), gpus)
    if not need.fits_in(shape):
        return None
    limit = job.limit if job.limit is None or job.limit >= 60 else 60.0
    return SimJob(str(1001 + number), _partitions(pool)[0], nodes, need, job.runs, limit)


def _what(job: TraceJob) -> str:
    return f"{job.cpus} CPUs, {job.memory_mib} MiB" + (f", {job.gpus} GPUs" if job.gpus else "")
