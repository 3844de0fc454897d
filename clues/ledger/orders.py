"""The tables of the audit log, and of answers that may be asked for again; written within the store's transaction.

Answers are kept for a day, deeds for so long that a year's audit finds them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from clues.model import Answer, Deed, LoggedDeed

ANSWERS_KEPT = timedelta(days=1)
DEEDS_KEPT = timedelta(days=400)

ANSWER = "SELECT digest, body FROM answers WHERE identity = ? AND key = ? AND at >= ?"
DEEDS = (
    "SELECT id, at, who, identity, way, act, target, status, detail FROM deeds "
    "WHERE (:before = 0 OR id < :before) AND at >= :since ORDER BY id DESC LIMIT :limit"
)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What is written down of an order together with its effect."""

    at: datetime
    deed: Deed
    #: with an empty key no answer is kept
    key: str = ""
    answer: Answer | None = None
    #: the order has only begun: its deed is written when it has ended
    begun: bool = False


def write(db: sqlite3.Connection, receipt: Receipt) -> None:
    """Write one receipt, and forget what is too old."""
    at, deed = stamp(receipt.at), receipt.deed
    if not receipt.begun:
        db.execute("DELETE FROM deeds WHERE at < ?", (stamp(receipt.at - DEEDS_KEPT),))
        db.execute(
            "INSERT INTO deeds (at, who, identity, way, act, target, status, detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (at, deed.who, deed.identity, deed.way, deed.act, deed.target, deed.status, deed.detail),
        )
    if receipt.key and receipt.answer is not None:
        db.execute("DELETE FROM answers WHERE at < ?", (stamp(receipt.at - ANSWERS_KEPT),))
        db.execute(
            "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?)",
            (deed.identity, receipt.key, at, receipt.answer.digest, receipt.answer.body),
        )


def logged(row: Sequence[Any]) -> LoggedDeed:
    """Return a row of :data:`DEEDS`."""
    number, at, *rest = row
    return LoggedDeed(number, datetime.fromisoformat(at), Deed(*rest))


def stamp(at: datetime) -> str:
    """Return a moment as a text that sorts by time."""
    return at.astimezone(UTC).isoformat()
