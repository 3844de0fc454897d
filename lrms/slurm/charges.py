"""Whom each job is charged to, its account and QOS, and the limits that stand over them.

Both are asked for apart from everything else. Where Slurm enforces no associations a user may write anything as an
account, newlines included: so it is in no record that anything else is read from. One more ``squeue`` prints ids,
accounts and QOSs alone, each record ended by a mark that no user can know, and what is not a plain word after all is no
account. The worst that a user can do is to be charged to nobody.

Accounts and limits rarely change, and how far a limit is used follows from the queue itself: they are asked for only
when there is a job that was not seen before, and once a minute.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from clues.model import ClusterSnapshot, Job, JobLimit
from lrms.slurm.jobs import SEPARATOR, array_of

#: Answers are asked for anew after so many seconds.
HOLDS = 60.0

_PLAIN = re.compile(r"[a-z0-9_][a-z0-9_.@+-]{0,99}")


def charges_format(mark: str) -> str:
    """Return the value of ``SQUEUE_FORMAT``."""
    return f"%i{SEPARATOR}%a{SEPARATOR}%q{SEPARATOR}{mark}"


@lru_cache(maxsize=4096)
def plain_account(text: str) -> str:
    """Return the name of an account or QOS, in small letters as Slurm keeps it; empty for what cannot be one."""
    name = text.lower()
    return name if _PLAIN.fullmatch(name) else ""


def read_charges(text: str, mark: str) -> dict[str, tuple[str, str]]:
    """Return account and QOS by the ids of jobs; empty where there is none, or none that makes sense."""
    found = {}
    for part in text.split(f"{SEPARATOR}{mark}\n"):
        fields = part.split(SEPARATOR)
        if len(fields) == 3:
            found[array_of(fields[0])] = (plain_account(fields[1]), plain_account(fields[2]))
    return found


@dataclass(frozen=True, slots=True)
class Told:
    """What Slurm told."""

    #: by job, its account and QOS
    charges: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    limits: tuple[JobLimit, ...] = ()


class Charges:
    """What is known of the jobs' accounts, QOSs and limits."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known = Told()
        self._until = 0.0
        #: of the last look, each job as it was read and as it was given on: the same gives the very same object
        self._last: dict[str, tuple[Job, tuple[str, str], Job]] = {}

    def put_on(self, snapshot: ClusterSnapshot, ask: Callable[[], Told]) -> ClusterSnapshot:
        """Return the snapshot with all that; what the jobs have of it already stays.

        :param ask: has Slurm asked; what it raises is raised.
        """
        jobs, known = snapshot.jobs, self._known.charges
        if any(job.id not in known for job in jobs) or (jobs and self._clock() >= self._until):
            told = ask()
            # one that has gone in between is not asked for again
            self._known = replace(told, charges={job.id: told.charges.get(job.id, ("", "")) for job in jobs})
            self._until, known = self._clock() + HOLDS, self._known.charges
        last, self._last = self._last, {}
        charged = []
        for job in jobs:
            charge, before = known[job.id], last.get(job.id)
            if before is None or before[0] is not job or before[1] != charge:
                before = job, charge, _charged(job, *charge)
            self._last[job.id] = before
            charged.append(before[2])
        return replace(snapshot, jobs=tuple(charged), limits=self._known.limits)


def _charged(job: Job, account: str, qos: str) -> Job:
    return replace(job, account=job.account or account, qos=job.qos or qos) if account or qos else job
