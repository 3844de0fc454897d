"""The lease: who is the active front-end. Pure: a folder's names and the reading of a clock come in as values.

The lease is one file whose *name* says it all: ``lease.NUMBER.HOLDER.NAME``. Whoever holds it or wants it renames that
very file to the next number. A rename is done by the file system's server, whole or not at all, and the old name is
gone then, so of any number of renames of one file one succeeds: nobody has to believe a cache, a lock or a clock of
another machine. Numbers only grow; a number is the fencing token of what is done under it.

Two rules on top make sure that no two act at once:

- The holder may act for ``lease`` seconds after the *beginning* of its last rename that succeeded, by its own clock.
- Another one takes the lease when it has seen the same number for ``wait`` seconds, by its own clock, reckoned from the
  *end* of the look that showed it first. As ``wait`` is longer by a quarter, the two clocks may differ in rate by that
  much; what they show does not matter at all. A renewal that was not seen makes the rename fail.

Clocks are seconds of ``CLOCK_BOOTTIME``, which goes on while a machine sleeps.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

#: What a look may find: the holder's id, and its host's name for people. ``lease.0`` is nobody's yet.
_FILE = re.compile(r"lease\.([0-9]{1,18})(?:\.([0-9a-f]{16})\.([A-Za-z0-9][A-Za-z0-9.-]{0,200}))?")

#: So much longer waits who wants the lease than its holder may act.
MARGIN = 1.25
#: Renewals within the life of one: some may fail before anything is lost.
RENEWALS = 6


@dataclass(frozen=True, slots=True)
class Lease:
    """The lease at one moment."""

    number: int
    #: the id of a state folder; empty: nobody has had it yet
    holder: str = ""
    name: str = ""

    @property
    def file(self) -> str:
        """The name of its file."""
        return f"lease.{self.number}.{self.holder}.{self.name}" if self.holder else f"lease.{self.number}"

    def next(self, holder: str, name: str) -> Lease:
        """Return what it becomes when this one renews or takes it."""
        return Lease(self.number + 1, holder, name)


@dataclass(frozen=True, slots=True)
class Timing:
    """How long what holds, in seconds."""

    lease: float

    @property
    def wait(self) -> float:
        """How long a number has to stand still before another one takes the lease."""
        return self.lease * MARGIN

    @property
    def renew_every(self) -> float:
        """How often its holder renews it."""
        return self.lease / RENEWALS


@dataclass(frozen=True, slots=True)
class Watch:
    """What one that waits has seen."""

    lease: Lease | None = None
    #: the end of the look that first showed this number, by our clock
    since: float = 0.0
    #: why the last look told nothing; empty: it did
    trouble: str = ""


def read(names: Iterable[str]) -> tuple[Lease | None, str]:
    """Return the lease in a folder with these names, or None and why it cannot be told: unknown is never free."""
    found = [Lease(int(hit[1]), hit[2] or "", hit[3] or "") for name in names if (hit := _FILE.fullmatch(name))]
    if len(found) == 1:
        return found[0], ""
    if not found:
        return None, "there is no lease in it: is it mounted? If it is new, make the first one: touch lease.0"
    told = ", ".join(sorted(one.file for one in found))
    return (
        None,
        f"there are several leases in it ({told}): stop cluesd on both front-ends and remove all but the newest",
    )


def seen(watch: Watch, lease: Lease | None, trouble: str, now: float) -> Watch:
    """Return the watch after a look that ended *now*. One that told nothing, or what was long ago, proves nothing."""
    if lease is None:
        return replace(watch, trouble=trouble)
    if watch.lease is not None and lease.number < watch.lease.number:
        return replace(watch, trouble="")  # out of a cache: numbers only grow
    return Watch(lease, watch.since if lease == watch.lease else now)


def may_take(watch: Watch, me: str, now: float, timing: Timing) -> bool:
    """Return whether to try to rename the lease that was seen last.

    At once where it is our own (a process of this state folder held it, and only one runs at a time) or nobody's yet.
    """
    if watch.lease is None or watch.trouble:
        return False
    return watch.lease.holder in (me, "") or now - watch.since >= timing.wait


def may_act(renewed_at: float | None, now: float, timing: Timing) -> bool:
    """Return whether the holder may act.

    :param renewed_at: when the last rename began that succeeded; None: there was none.
    """
    return renewed_at is not None and 0 <= now - renewed_at < timing.lease
