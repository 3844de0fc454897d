"""What the batch system's accounting knows of jobs that ran: who pays for what part of which node."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class JobUse:
    """One run of a job on its nodes. A job that was requeued has several."""

    job: str
    user: str
    account: str
    qos: str
    nodes: tuple[str, ...]
    begin: datetime
    #: None: it runs still
    end: datetime | None
    #: on all of its nodes together
    cpus: int = 0
    gpus: int = 0


@dataclass(frozen=True, slots=True)
class Share:
    """A part of what the ledger has booked in one hour, and whose it is. Empty: nobody's, or not known (see *use*)."""

    hour: datetime
    pool: str
    site: str
    account: str
    amount: float
    market: str = ""
    user: str = ""
    qos: str = ""
    job: str = ""
    #: one of :data:`USES`
    use: str = ""


USES: dict[str, str] = {
    "job": "a job ran there, or the VM was started for it",
    "idle": "nobody's job ran there",
    "router": "the router of a site",
    "unknown": "an account's job ran there, and Slurm's accounting does not tell which",
}
