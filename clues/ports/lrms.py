"""What the core asks of the batch system."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol, runtime_checkable

from clues.model import (
    ClusterSnapshot,
    Finding,
    JobUse,
    Settings,
)
from clues.ports.provision import Provision


@runtime_checkable
class Accounting(Protocol):
    """What a batch system may do besides: tell which jobs ran where."""

    def job_uses(self, begin: datetime, end: datetime) -> Sequence[JobUse]:
        """Return all runs of jobs between two moments, each once. Called by any thread; may take its time.

        :raises clues.errors.InvalidRequest: it keeps no accounting; the text says how it would.
        :raises clues.errors.LrmsError: it cannot be asked now.
        """
        ...


class Lrms(Protocol):
    """The batch system. Failures are :class:`clues.errors.LrmsError`; every command is idempotent."""

    def snapshot(self) -> ClusterSnapshot:
        """Return nodes, jobs and reservations at one moment: jobs read before nodes."""
        ...

    def counters(self) -> Mapping[str, int]:
        """Return cheap counters that move whenever a job is submitted, starts or ends (about 6 ms)."""
        ...

    def open(self, nodes: Sequence[str]) -> None:
        """Let jobs start on these nodes, all in one command; only where the reason is ours or empty."""
        ...

    def drain(self, nodes: Sequence[str], reason: str) -> None:
        """Let nothing new start on these nodes; running jobs go on."""
        ...

    def power_off(self, nodes: Sequence[str], reason: str, *, vanished: bool) -> tuple[str, ...]:
        """Set down and power down those of *nodes* that, read again right now, are closed and idle (or all of them
        when their VMs have *vanished*); return the names that were."""
        ...

    def bind(self, node: str, address: str, features: Iterable[str]) -> None:
        """Tell where a node is and which of its features are active."""
        ...

    def pin(self, job: str, site: str, original: str) -> None:
        """Add *site* to a pending job's constraint *original*; an empty site puts the original back."""
        ...

    def reserve(self, name: str, begin: datetime, end: datetime, nodes: Sequence[str]) -> None:
        """Have the reservation *name* keep exactly *nodes* free of jobs that could not end before *begin*; without
        nodes it goes."""
        ...

    def release(self, nodes: Sequence[str]) -> None:
        """Let the batch system allocate these powered-down nodes, which it powers up by itself; only where the reason
        is ours or empty."""
        ...

    def power_up(self, nodes: Sequence[str]) -> None:
        """Have the batch system power up those of *nodes* that are powered down and not kept closed."""
        ...

    def give_up(self, nodes: Sequence[str], reason: str) -> tuple[str, ...]:
        """Set down and power down those of *nodes* that, read again right now, are being powered up: jobs that were
        given them are requeued. Return the names that were."""
        ...

    def annotate(self, job: str, text: str) -> None:
        """Have the batch system show *text* with a job, unless somebody else wrote there; no error for a job that is
        gone. *text* may hold a provider's words, of any form."""
        ...

    def forget(self, requests: Sequence[str]) -> None:
        """Drop these of a snapshot's requests; one that is gone already is no error."""
        ...

    def bootstrap(self, node: str) -> Provision:
        """Return what a new worker needs to join; its secrets by name only."""
        ...

    def render_config(self, settings: Settings) -> Mapping[str, str]:
        """Return the configuration fragments for the pools by file name (``slurm.conf`` part, ``gres.conf``)."""
        ...

    def check_config(self, settings: Settings) -> list[str]:
        """Compare the fragments with the running controller; one sentence for each difference, empty when alike."""
        ...

    def examine(self, uid: int) -> list[Finding]:
        """Look whether the batch system obeys the user of this number, as whom the daemon runs; changes nothing.

        :raises LrmsError: it cannot be asked.
        """
        ...
