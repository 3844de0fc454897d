"""Holds the lease while this front-end is active, and ends the process when it can no longer be sure of it.

Two threads. One does everything with the shared folder: it writes down what is to be known there and renews the lease;
a file system that hangs stops it and nothing else. The other looks at the clock alone, and ends the process when the
lease has run out: at once, by ``_exit``, so that calls under way are cut off and nothing is written any more. systemd
starts it again, and then it stands by.

What has an effect outside waits in :meth:`permit` for a renewal that was begun after it had been decided. So a process
that slept through its lease's end does nothing when it wakes: not even its clock is believed then, which a hypervisor
may have stopped with it.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable

from clues.errors import Transient
from clues.standby.folder import SharedFolder
from clues.standby.lease import Lease, Timing, may_act

log = logging.getLogger(__name__)

#: EX_TEMPFAIL: systemd starts it again.
LOST = 75


def boot_time() -> float:
    """Return seconds that go on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def end_process(why: str) -> None:
    """End this process without another word to anybody outside."""
    log.critical("%s: this front-end stops acting at once; VMs and jobs go on", why)
    os._exit(LOST)


class Keeper:
    """The lease in the holder's hands."""

    def __init__(
        self,
        folder: SharedFolder,
        lease: Lease,
        renewed_at: float,
        timing: Timing,
        *,
        clock: Callable[[], float] = boot_time,
        lost: Callable[[str], None] = end_process,
    ) -> None:
        """
        :param lease: as this process has just taken it, by a rename that began at *renewed_at*.
        :param lost: ends all that acts; called from any thread.
        """
        self._folder, self._timing, self._clock, self._lost = folder, timing, clock, lost
        self.lease = lease
        self._renewed_at, self._told_at = renewed_at, renewed_at
        self._wanted = renewed_at
        self._turn = threading.Condition()
        self._ended = threading.Event()
        #: writes down in the folder what has to be known there before anything is done; raises OSError
        self.tell: Callable[[], None] = lambda: None
        #: whether there is something to tell at once
        self.untold: Callable[[], bool] = lambda: False
        #: why the folder does not do as it should; empty: it does
        self.trouble = ""
        self._threads = [
            threading.Thread(target=run, name=f"lease-{name}", daemon=True)
            for name, run in (("renewal", self._renew_for_ever), ("end", self._watch_the_clock))
        ]

    def start(self) -> None:
        """Renew it from now on."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Renew it no more. It is not given back: who is started again here goes on with it."""
        self._ended.set()
        self.hurry()

    def hurry(self) -> None:
        """Have what is untold written down at once. Any thread."""
        with self._turn:
            self._turn.notify_all()

    @property
    def may_act(self) -> bool:
        """Whether the lease holds, by our own clock."""
        return may_act(self._renewed_at, self._clock(), self._timing)

    def permit(self) -> None:
        """Return once the lease was renewed by a call that began after this one, all that was committed being told.

        :raises Transient: it was not in time: what was to be done must not be.
        """
        asked = self._clock()
        with self._turn:
            self._wanted = max(self._wanted, asked)
            self._turn.notify_all()
            self._turn.wait_for(lambda: self._told_at >= asked or self._ended.is_set(), self._timing.lease)
            if self._told_at < asked or not self.may_act:
                why = self.trouble or "the lease could not be renewed"
                raise Transient(f"nothing is done: {why}")

    # --- the two threads ---

    def _renew_for_ever(self) -> None:
        due = self._renewed_at + self._timing.renew_every
        while not self._ended.is_set():
            with self._turn:
                self._turn.wait_for(
                    lambda: self._ended.is_set() or self._wanted > self._told_at or self.untold(),
                    max(0.0, due - self._clock()),
                )
                wanted = self._wanted > self._told_at
            if self._ended.is_set():
                return
            told = self._tell()
            if wanted or self._clock() >= due:
                renewed = self.renew(told)
                due = self._clock() + (self._timing.renew_every if renewed else min(1.0, self._timing.renew_every / 4))
            if not told or self.trouble:
                self._ended.wait(min(0.2, self._timing.renew_every / 4))  # who waits for a permit asks again and again

    def _tell(self) -> bool:
        try:
            self.tell()
        except OSError as error:
            self.trouble = f"what is committed here cannot be told to the other front-end ({error})"
            return False
        return True

    def renew(self, told: bool = True) -> bool:
        """Rename the lease's file once; return whether that is known to have been done.

        :param told: all that was committed until now stands in the folder.
        """
        began = self._clock()
        after = self.lease.next(self.lease.holder, self.lease.name)
        try:
            moved = self._folder.move(self.lease, after)
        except OSError as error:
            self.trouble = f"the lease cannot be renewed ({error})"
            return False
        if not moved:
            return self._look_where_it_is()
        self.lease = after
        with self._turn:
            self._renewed_at = began
            if told:
                self._told_at, self.trouble = began, ""
            self._turn.notify_all()
        return True

    def _look_where_it_is(self) -> bool:
        """The file was not there: another has taken the lease, or an answer of the file system was lost."""
        found, trouble = self._folder.look()
        if found is None:
            self.trouble = f"the lease cannot be renewed ({trouble})"
        elif found.holder == self.lease.holder and found.number >= self.lease.number:
            self.lease = found
        elif found.number > self.lease.number:
            self._lost(f"{found.name} has taken the lease")
        return False

    def _watch_the_clock(self) -> None:
        while not self._ended.is_set():
            now = self._clock()
            if not may_act(self._renewed_at, now, self._timing):
                self._lost(
                    f"the lease was not renewed for {now - self._renewed_at:.0f} s ({self.trouble or 'no answer'})"
                )
                return
            self._ended.wait(min(self._timing.renew_every, self._renewed_at + self._timing.lease - now + 0.01))
