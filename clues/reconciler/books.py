"""The ledger and its mirror in memory, which never says more than what is on the disk."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Any

from clues.errors import LedgerError
from clues.ledger import Commit, Ledger
from clues.model import Claim, Memory, Note, Operator

log = logging.getLogger(__name__)


class Books:
    """What the daemon holds for true: live claims, generations, memory, standing orders, today's spend.

    Every change goes through :meth:`commit`, so that memory follows the disk and never the other way round.
    """

    def __init__(self, ledger: Ledger, now: datetime) -> None:
        self._ledger = ledger
        self._claims = {key: _not_in_the_future(claim, now) for key, claim in ledger.live_claims().items()}
        self._generations = ledger.generations()
        self.memory: Memory = ledger.memory()
        self.operator: Operator = ledger.operator()
        self._booked_at = now
        self._spent = ledger.spent(_day(now))
        #: what keeps the daemon from its work, by name, in words for a sysadmin
        self.troubles: dict[str, str] = {}

    @property
    def claims(self) -> Mapping[str, Claim]:
        """Live claims by launch key."""
        return self._claims

    @property
    def generations(self) -> Mapping[str, int]:
        """The highest generation ever used, by node."""
        return self._generations

    @property
    def spent_today(self) -> float:
        """In the cluster's currency, as far as it is booked."""
        return self._spent

    def commit(self, change: Commit) -> None:
        """Write *change*, then remember it.

        :raises LedgerError: nothing changed, neither on the disk nor here; it is shown as a trouble until a later
            commit succeeds.
        """
        try:
            self._ledger.commit(change)
        except LedgerError as error:
            self.troubles["ledger"] = str(error)
            raise
        if not change.empty:
            self.troubles.pop("ledger", None)
        for claim in change.claims:
            if claim.live:
                self._claims[claim.key] = claim
            else:
                self._claims.pop(claim.key, None)
            self._generations[claim.node] = max(self._generations.get(claim.node, 0), claim.generation)
        self.memory = change.memory if change.memory is not None else self.memory
        self.operator = change.operator if change.operator is not None else self.operator
        for note in change.notes:
            log.info("%s: %s", note.subject, note.text)

    def note(self, note: Note) -> None:
        """Commit one note; a disk that refuses it is a trouble that is shown, not an error here."""
        try:
            self.commit(Commit(notes=(note,)))
        except LedgerError:
            log.error("%s: %s (not recorded)", note.subject, note.text)

    def trouble(self, name: str, text: str) -> None:
        """Show something that a sysadmin has to see to, or with an empty text stop showing it."""
        if text:
            self.troubles[name] = text
        else:
            self.troubles.pop(name, None)

    def ended_claim(self, key: str) -> Claim | None:
        """Return a claim that has ended, None if the key was never used."""
        return self._ledger.claim(key)

    def rested(self, now: datetime, quarantine: timedelta) -> list[Claim]:
        """Return claims that ended less than *quarantine* ago."""
        return self._ledger.ended_since(now - quarantine)

    def nonce_of(self, key: str) -> str | None:
        """Return the hash of the nonce that a claim's ticket is bound to."""
        return self._ledger.nonce_of(key)

    def spend_until(self, now: datetime) -> dict[tuple[str, str, str], float]:
        """Return what the VMs cost since the last booking, by (day, pool, site), to be committed."""
        hours = max(0.0, (now - self._booked_at).total_seconds() / 3600)
        spend: dict[tuple[str, str, str], float] = {}
        for claim in self._claims.values():
            if claim.instance_id and claim.offer.price_per_hour:
                key = (_day(now), claim.pool, claim.offer.site)
                spend[key] = spend.get(key, 0.0) + claim.offer.price_per_hour * hours
        return spend

    def booked(self, spend: Mapping[tuple[str, str, str], float], now: datetime) -> None:
        """Note that *spend* is on the disk."""
        same_day = _day(now) == _day(self._booked_at)
        self._spent = (self._spent if same_day else 0.0) + sum(spend.values())
        self._booked_at = now


def _not_in_the_future(claim: Claim, now: datetime) -> Claim:
    """Return *claim* with no time later than *now*: the wall clock may have been set back while no daemon ran, and
    deadlines would stand still until it has caught up."""
    late: dict[str, Any] = {
        field.name: now
        for field in fields(claim)
        if isinstance(value := getattr(claim, field.name), datetime) and value > now
    }
    return replace(claim, **late) if late else claim


def _day(at: datetime) -> str:
    return f"{at:%Y-%m-%d}"
