"""From the raw words of Slurm's commands to one :class:`~clues.model.ClusterSnapshot`: pure, so it can be measured.

:class:`RawSnapshot` is what the commands printed; :class:`SnapshotReader` is the whole parser.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from clues.errors import LrmsError
from clues.model import ClusterSnapshot, Job, Node
from lrms.slurm import config_text, jobs, json_reader, nodes, reservations

T = TypeVar("T")

#: More problems than these are only counted: a user can make as many as jobs.
_MOST_PROBLEMS = 50


class Form(StrEnum):
    """In which form jobs and nodes were asked for."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class RawSnapshot:
    """The output of the commands, jobs asked for before nodes.

    ``jobs`` and ``nodes`` are in ``form``; ``pending`` (text form only, else None) tells what is pending still once the
    nodes are read, with the excluded nodes; the rest is text always.  ``mark`` is what the text records of jobs end
    with.
    """

    jobs: str
    nodes: str
    reservations: str
    partitions: str
    config: str
    pending: str | None = None
    mark: str = ""
    form: Form = Form.TEXT


class SnapshotReader:
    """Reads one look after another; what reads the same as in the last one is the very same object.

    The same texts give equal snapshots, whatever was read before. A text that comes again need not be read again, and
    who compares two looks sees at once what is the same. Only the last look is remembered.
    """

    def __init__(self) -> None:
        self._job_texts, self._node_texts = jobs.JobReader(), nodes.NodeReader()
        self._jobs: dict[str, Job] = {}
        self._nodes: dict[str, Node] = {}

    def read(self, raw: RawSnapshot, taken_at: datetime) -> ClusterSnapshot:
        """Return the snapshot; single records that make no sense become ``problems``.

        :raises LrmsError: for output that is cut off or is not what was asked for: unknown is never empty.
        """
        try:
            if raw.form is Form.JSON:
                found_jobs, job_problems = json_reader.read_jobs(raw.jobs)
                found_nodes, node_problems = json_reader.read_nodes(raw.nodes)
            else:
                found_jobs, job_problems = self._job_texts.read(raw.jobs, raw.pending, raw.mark)
                found_nodes, node_problems = self._node_texts.read(raw.nodes)
        except ValueError as error:
            raise LrmsError(f"what Slurm printed cannot be read: {error}") from error
        # in a new text may stand the same (of a node's line only its load may have changed)
        same_jobs = tuple([_kept(self._jobs.get(job.id), job) for job in found_jobs])
        same_nodes = {name: _kept(self._nodes.get(name), node) for name, node in found_nodes.items()}
        self._jobs, self._nodes = {job.id: job for job in same_jobs}, same_nodes
        held, reservation_problems = reservations.read_reservations(raw.reservations)
        partitions, partition_problems = reservations.read_partitions(raw.partitions)
        settings = config_text.read_config(raw.config)
        return ClusterSnapshot(
            taken_at=taken_at,
            nodes=same_nodes,
            jobs=same_jobs,
            reservations=tuple(held),
            partitions={partition.name: partition.up for partition in partitions},
            default_partition=next((partition.name for partition in partitions if partition.default), ""),
            default_memory_per_cpu_mib=config_text.default_memory_per_cpu(settings),
            version=config_text.version_of(settings),
            private=config_text.private_data(settings),
            problems=_bounded([*node_problems, *reservation_problems, *partition_problems, *job_problems]),
        )


def read_snapshot(raw: RawSnapshot, taken_at: datetime) -> ClusterSnapshot:
    """Return the snapshot of one look, as :meth:`SnapshotReader.read` does."""
    return SnapshotReader().read(raw, taken_at)


def _kept(last: T | None, now: T) -> T:
    """Return what was read last where it is the same."""
    return last if last is not None and (last is now or last == now) else now


def _bounded(problems: list[str]) -> tuple[str, ...]:
    more = len(problems) - _MOST_PROBLEMS
    return (*problems[:_MOST_PROBLEMS], *([f"and {more} more problems like these"] if more > 0 else ()))
