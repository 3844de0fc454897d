"""An active front-end beside its daemon: the lease is renewed, the ledger copied, and who stands by is watched."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from datetime import timedelta

from clues.config import FrontEnds
from clues.errors import Transient
from clues.ledger import Commit, Ledger
from clues.places import Places
from clues.standby import identity, restoring
from clues.standby.copies import Copies
from clues.standby.keeper import boot_time
from clues.standby.waiting import Turn

log = logging.getLogger(__name__)

#: One that stands by and did not say so for so many seconds is not there.
SILENT = 60.0


class Activity:
    """What :mod:`clues.main` puts around a daemon that is one of two."""

    def __init__(self, turn: Turn, front_ends: FrontEnds, ledger: Ledger, places: Places) -> None:
        self._turn, self._keeper, self._places = turn, turn.keeper, places
        self._every = front_ends.snapshot / timedelta(seconds=1)
        self._copies = Copies(turn.folder, ledger, places.state / "snapshot.new", places.inventory)
        self._copies.hurry = self._keeper.hurry
        self._keeper.tell, self._keeper.untold = self._copies.tell, self._copies.untold
        self._ended = threading.Event()
        self._snapshot_trouble = ""
        #: those that stand by, by their id: what they said last, and since when
        self._others: dict[str, tuple[bytes, float]] = {}
        self._thread = threading.Thread(target=self._run, name="ledger-copies", daemon=True)
        self._began = boot_time()

    def start(self) -> None:
        """Make the first copy, so that another front-end could go on from here before anything is done.

        :raises Transient: it cannot be made.
        """
        try:
            identity.tell(self._turn.folder, self._turn.proof)
            self._copies.snapshot(self._keeper.lease.number)
            restoring.make_current(self._places.state / "ledger.db")
        except OSError as error:
            raise Transient(f"the ledger cannot be copied for the other front-end: {error}") from error
        self._thread.start()

    def stop(self) -> None:
        """Copy no more, renew no more. The lease stays ours until it ends: who is started again goes on with it."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(5)
        self._keeper.stop()

    def record(self, change: Commit) -> None:
        """Take in what was committed."""
        self._copies.record(change)

    def settle(self) -> None:
        """Return when all that was committed so far is written down for the other front-end, or cannot be: the trouble
        says so then, and what was ordered holds here."""
        with suppress(OSError):
            self._copies.settle()

    def permit(self) -> None:
        """Return when an effect may be had.

        :raises Transient: it must not.
        """
        self._keeper.permit()

    def trouble(self) -> str:
        """Return what a sysadmin has to see to; empty: a front-end stands by and could take over."""
        if self._keeper.trouble or self._snapshot_trouble:
            return self._keeper.trouble or self._snapshot_trouble
        now = boot_time()
        if now - self._began < SILENT:
            return ""
        last = max((since for _, since in self._others.values()), default=None)
        if last is None:
            return "no other front-end stands by: start cluesd there"
        if now - last > SILENT:
            return f"the front-end that stood by is silent for {now - last:.0f} s: see to cluesd there"
        return ""

    def _run(self) -> None:
        due = boot_time() + self._every
        while not self._ended.wait(min(5.0, self._every / 2)):
            try:
                self._see_the_others()
                self._tell_authority()
                if boot_time() >= due:
                    self._copies.snapshot(self._keeper.lease.number)
                    due = boot_time() + self._every
            except OSError as error:
                self._snapshot_trouble = f"the ledger cannot be copied for the other front-end: {error}"
                log.error("%s", self._snapshot_trouble)
            else:
                self._snapshot_trouble = ""

    def _tell_authority(self) -> None:
        mine = identity.authority(self._places.trust)
        if mine and mine != self._turn.folder.read("authority"):
            self._turn.folder.write("authority", mine)

    def _see_the_others(self) -> None:
        for path in self._turn.folder.path.glob("standby.*"):
            said = path.read_bytes() if path.exists() else b""
            if said != self._others.get(path.name, (b"", 0.0))[0]:
                self._others[path.name] = (said, boot_time())
