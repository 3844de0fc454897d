"""What the other front-end has written becomes the ledger of this one.

A ledger is *stale* once another front-end was active: a file beside it says so from the moment at which that is seen
until a copy has taken its place. So a process that dies half way begins anew, and no old ledger is ever acted upon.
"""

from __future__ import annotations

import logging
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from pydantic import ValidationError

from clues.errors import CluesError, LedgerError, Transient
from clues.ledger import open_ledger
from clues.standby.copies import lines
from clues.standby.folder import SharedFolder

log = logging.getLogger(__name__)

#: What follows the ledger's name while its content is another front-end's past.
STALE = ".stale"
#: SQLite's companions of a ledger.
_PARTS = ("", "-wal", "-shm")


def is_stale(ledger: Path) -> bool:
    """Return whether this ledger must not be acted upon."""
    return ledger.with_name(ledger.name + STALE).exists()


def make_stale(ledger: Path) -> None:
    """Note that another front-end is active.

    :raises OSError: it cannot be noted.
    """
    ledger.with_name(ledger.name + STALE).touch(mode=0o600)


def fetch(folder: SharedFolder, ledger: Path) -> Path:
    """Put the newest copy that is whole beside the ledger, with all journals since; return where.

    :raises Transient: there is none, or it cannot be read now.
    """
    found = ledger.with_name(f"{ledger.name}.incoming")
    why = f"{folder.path}: there is no snapshot of the ledger in it"
    try:
        for number in reversed(folder.numbered("snapshot")):
            _remove(found)
            found.touch(mode=0o600)
            shutil.copyfile(folder.path / f"snapshot.{number}", found)
            if why_bad := _what_is_wrong(found):
                why = f"{folder.path / f'snapshot.{number}'}: {why_bad}"
                log.warning("%s", why)
                continue
            _replay(folder, number, found)
            return found
    except (OSError, CluesError) as error:
        raise Transient(f"the ledger of the other front-end cannot be read: {error}") from error
    raise Transient(f"the ledger of the other front-end cannot be read: {why}")


def put_in_place(incoming: Path, ledger: Path) -> None:
    """Make the fetched copy the ledger; what was there is kept once, as ``ledger.db.before``.

    :raises OSError: it stays stale.
    """
    before = f"{ledger.name}.before"
    for part in _PARTS:
        old, kept = ledger.with_name(ledger.name + part), ledger.with_name(before + part)
        kept.unlink(missing_ok=True)
        if old.exists():
            old.rename(kept)
    incoming.rename(ledger)


def make_current(ledger: Path) -> None:
    """Note that this ledger is the cluster's again."""
    ledger.with_name(ledger.name + STALE).unlink(missing_ok=True)


def _what_is_wrong(path: Path) -> str:
    try:
        with closing(sqlite3.connect(path)) as db:
            (said,) = db.execute("PRAGMA quick_check(1)").fetchone()
            (version,) = db.execute("PRAGMA user_version").fetchone()
    except sqlite3.Error as error:
        return str(error)
    return "" if said == "ok" and version else f"is damaged: {said}"


def _replay(folder: SharedFolder, since: int, incoming: Path) -> None:
    ledger = open_ledger(incoming)
    try:
        for number in folder.numbered("journal"):
            if number < since:
                continue
            for line in (folder.read(f"journal.{number}") or b"").split(b"\n"):
                if not line.strip():
                    continue
                try:
                    change = lines().validate_json(line)
                except ValidationError:
                    # the last line of one that died, or what a full disk has cut off and was written again
                    log.warning("journal.%d: a line that was not written whole is left out", number)
                    continue
                ledger.overwrite(change)
    except LedgerError:
        ledger.close()
        raise
    ledger.close()
    _remove(incoming, parts=_PARTS[1:])


def _remove(path: Path, parts: tuple[str, ...] = _PARTS) -> None:
    for part in parts:
        path.with_name(path.name + part).unlink(missing_ok=True)
