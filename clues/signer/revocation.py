"""Keeps the published revocation list right: looked at a few times a second, written when it has to change."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from clues.errors import CluesError, ConfigError
from clues.inventory import Inventory, Reader
from clues.signer import crl, public_file
from clues.signer.authority import Authority
from clues.signer.issued import Issued, IssuedList

log = logging.getLogger(__name__)


class Revocation:
    """Used by one thread."""

    def __init__(self, path: Path, authority: Authority, issued: IssuedList, reader: Reader) -> None:
        """:param path: the file of the published list."""
        self._path, self._authority, self._issued, self._reader = path, authority, issued, reader
        #: what was looked at when the list was last found right
        self._seen: tuple[Inventory | None, int, tuple[int, ...]] | None = None
        #: what the published list was made from, and when; None: this process has published none yet
        self._published: tuple[tuple[int, ...], frozenset[int]] | None = None
        self._made_at: datetime | None = None

    @property
    def ends(self) -> datetime | None:
        """When the published list ends; None: none was published yet."""
        return None if self._made_at is None else self._made_at + crl.CRL_LIFE

    def look(self, now: datetime) -> None:
        """Revoke whoever has left, and publish a new list if that, the authorities or time want one.

        :raises CluesError: it could not be written; the next look tries again.
        """
        due = self._made_at is None or not self._made_at <= now < self._made_at + crl.CRL_RENEWAL
        found = self._known_inventory()
        seen = (found, self._issued.changes, self._authority.rotation.trusted)
        if not due and self._seen is not None and found is self._seen[0] and seen[1:] == self._seen[1:]:
            return
        if due:
            self._issued.prune(now)
        if found is not None:
            self._revoke(found, now)
        self._publish(seen[2], now, due=due)
        self._seen = seen

    def _known_inventory(self) -> Inventory | None:
        try:
            return self._reader.read()
        except ConfigError:
            return None  # nothing is known, so nobody is revoked

    def _revoke(self, found: Inventory, now: datetime) -> None:
        gone = crl.to_revoke(self._issued.unexpired(now), found)
        if gone:
            self._issued.revoke(gone, now)
            log.info("revoked %d certificates of VMs that have left", len(gone))

    def _publish(self, trusted: tuple[int, ...], now: datetime, *, due: bool) -> None:
        revoked = [one for one in self._issued.unexpired(now) if one.revoked_at is not None]
        state = (trusted, frozenset(one.serial for one in revoked))
        if state == self._published and not due:
            return
        lists = [crl.render(self._authority.issuer(number), _of(number, revoked), now) for number in trusted]
        public_file.replace(self._path, b"".join(lists))
        self._published, self._made_at = state, now


def _of(authority: int, revoked: Iterable[Issued]) -> list[tuple[int, datetime]]:
    return [(one.serial, one.revoked_at) for one in revoked if one.authority == authority and one.revoked_at]


def look_quietly(revocation: Revocation, now: datetime) -> bool:
    """Look, and tell a failure in the log instead of raising it; return whether it went well."""
    try:
        revocation.look(now)
    except CluesError as error:
        log.error("the revocation list could not be kept: %s", error)
        return False
    return True
