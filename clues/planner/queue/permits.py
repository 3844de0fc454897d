"""What a job needs besides nodes and Slurm may not have named yet: licences, and room under limits.

A job that could not start on its nodes buys none. Slurm marks a job with such a reason (``Licenses``,
``QOSMaxJobs...``) only once it tries it; while all fitting nodes are closed it says instead that they are not
available. So the queue is gone through in Slurm's order, and each job that is to get nodes takes its share out of what
is left: of a licence what is free, of a limit what the running jobs have left of it.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping

from clues.model import ClusterSnapshot, Job, JobLimit

_LICENSE = re.compile(r"([^:,|]+)(?::([0-9]+))?")


class Permits:
    """What is left of licences and limits, during one decision."""

    def __init__(self, snapshot: ClusterSnapshot) -> None:
        self._left: dict[Hashable, int] = {("licence", name): free for name, free in snapshot.licenses.items()}
        self._limits = snapshot.limits
        self._standing: dict[tuple[str, str, str], tuple[JobLimit, ...]] = {}
        for limit in self._limits:
            self._left[limit] = limit.most
        if self._limits:
            for job in snapshot.jobs:
                if job.running:
                    for limit in self._over(job):
                        self._left[limit] -= _amounts(job)[limit.what]

    def startable(self, job: Job) -> tuple[int, str]:
        """Take what a job needs; return how many of its tasks may start, and if that is none, why, in words."""
        needs = self._needs(job) if job.licenses or self._limits else {}
        if not needs:
            return job.count, ""
        counts = {key: max(0, self._left[key]) // each for key, each in needs.items()}
        scarce = min(counts, key=lambda key: counts[key])
        count = min(job.count, counts[scarce])
        if not count:
            return 0, self._why_not(scarce, needs[scarce])
        for key, each in needs.items():
            self._left[key] -= each * count
        return count, ""

    def _needs(self, job: Job) -> dict[Hashable, int]:
        needs: dict[Hashable, int] = {}
        # a licence that is not known limits nothing, nor does a choice between several
        for part in job.licenses.split(",") if job.licenses and "|" not in job.licenses else ():
            match = _LICENSE.fullmatch(part.strip())
            if match and ("licence", match[1]) in self._left:
                needs["licence", match[1]] = int(match[2] or 1)
        if self._limits:
            amounts = _amounts(job)
            needs |= {limit: amounts[limit.what] for limit in self._over(job)}
        return {key: each for key, each in needs.items() if each}

    def _over(self, job: Job) -> tuple[JobLimit, ...]:
        """Return the limits that stand over a job."""
        whose = (job.qos, job.account, job.user)
        found = self._standing.get(whose)
        if found is None:
            found = self._standing[whose] = tuple(one for one in self._limits if one.concerns(*whose))
        return found

    def _why_not(self, scarce: Hashable, each: int) -> str:
        left = max(0, self._left[scarce])
        if isinstance(scarce, JobLimit):
            more = f"it needs {each}, {left} left for it" if scarce.what != "jobs" else "that many run or are to start"
            return f"waits for a limit, {scarce.name} ({scarce.most}): {more}"
        _, name = scarce if isinstance(scarce, tuple) else ("", scarce)
        return f"waits for licence {name}: it needs {each}, {left} left for it"


def _amounts(job: Job) -> Mapping[str, int]:
    """Return what one task of a job counts for."""
    asked = job.request
    nodes = len(job.nodes) or max(1, asked.nodes_min)
    gpus = (
        asked.gpus_per_node.gpu_count * nodes
        + asked.gpus_per_job.gpu_count
        + asked.gpus_per_task.gpu_count * asked.tasks
    )
    cpus = max(asked.cpus_total, asked.tasks * asked.cpus_per_task)
    memory = asked.memory_per_node_mib * nodes + asked.memory_per_cpu_mib * cpus
    return {"jobs": 1, "cpus": cpus, "nodes": nodes, "gpus": gpus, "memory_mib": memory}
