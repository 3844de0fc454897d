"""SQLite behind the ledger: write-ahead log, every commit on the disk before it returns, moves checked by the table.

One thread writes.  Other threads read notes through a connection of their own.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from clues.errors import LedgerError
from clues.ledger import orders
from clues.ledger.orders import Receipt, stamp
from clues.ledger.schema import MIGRATIONS, VERSION
from clues.lifecycle import may_move
from clues.model import Answer, Claim, ClaimState, LoggedDeed, LoggedNote, Memory, Moment, Note, Operator, SpentRow

_CLAIM: TypeAdapter[Claim] = TypeAdapter(Claim)
_MEMORY: TypeAdapter[Memory] = TypeAdapter(Memory)
_MOMENT: TypeAdapter[Moment] = TypeAdapter(Moment)
_OPERATOR: TypeAdapter[Operator] = TypeAdapter(Operator)

_NOTES = (
    "SELECT id, at, kind, subject, text FROM notes WHERE id > :after AND (:before = 0 OR id < :before) "
    "AND (:about = '' OR subject = :about OR id IN (SELECT note FROM note_about WHERE name = :about)) "
)


#: When an hour began, and whose money it was: pool, site, Slurm account.
SpendKey = tuple[datetime, str, str, str]


@dataclass(frozen=True, slots=True)
class Commit:
    """All that one step changes, written in one transaction or not at all. None leaves a document as it is."""

    claims: tuple[Claim, ...] = ()
    notes: tuple[Note, ...] = ()
    memory: Memory | None = None
    operator: Operator | None = None
    #: what was spent since the last commit, in the cluster's currency, and until when it is reckoned
    spend: Mapping[SpendKey, float] | None = None
    booked_at: datetime | None = None
    #: by whose order, and what that was answered
    receipt: Receipt | None = None

    @property
    def empty(self) -> bool:
        """Whether there is nothing to write."""
        documents = (self.memory, self.operator, self.booked_at, self.receipt)
        return not (self.claims or self.notes or self.spend) and all(one is None for one in documents)


class Ledger:
    """The open ledger. All methods raise :class:`LedgerError`, in words for a sysadmin, when the disk does not obey."""

    def __init__(self, path: Path | None, connection: sqlite3.Connection) -> None:
        self._path = path
        self._db = connection
        self._states: dict[str, ClaimState] = {}
        self._readers = threading.local()
        for key, state in self._rows("SELECT key, state FROM claims WHERE state != ?", (ClaimState.GONE,)):
            self._states[key] = ClaimState(state)

    # --- writing: the owner's thread only ---

    def commit(self, change: Commit) -> None:
        """Write *change* durably.

        :raises LedgerError: nothing of it was written; the caller must not carry out what it stood for.
        :raises ValueError: a claim moves in a way that the lifecycle table does not know.
        """
        if change.empty:
            return
        for claim in change.claims:
            self._check_move(claim)
        self._write(change)

    def overwrite(self, change: Commit) -> None:
        """Write what another ledger has committed, whatever stands here: the last word on each claim counts.

        :raises LedgerError: nothing of it was written.
        """
        self._write(change)

    def _write(self, change: Commit) -> None:
        with self._transaction() as db:
            db.executemany(
                "INSERT INTO claims (key, node, generation, state, document, ended) VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (key) DO UPDATE SET state = excluded.state, document = excluded.document, "
                "ended = excluded.ended",
                [_row(one) for one in change.claims],
            )
            for note in change.notes:
                _write_note(db, note)
            for name, adapter, value in (("memory", _MEMORY, change.memory), ("operator", _OPERATOR, change.operator)):
                if value is not None:
                    db.execute("INSERT OR REPLACE INTO documents VALUES (?, ?)", (name, _text(adapter, value)))
            db.executemany(
                "INSERT INTO spend VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (hour, pool, site, account) DO UPDATE SET amount = amount + excluded.amount",
                [(_hour(hour), *whose, amount) for (hour, *whose), amount in (change.spend or {}).items()],
            )
            if change.booked_at is not None:
                db.execute("INSERT OR REPLACE INTO documents VALUES ('booked_at', ?)", (stamp(change.booked_at),))
            if change.receipt is not None:
                orders.write(db, change.receipt)
        for claim in change.claims:
            self._states[claim.key] = claim.state

    def remember_told(self, told: Mapping[str, int]) -> None:
        """Write down up to which note each receiver of alarms has been told, by its name."""
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO documents VALUES ('told', ?)", (json.dumps(dict(told)),))

    def forget_answer(self, identity: str, key: str) -> None:
        """Drop what was begun and came to nothing, so that it may be ordered again."""
        with self._transaction() as db:
            db.execute("DELETE FROM answers WHERE identity = ? AND key = ?", (identity, key))

    def forget_notes(self, before: datetime, keep: int = 1_000_000, most: int = 5_000) -> int:
        """Drop the oldest notes: those from before *before*, and all but the newest *keep*. Return how many.

        :param most: no more than so many at once, so that no tick waits long for it. Claims are kept.
        """
        oldest = (
            "SELECT id FROM (SELECT id, at FROM notes ORDER BY id LIMIT :most) "
            "WHERE at < :before OR id <= (SELECT max(id) FROM notes) - :keep"
        )
        with self._transaction() as db:
            ids = db.execute(oldest, {"most": most, "before": stamp(before), "keep": keep}).fetchall()
            db.executemany("DELETE FROM note_about WHERE note = ?", ids)
            db.executemany("DELETE FROM notes WHERE id = ?", ids)
        return len(ids)

    def record(self, moment: Moment, keep: timedelta = timedelta(days=8)) -> None:
        """Write down what the cluster is like; forget what it was like longer ago than *keep*."""
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO moments VALUES (?, ?)", (stamp(moment.at), _text(_MOMENT, moment)))
            db.execute("DELETE FROM moments WHERE at < ?", (stamp(moment.at - keep),))

    # --- reading ---

    def live_claims(self) -> dict[str, Claim]:
        """Return all claims that may have a VM, by launch key."""
        rows = self._rows("SELECT document FROM claims WHERE state != ?", (ClaimState.GONE,))
        return {claim.key: claim for (text,) in rows for claim in (_CLAIM.validate_json(text),)}

    def claim(self, key: str) -> Claim | None:
        """Return one claim, ended or not."""
        for (text,) in self._rows("SELECT document FROM claims WHERE key = ?", (key,)):
            return _CLAIM.validate_json(text)
        return None

    def claims_of(self, node: str, limit: int = 20, before: int = 0) -> list[Claim]:
        """Return the latest claims of a node with a generation below *before* (0: any), newest first. Any thread."""
        sql = (
            "SELECT document FROM claims WHERE node = :node AND (:before = 0 OR generation < :before) "
            "ORDER BY generation DESC LIMIT :limit"
        )
        rows = self._rows(sql, {"node": node, "before": before, "limit": limit}, self._reader())
        return [_CLAIM.validate_json(text) for (text,) in rows]

    def claims_between(self, begin: datetime, end: datetime) -> list[Claim]:
        """Return the claims that had, or may have had, a VM between two moments. Any thread."""
        sql = "SELECT document FROM claims WHERE ended > ? UNION ALL SELECT document FROM claims WHERE state != ?"
        rows = self._rows(sql, (begin.timestamp(), ClaimState.GONE), self._reader())
        claims = (_CLAIM.validate_json(text) for (text,) in rows)
        return [claim for claim in claims if (claim.launched_at or claim.created_at) < end]

    def ended_since(self, since: datetime, until: datetime | None = None) -> list[Claim]:
        """Return claims that ended after *since*, and not after *until* (None: whenever): their addresses rest."""
        sql = "SELECT document FROM claims WHERE ended > :since AND (:until IS NULL OR ended <= :until)"
        values = {"since": since.timestamp(), "until": until and until.timestamp()}
        return [_CLAIM.validate_json(text) for (text,) in self._rows(sql, values)]

    def all_claims(self) -> Iterator[Claim]:
        """Go through every claim there ever was, oldest first."""
        for (text,) in self._rows("SELECT document FROM claims ORDER BY rowid", ()):
            yield _CLAIM.validate_json(text)

    def generations(self) -> dict[str, int]:
        """Return the highest generation used for each node."""
        return dict(self._rows("SELECT node, max(generation) FROM claims GROUP BY node", ()))

    def memory(self) -> Memory:
        """Return what was learnt so far."""
        text = self._document("memory")
        return Memory() if text is None else _MEMORY.validate_json(text)

    def operator(self) -> Operator:
        """Return the standing orders."""
        text = self._document("operator")
        return Operator() if text is None else _OPERATOR.validate_json(text)

    def told(self) -> dict[str, int]:
        """Return up to which note each receiver of alarms has been told."""
        text = self._document("told")
        return {} if text is None else {str(name): int(number) for name, number in json.loads(text).items()}

    def booked_at(self) -> datetime | None:
        """Return until when the spend is reckoned; None: never."""
        text = self._document("booked_at")
        return None if text is None else datetime.fromisoformat(text)

    def spent(self, since: datetime, until: datetime) -> dict[tuple[str, str, str], float]:
        """Return what was spent in the hours that began from *since* on and before *until*, in the cluster's currency,
        by pool (empty: routers), site and Slurm account (empty: nobody's job). Any thread."""
        sql = "SELECT pool, site, account, total(amount) FROM spend WHERE hour >= ? AND hour < ? GROUP BY 1, 2, 3"
        rows = self._rows(sql, (_hour(since), _hour(until)), self._reader())
        return {(pool, site, account): amount for pool, site, account, amount in rows}

    def spending(self, since: datetime, until: datetime) -> list[SpentRow]:
        """Return the same hour by hour, oldest first. Any thread."""
        sql = "SELECT hour, pool, site, account, amount FROM spend WHERE hour >= ? AND hour < ? ORDER BY hour"
        rows = self._rows(sql, (_hour(since), _hour(until)), self._reader())
        return [SpentRow(datetime.fromisoformat(hour), *rest) for hour, *rest in rows]

    def notes(self, *, after: int = 0, before: int = 0, about: str = "", limit: int = 100) -> list[LoggedNote]:
        """Return notes with an id above *after* and below *before* (0: any), oldest first: the first *limit* after
        *after*, or without it the newest. Any thread."""
        sql = _NOTES + ("ORDER BY id LIMIT :limit" if after else "ORDER BY id DESC LIMIT :limit")
        values = {"after": after, "before": before, "about": about, "limit": limit}
        found = [
            LoggedNote(number, datetime.fromisoformat(at), kind, subject, text)
            for number, at, kind, subject, text in self._rows(sql, values, self._reader())
        ]
        return found if after else found[::-1]

    def answer(self, identity: str, key: str, now: datetime) -> Answer | None:
        """Return what *identity* was answered to the order that it calls *key*, within the last day. Any thread."""
        kept = stamp(now - orders.ANSWERS_KEPT)
        for digest, body in self._rows(orders.ANSWER, (identity, key, kept), self._reader()):
            return Answer(digest, body)
        return None

    def deeds(self, *, since: datetime, before: int = 0, limit: int = 100) -> list[LoggedDeed]:
        """Return what was done and tried from *since* on, the newest *limit* with an id below *before* (0: of all),
        newest first. Any thread."""
        values = {"since": stamp(since), "before": before, "limit": limit}
        return [orders.logged(row) for row in self._rows(orders.DEEDS, values, self._reader())]

    def moments(self, since: datetime, limit: int = 100_000) -> list[Moment]:
        """Return what the cluster was like from *since* on, the first *limit* moments, oldest first. Any thread."""
        sql = "SELECT document FROM moments WHERE at >= ? ORDER BY at LIMIT ?"
        rows = self._rows(sql, (stamp(since), limit), self._reader())
        return [_MOMENT.validate_json(text) for (text,) in rows]

    def copy_to(self, path: Path) -> None:
        """Write a copy of all that is committed now to a new file at *path*, private to us. Any thread.

        :raises LedgerError: it cannot be written.
        """
        try:
            path.unlink(missing_ok=True)
            path.touch(mode=0o600)
            with closing(sqlite3.connect(path)) as copy:
                self._reader().backup(copy)  # in one step: a commit meanwhile neither waits nor is half in it
        except (sqlite3.Error, OSError) as error:
            raise LedgerError(f"{path}: the ledger cannot be copied: {error}") from error

    def close(self) -> None:
        """Close it; the log is folded in."""
        self._db.close()

    # --- inside ---

    def _check_move(self, claim: Claim) -> None:
        before = self._states.get(claim.key)
        if before is None and (old := self.claim(claim.key)) is not None:
            before = old.state
        if before is not None and not may_move(before, claim.state):
            raise ValueError(f"claim {claim.key} may not go from {before} to {claim.state}")

    def _document(self, name: str) -> str | None:
        for (text,) in self._rows("SELECT document FROM documents WHERE name = ?", (name,)):
            return str(text)
        return None

    def _rows(
        self, sql: str, values: Sequence[object] | Mapping[str, object], connection: sqlite3.Connection | None = None
    ) -> list[tuple[Any, ...]]:
        try:
            return (connection or self._db).execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise LedgerError(f"{self._path}: the ledger cannot be read: {error}") from error

    def _reader(self) -> sqlite3.Connection:
        if self._path is None:
            return self._db
        connection: sqlite3.Connection | None = getattr(self._readers, "connection", None)
        if connection is None:
            connection = sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True, timeout=5)
            self._readers.connection = connection
        return connection

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield self._db
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise LedgerError(
                f"{self._path}: cannot be written ({error}); nothing is started or stopped until it can: "
                "see to the space and the rights of that folder"
            ) from error
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise


def open_ledger(path: Path | None) -> Ledger:
    """Open (or make) the ledger at *path*, brought to the present schema; None makes one in memory.

    Before a migration of an existing ledger a copy is kept beside it (``ledger.db.v1``).

    :raises LedgerError: it is damaged, not writable, or of a newer version of this software.
    """
    try:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
            if not path.exists():
                path.touch(mode=0o600)
        connection = sqlite3.connect(path or ":memory:", isolation_level=None, timeout=5, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        _migrate(connection, path)
        return Ledger(path, connection)
    except (sqlite3.Error, OSError) as error:
        raise LedgerError(f"{path}: the ledger cannot be opened: {error}") from error


def _migrate(connection: sqlite3.Connection, path: Path | None) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise LedgerError(
            f"{path}: written by a newer clues (schema {version}, this one knows {VERSION}): upgrade clues"
        )
    if 0 < version < VERSION and path is not None:
        backup = path.with_name(f"{path.name}.v{version}")
        backup.touch(mode=0o600)
        with closing(sqlite3.connect(backup)) as copy:
            connection.backup(copy)
    for number in range(version, VERSION):
        connection.execute("BEGIN IMMEDIATE")
        for statement in MIGRATIONS[number]:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {number + 1}")
        connection.execute("COMMIT")


def _row(claim: Claim) -> tuple[str, str, int, str, str, float | None]:
    ended = claim.ended_at.timestamp() if claim.ended_at is not None and not claim.live else None
    return claim.key, claim.node, claim.generation, claim.state, _text(_CLAIM, claim), ended


def _write_note(db: sqlite3.Connection, note: Note) -> None:
    row = (stamp(note.at), note.kind, note.subject, note.text)
    number = db.execute("INSERT INTO notes (at, kind, subject, text) VALUES (?, ?, ?, ?)", row).lastrowid
    db.executemany("INSERT INTO note_about VALUES (?, ?)", [(number, name) for name in note.about])


def _text(adapter: TypeAdapter[Any], value: object) -> str:
    return adapter.dump_json(value).decode()


def _hour(at: datetime) -> str:
    """Return the beginning of an hour as a text that sorts by time."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%MZ}"
