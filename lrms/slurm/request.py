"""From what a job asked for, in Slurm's many forms, to one :class:`~clues.model.Request`.

Both readers (text and JSON) come through :func:`make_request`.  The awkward parts:

* ``--cpus-per-gpu`` and ``--mem-per-gpu`` are turned into the job's CPUs and the node's memory;
* ``--gpus-per-socket`` becomes GPUs on each node, by the sockets that the job asked for (one if it named none);
* a job that asks for a generic resource which is not a GPU keeps it as a type that no pool has, so that nothing
  is bought for it.
"""

from __future__ import annotations

from dataclasses import dataclass

from clues.model import NOTHING, Request, Resources
from lrms.slurm import words


@dataclass(frozen=True, slots=True)
class Asked:
    """What a job's record tells of its wishes; TRES texts as Slurm prints them, 0 and empty where nothing was said."""

    tasks: int
    cpus: int
    cpus_per_task: int
    cpus_least_per_node: int
    tasks_per_node: int
    nodes_min: int
    nodes_max: int | None
    memory_per_node_mib: int
    memory_per_cpu_mib: int
    #: memory that Slurm reckons for the whole job
    memory_total_mib: int
    sockets: int
    tres_per_node: str
    tres_per_job: str
    tres_per_task: str
    tres_per_socket: str
    cpus_per_tres: str
    memory_per_tres: str
    exclusive: bool


def make_request(asked: Asked) -> Request:
    """Return the request.

    :raises ValueError: for a TRES text that is not understood.
    """
    per_node = words.requested(asked.tres_per_node)
    per_socket = words.requested(asked.tres_per_socket)
    if per_socket is not NOTHING and per_socket.gpus:
        per_node = per_node.plus(per_socket.times(max(1, asked.sockets)))
    per_job = words.requested(asked.tres_per_job)
    per_task = words.requested(asked.tres_per_task)
    nodes_min = max(1, asked.nodes_min)
    tasks = max(1, asked.tasks)
    gpus_in_all = max(per_job.gpu_count, per_node.gpu_count * nodes_min, per_task.gpu_count * tasks)
    cpus_per_gpu = _first_count(asked.cpus_per_tres)
    memory_per_node = asked.memory_per_node_mib
    if not memory_per_node and not asked.memory_per_cpu_mib and words.text_or_nothing(asked.memory_per_tres):
        # Slurm's own sum for the job; on each of the least number of nodes, which is the safe side.
        per_gpu = _first_count(asked.memory_per_tres)
        memory_per_node = -(-max(asked.memory_total_mib, per_gpu * gpus_in_all) // nodes_min)
    # CPUs that every node must have are CPUs of the whole job too.
    cpus_total = max(asked.cpus, cpus_per_gpu * gpus_in_all, asked.cpus_least_per_node * nodes_min)
    return Request(
        nodes_min=nodes_min,
        nodes_max=asked.nodes_max,
        tasks=tasks,
        cpus_per_task=max(1, asked.cpus_per_task),
        cpus_total=max(1, cpus_total),
        tasks_per_node=asked.tasks_per_node or None,
        memory_per_node_mib=memory_per_node,
        memory_per_cpu_mib=0 if memory_per_node else asked.memory_per_cpu_mib,
        gpus_per_node=_or_nothing(per_node),
        gpus_per_job=_or_nothing(per_job),
        gpus_per_task=_or_nothing(per_task),
        exclusive=asked.exclusive,
    )


def _first_count(text: str) -> int:
    """Return the count of ``gres:gpu:2``, 0 for nothing."""
    return sum(count for name, _, count in words.gres(text) if name == "gpu")


def _or_nothing(resources: Resources) -> Resources:
    return resources if resources.gpus else NOTHING
