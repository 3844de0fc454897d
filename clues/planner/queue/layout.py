"""A request laid out on nodes of one size: how many nodes, and how much on each.

Slurm may spread tasks unevenly; for buying it is enough to know the least number of equal nodes that certainly hold
them, with the same share on each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from clues.model import NOTHING, Request, Resources, make_gpus


@dataclass(frozen=True, slots=True)
class Layout:
    """So many nodes, each with this much for the job."""

    nodes: int
    each: Resources


@lru_cache(maxsize=8192)
def lay_out(request: Request, size: Resources, default_memory_per_cpu_mib: int) -> Layout | None:
    """Return the layout of *request* on nodes of *size*, or None when no number of such nodes can hold it.

    :param default_memory_per_cpu_mib: the cluster's ``DefMemPerCPU``; 0 means that a job that names no memory takes a
        whole node's (seen on Slurm 22.05 without DefMemPerCPU).
    """
    fewest, most = _bounds(request)
    for nodes in _candidates(request, size, fewest, most):
        each = _share(request, size, nodes, default_memory_per_cpu_mib)
        if each.fits_in(size):
            return Layout(nodes, each)
    return None


def shares(request: Request, size: Resources, default_memory_per_cpu_mib: int) -> Iterator[tuple[int, Resources]]:
    """Go through the ways to lay out *request* on nodes of *size*, whether they hold it or not: how many nodes, and how
    much on each."""
    fewest, most = _bounds(request)
    for nodes in _candidates(request, size, fewest, most) or [fewest]:
        yield nodes, _share(request, size, nodes, default_memory_per_cpu_mib)


def _bounds(request: Request) -> tuple[int, int]:
    fewest = max(1, request.nodes_min)
    if request.tasks_per_node:  # at most so many on one node
        fewest = max(fewest, -(-request.tasks // request.tasks_per_node))
    most = request.nodes_max
    if most is None:
        most = max(fewest, request.tasks, request.cpus_total, request.gpus_per_job.gpu_count)
    return fewest, most


def _candidates(request: Request, size: Resources, fewest: int, most: int) -> list[int]:
    """Numbers of nodes worth trying, ascending: the minimum, then what CPUs, GPUs and task limits call for."""
    if fewest > most:
        return []
    tried = {fewest}
    fit = size.cpus // max(1, request.cpus_per_task)
    while fit > 0 and len(tried) < 64:
        # fewer tasks on each node, for when memory or GPUs bind before CPUs do
        tried.add(-(-request.tasks // fit))
        fit -= 1
    if request.cpus_total and size.cpus:
        tried.add(-(-request.cpus_total // size.cpus))
    if size.gpu_count and request.gpus_per_job.gpu_count:
        tried.add(-(-request.gpus_per_job.gpu_count // size.gpu_count))
    return sorted(one for one in tried if fewest <= one <= most)


def _share(request: Request, size: Resources, nodes: int, default_memory_per_cpu_mib: int) -> Resources:
    tasks = -(-request.tasks // nodes)
    cpus = max(tasks * request.cpus_per_task, -(-request.cpus_total // nodes))
    if request.memory_per_node_mib:
        memory = request.memory_per_node_mib
    elif request.memory_per_cpu_mib or default_memory_per_cpu_mib:
        memory = (request.memory_per_cpu_mib or default_memory_per_cpu_mib) * cpus
    else:
        memory = size.memory_mib
    gpus = request.gpus_per_node.plus(_split(request.gpus_per_job, nodes)).plus(request.gpus_per_task.times(tasks))
    if request.exclusive:
        cpus, memory = max(cpus, size.cpus), max(memory, size.memory_mib)
    return Resources(cpus, memory, gpus.gpus)


def _split(gpus: Resources, nodes: int) -> Resources:
    if not gpus.gpus:
        return NOTHING
    return Resources(gpus=make_gpus(replace(gpu, count=-(-gpu.count // nodes)) for gpu in gpus.gpus))
