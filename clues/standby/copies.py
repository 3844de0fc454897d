"""What the active front-end writes into the shared folder, so that the other can go on from it.

``snapshot.N`` is the whole ledger, made by SQLite's backup on a local disk and then copied as bytes. ``journal.N``
holds what was committed since: one JSON document a line, of claims, memory and standing orders, each as a whole, so
that the last word counts and a line that stands in the snapshot too changes nothing. N is the lease's number at that
moment, so the newest is known by its name whoever wrote it.

A line is flushed before what it stands for is done (:meth:`clues.standby.keeper.Keeper.permit`): so the other one knows
of every call that was ever sent, repeats it with the same launch key, and ends no VM twice. Events and costs come with
the next snapshot; those in between are lost with a front-end that dies.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter

from clues.errors import LedgerError
from clues.ledger import Commit, Ledger
from clues.standby.folder import SharedFolder

log = logging.getLogger(__name__)


@cache
def lines() -> TypeAdapter[Commit]:
    """Return how a commit is written and read; made when it is first needed, as most front-ends are alone."""
    return TypeAdapter(Commit)


#: Snapshots that are kept: should the newest be damaged, the one before it and its journals are as good.
KEPT = 2


class Copies:
    """The copies of one ledger."""

    def __init__(self, folder: SharedFolder, ledger: Ledger, scratch: Path, inventory: Path) -> None:
        """
        :param scratch: a file on a local disk, for the copy while it is made.
        :param inventory: the file that tells hub, broker and signer who belongs to the cluster.
        """
        self._folder, self._ledger, self._scratch, self._inventory = folder, ledger, scratch, inventory
        self._lines: list[bytes] = []
        self._guard = threading.Lock()
        self._writing = threading.Lock()
        self._journal: Path | None = None
        self._torn = False
        self._number = -1
        self._told_inventory: tuple[int, int] | None = None
        #: called when there is something to be written
        self.hurry: Callable[[], None] = lambda: None

    def record(self, change: Commit) -> None:
        """Take in what was committed a moment ago. The owner's thread."""
        if not (change.claims or change.memory or change.operator):
            return
        kept = Commit(claims=change.claims, memory=change.memory, operator=change.operator)
        with self._guard:
            self._lines.append(lines().dump_json(kept) + b"\n")
        self.hurry()

    def untold(self) -> bool:
        """Return whether something was taken in that is not in the folder yet."""
        return bool(self._lines) and self._journal is not None

    def tell(self) -> None:
        """Write down what was taken in, and the inventory if it has changed; durable when this returns.

        :raises OSError: it is not; all of it is kept for the next time.
        """
        self.settle()
        if self._journal is None:
            return
        found = self._inventory.stat() if self._inventory.exists() else None
        version = (found.st_mtime_ns, found.st_ino) if found is not None else None
        if version is not None and version != self._told_inventory:
            self._folder.write("inventory.json", self._inventory.read_bytes())
            self._told_inventory = version

    def settle(self) -> None:
        """Write down what was taken in; durable when this returns. Any thread.

        :raises OSError: it is not; all of it is kept for the next time.
        """
        with self._writing:
            if self._journal is not None:
                self._flush(self._journal)

    def _flush(self, journal: Path) -> None:
        with self._guard:
            taken, self._lines = self._lines, []
        if not taken:
            return
        try:
            handle = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(handle, "ab") as file:
                # what was cut off by a full disk stands alone on its line, and is no document
                file.write((b"\n" if self._torn else b"") + b"".join(taken))
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            self._torn = True
            with self._guard:
                self._lines = taken + self._lines
            raise
        self._torn = False

    def snapshot(self, number: int) -> None:
        """Copy the whole ledger under the lease's *number*, which has grown since the last time, and forget older ones.

        :raises OSError: it cannot be copied; the last one stands, with the journals since.
        """
        if number <= self._number:
            return
        with self._writing:
            if self._journal is not None:
                self._flush(self._journal)
            # from here on commits go into the new journal: those that the copy has as well do no harm
            self._journal, self._torn = self._folder.path / f"journal.{number}", False
        try:
            self._ledger.copy_to(self._scratch)
        except LedgerError as error:
            raise OSError(str(error)) from error
        new = self._folder.path / f".snapshot.{number}"
        try:
            with self._scratch.open("rb") as source, new.open("wb") as target:
                new.chmod(0o600)
                shutil.copyfileobj(source, target)
                target.flush()
                os.fsync(target.fileno())
            new.rename(self._folder.path / f"snapshot.{number}")
        finally:
            new.unlink(missing_ok=True)
            self._scratch.unlink(missing_ok=True)
        self._number = number
        self._forget()

    def _forget(self) -> None:
        numbers = self._folder.numbered("snapshot")
        oldest = numbers[-KEPT:][0]
        for kind in ("snapshot", "journal"):
            for number in self._folder.numbered(kind):
                if number < oldest:
                    (self._folder.path / f"{kind}.{number}").unlink(missing_ok=True)
