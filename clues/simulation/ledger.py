"""The ledger of a simulated daemon: the real one, in memory, on a disk that may be full."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from sqlite3 import Connection
from typing import Protocol

from clues.errors import LedgerError
from clues.ledger import Commit, Ledger, SpendKey, open_ledger
from clues.model import Claim, ClaimState

#: What was spent longer ago than a month is in no budget any more.
_REMEMBERED = timedelta(days=32)


class Witness(Protocol):
    """Sees each commit, before and after it."""

    def before_commit(self, change: Commit, states: Mapping[str, ClaimState]) -> None: ...

    def after_commit(self, change: Commit) -> None: ...


class SimLedger(Ledger):
    """The real one, in memory; the disk may be full."""

    hooks: Witness | None = None
    full = False
    #: nobody restarts this daemon nor reads what it did: only what is asked for again is kept, and not as text
    lazy = False
    #: how often something else than what VMs cost was to be written
    changes = 0

    def __init__(self, path: Path | None, connection: Connection) -> None:
        super().__init__(path, connection)
        self._spent: dict[SpendKey, float] = {}
        #: of a lazy one: claims that live, and those that have ended since :meth:`prune`
        self._claims: dict[str, Claim] = {}

    def commit(self, change: Commit) -> None:
        if change.empty:
            return
        if self.full:
            raise LedgerError("no space left on the device")
        self.changes += bool(change.claims or change.memory or change.operator)
        if self.lazy:
            for key, amount in (change.spend or {}).items():
                self._spent[key] = self._spent.get(key, 0.0) + amount
            if not change.claims and change.operator is None and change.receipt is None:
                return
            change = Commit(claims=change.claims, operator=change.operator, receipt=change.receipt)
        if self.hooks is not None:
            self.hooks.before_commit(change, self._states)
        super().commit(change)
        if self.hooks is not None:
            self.hooks.after_commit(change)

    def _write(self, change: Commit) -> None:
        if not self.lazy:
            super()._write(change)
            return
        for claim in change.claims:
            self._claims[claim.key], self._states[claim.key] = claim, claim.state
        if change.operator is not None or change.receipt is not None:
            super()._write(replace(change, claims=()))

    def claim(self, key: str) -> Claim | None:
        return self._claims.get(key) if self.lazy else super().claim(key)

    def ended_since(self, since: datetime, until: datetime | None = None) -> list[Claim]:
        if not self.lazy:
            return super().ended_since(since, until)
        ended = ((one, one.ended_at) for one in self._claims.values() if not one.live)
        return [one for one, at in ended if at is not None and at > since and (until is None or at <= until)]

    def spent(self, since: datetime, until: datetime) -> dict[tuple[str, str, str], float]:
        found = super().spent(since, until)
        for (hour, *owner), amount in self._spent.items():
            if since <= hour < until:
                pool, site, account = owner
                found[pool, site, account] = found.get((pool, site, account), 0.0) + amount
        return found

    def prune(self) -> None:
        """Forget what has ended. For worlds that last for years and are never restarted."""
        for key in [key for key, one in self._claims.items() if not one.live]:
            del self._claims[key], self._states[key]
        old = max((hour for hour, *_ in self._spent), default=None)
        if old is not None:
            self._spent = {key: one for key, one in self._spent.items() if old - key[0] < _REMEMBERED}


def make_ledger(hooks: Witness | None) -> SimLedger:
    """Return an empty ledger."""
    ledger = SimLedger(None, open_ledger(None)._db)
    ledger.hooks = hooks
    return ledger
