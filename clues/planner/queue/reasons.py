"""Which pending jobs want nodes: Slurm's reasons as one table.

Slurm's own source lists about a hundred reasons (``slurm.h``, ``enum job_state_reason``).  What matters here is only
what a new node would change.  A reason that is not in the table buys nothing and is told, because money spent on a
misunderstanding is worse than a question.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache


class Need(StrEnum):
    """What a new node would do for a job that is pending for some reason."""

    NODES = "nodes"  # it waits for resources: a node helps
    WAITS = "waits"  # it waits for something else that passes by itself
    NEVER = "never"  # a person has to change something first
    UNKNOWN = "unknown"  # we do not know this reason


#: By the reason's first word, as ``squeue %r`` and the JSON ``state_reason`` give it.
REASONS: dict[str, Need] = {
    **dict.fromkeys(("None", "Resources", "Priority", "ReqNodeNotAvail", "NodeDown", "Nodes"), Need.NODES),
    **dict.fromkeys(
        (
            "BeginTime",
            "Dependency",
            "Reservation",
            "ReservationDeleted",
            "Licenses",
            "JobArrayTaskLimit",
            "Prolog",
            "SchedDefer",
            "Cleaning",
            "BurstBufferOperation",
            "BurstBufferResources",
            "BurstBufferStageIn",
            "FrontEndDown",
            "SystemFailure",
            "FedJobLock",
            "Reserved",
            "MpiPortsBusy",
        ),
        Need.WAITS,
    ),
    **dict.fromkeys(
        (
            "JobHeldUser",
            "JobHeldAdmin",
            "JobHoldMaxRequeue",
            "JobLaunchFailure",
            "DependencyNeverSatisfied",
            "PartitionDown",
            "PartitionInactive",
            "PartitionNodeLimit",
            "PartitionTimeLimit",
            "PartitionConfig",
            "AccountNotAllowed",
            "AccountingPolicy",
            "BadConstraints",
            "DeadLine",
            "InactiveLimit",
            "TimeLimit",
            "NonZeroExitCode",
            "OutOfMemory",
            "launch",  # "launch failed requeued held"
            "job",  # "job requeued in held state"
        ),
        Need.NEVER,
    ),
}

#: Limits of one job or of a node's share: the job itself has to change, or the limit.
_OF_ONE_JOB = re.compile(
    r"PerJob|PerNode$|^QOSMin|NotAllowed|WallDuration|TimeLimit$|Threshold|MemPerLimit|ResourceLimit$"
)

#: Families of reasons: limits of associations, QOSs and accounts pass as other jobs end (or their usage fades), never
#: by nodes; those of one job do not pass.
PREFIXES: tuple[tuple[str, Need], ...] = (
    ("Assoc", Need.WAITS),
    ("QOS", Need.WAITS),
    ("Invalid", Need.NEVER),
    ("BurstBuffer", Need.WAITS),
    ("Max", Need.WAITS),
)


def first_word(reason: str) -> str:
    """Return the word that a reason begins with, ``None`` for an empty one."""
    words = reason.replace("(", " ").replace(",", " ").split()
    return words[0] if words else "None"


@lru_cache(maxsize=4096)
def need_of(reason: str) -> Need:
    """Return what a job with this pending reason needs.

    The reason may carry more text (``ReqNodeNotAvail, UnavailableNodes:cpu-[1-3]``, or the sentence "Nodes required for
    job are DOWN, DRAINED or reserved for jobs in higher priority partitions").
    """
    first = first_word(reason)
    if first in REASONS:
        return REASONS[first]
    for prefix, need in PREFIXES:
        if first.startswith(prefix):
            return Need.NEVER if need is Need.WAITS and _OF_ONE_JOB.search(first) else need
    return Need.UNKNOWN
