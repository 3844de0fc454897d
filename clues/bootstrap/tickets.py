"""Tickets: the secret that lets one VM enrol, computed when it is needed and stored nowhere.

A ticket is ``<launch key>.<MAC>``: the claim's public launch key in clear, and HMAC-SHA256 over it with the
key of this cluster's front-end.  So a launch that is repeated after a crash sends the same bytes, and a copy
of the ledger redeems nothing.  That a ticket is good only once, and only while its VM boots, is the ledger's
business, not told here.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from clues.bootstrap import secret_file
from clues.errors import ConfigError

#: What a launch key may look like: it becomes a tag, a file name and a part of an HTTP header.
LAUNCH_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")

_KEY_BYTES = 32
#: sets these MACs apart from any other use that the same key may find one day
_PURPOSE = b"clues enrolment ticket 1\0"


@dataclass(frozen=True, slots=True)
class Tickets:
    """Issues tickets and recognises them; two of these with the same key agree."""

    _key: bytes = field(repr=False)

    @classmethod
    def open(cls, folder: Path) -> Tickets:
        """Return the tickets of this state folder; its key file ``ticket.key`` (0600) is made at the first
        start.

        :raises ConfigError: the key file can be read by others, is damaged, or cannot be made.
        """
        path = folder / "ticket.key"
        key = secret_file.read(path)
        if key is None:
            key = secret_file.create(path, secrets.token_bytes(_KEY_BYTES))
        if len(key) != _KEY_BYTES:
            raise ConfigError(
                f"{path}: holds {len(key)} bytes, {_KEY_BYTES} are wanted; delete it and a new one is made"
            )
        return cls(key)

    def issue(self, launch_key: str) -> str:
        """Return the ticket of a claim; always the same.

        :raises ValueError: not the form of a launch key.
        """
        if not LAUNCH_KEY.fullmatch(launch_key):
            raise ValueError(f"not a launch key: {launch_key!r}")
        return f"{launch_key}.{self._mac(launch_key)}"

    def find(self, ticket: str, launch_keys: Collection[str]) -> str | None:
        """Return which of *launch_keys* this ticket was issued for, or None when it is none of ours or of
        theirs."""
        launch_key, _, mac = ticket.rpartition(".")
        if not LAUNCH_KEY.fullmatch(launch_key):
            return None
        # Bytes, because compare_digest refuses text that is not ASCII.
        genuine = hmac.compare_digest(self._mac(launch_key).encode(), mac.encode("utf-8", "surrogatepass"))
        return launch_key if genuine and launch_key in launch_keys else None

    def _mac(self, launch_key: str) -> str:
        digest = hmac.digest(self._key, _PURPOSE + launch_key.encode("ascii"), "sha256")
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")
