"""What was issued to whom, so that it can be revoked: written down before a certificate leaves the house.

A crash in between leaves a certificate in the list that nobody has, which harms nobody; the other way round there
would be one that cannot be revoked. The certificate itself stands in the list too (it is public): whoever asks again
soon gets the same one, so that a member that asks in a loop fills neither the list nor the CRL.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Collection
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from clues.bootstrap import secret_file
from clues.errors import ConfigError, Transient

FORM = 1
#: a certificate that has ended is forgotten so long after its end
_REMEMBERED = timedelta(days=1)
_T = TypeVar("_T")

_SCHEMA = f"""
CREATE TABLE issued (
    serial TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    identity TEXT NOT NULL,
    kind TEXT NOT NULL,
    authority INTEGER NOT NULL,
    issued_at REAL NOT NULL,
    ends_at REAL NOT NULL,
    revoked_at REAL,
    pem TEXT NOT NULL
) STRICT;
CREATE INDEX issued_holder ON issued (holder, issued_at);
PRAGMA user_version = {FORM};
"""


@dataclass(frozen=True, slots=True)
class Issued:
    """One certificate."""

    serial: int
    #: a member's launch key, or the name of a server of ours
    holder: str
    identity: str
    #: ``worker``, ``router``, ``hub`` or ``front``
    kind: str
    #: number of the authority that signed it
    authority: int
    issued_at: datetime
    ends_at: datetime
    pem: str
    #: None: it is good
    revoked_at: datetime | None = None


class IssuedList:
    """The list on disk, readable by us alone; any thread may ask it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        #: grows with each record and each revocation
        self.changes = 0

    @classmethod
    def open(cls, path: Path) -> IssuedList:
        """Return the list in this file; a new one where there is none.

        :raises ConfigError: the file can be read by others, is damaged, or is of a newer version. A list that cannot
            be read is never begun anew: what stands in it could not be revoked any more.
        """
        if secret_file.read(path) is None:
            with closing(sqlite3.connect(":memory:")) as empty:
                empty.executescript(_SCHEMA)
                secret_file.create(path, empty.serialize())
        try:
            connection = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
            form = connection.execute("PRAGMA user_version").fetchone()[0]
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            connection.execute("PRAGMA synchronous = EXTRA")
        except sqlite3.Error as error:
            raise ConfigError(f"{path}: cannot be read: {error}; restore it from a backup") from error
        if form != FORM:
            raise ConfigError(f"{path}: has form {form}, {FORM} is known here")
        if found != "ok":
            raise ConfigError(f"{path}: is damaged; restore it from a backup")
        return cls(connection)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def record(self, one: Issued) -> None:
        """Write one down; it is on the disk when this returns.

        :raises Transient: it could not be written; its certificate must not be handed out.
        """
        self._ask(
            lambda connection: connection.execute(
                "INSERT INTO issued VALUES (?, ?, ?, ?, ?, ?, ?, NULL, ?)",
                (
                    _hex(one.serial),
                    one.holder,
                    one.identity,
                    one.kind,
                    one.authority,
                    one.issued_at.timestamp(),
                    one.ends_at.timestamp(),
                    one.pem,
                ),
            )
        )
        self.changes += 1

    def latest(self, holder: str) -> Issued | None:
        """Return the newest one of a holder.

        :raises Transient: the list cannot be read now.
        """
        query = "SELECT * FROM issued WHERE holder = ? ORDER BY issued_at DESC, rowid DESC LIMIT 1"
        rows = self._ask(lambda connection: connection.execute(query, (holder,)).fetchall())
        return _row(rows[0]) if rows else None

    def unexpired(self, now: datetime) -> list[Issued]:
        """Return all that have not ended, oldest first, revoked ones as well.

        :raises Transient: the list cannot be read now.
        """
        query = "SELECT * FROM issued WHERE ends_at > ? ORDER BY issued_at, rowid"
        rows = self._ask(lambda connection: connection.execute(query, (now.timestamp(),)).fetchall())
        return [_row(one) for one in rows]

    def revoke(self, serials: Collection[int], now: datetime) -> None:
        """Mark these as revoked; for ever.

        :raises Transient: it could not be written.
        """
        values = [(now.timestamp(), _hex(serial)) for serial in serials]

        def mark(connection: sqlite3.Connection) -> None:
            connection.execute("BEGIN IMMEDIATE")
            try:
                connection.executemany(
                    "UPDATE issued SET revoked_at = ? WHERE serial = ? AND revoked_at IS NULL", values
                )
                connection.execute("COMMIT")
            except sqlite3.Error:
                connection.execute("ROLLBACK")
                raise

        self._ask(mark)
        self.changes += 1

    def prune(self, now: datetime) -> None:
        """Forget what has ended.

        :raises Transient: it could not be written.
        """
        before = (now - _REMEMBERED).timestamp()
        self._ask(lambda connection: connection.execute("DELETE FROM issued WHERE ends_at < ?", (before,)))

    def _ask(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        try:
            with self._lock:
                return work(self._connection)
        except sqlite3.Error as error:
            raise Transient(f"the list of issued certificates: {error}") from error


def _hex(serial: int) -> str:
    return f"{serial:x}"


def _row(row: tuple[str, str, str, str, int, float, float, float | None, str]) -> Issued:
    serial, holder, identity, kind, authority, issued_at, ends_at, revoked_at, pem = row
    return Issued(
        serial=int(serial, 16),
        holder=holder,
        identity=identity,
        kind=kind,
        authority=authority,
        issued_at=datetime.fromtimestamp(issued_at, UTC),
        ends_at=datetime.fromtimestamp(ends_at, UTC),
        pem=pem,
        revoked_at=None if revoked_at is None else datetime.fromtimestamp(revoked_at, UTC),
    )
