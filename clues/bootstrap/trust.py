"""Whom a VM trusts: the certificates of the cluster's authorities, as the signer publishes them.

There is one authority, or two while one takes over from the other.  A launch that is repeated has to send the same
bytes, so a VM's user-data carries the authorities as they were when its claim was made.  Each change is a file of its
own, ``ca-<seconds>.pem``, that counts from a moment which lies a little ahead when the file is written: whoever looks
later finds the same answer.
"""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

from clues.errors import Transient

#: every authority that is trusted now, the one that signs first
CURRENT = "ca.pem"
_DATED = re.compile(r"ca-([0-9]{1,12})\.pem")


class TrustStore:
    """The folder of public certificates; read anew at each call, since the signer changes it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def path(self) -> Path:
        """The file with every authority that is trusted now."""
        return self._folder / CURRENT

    def bundle(self) -> str:
        """Return the certificates of all authorities that are trusted now, in PEM form, the one that signs first.

        :raises Transient: the signer has published none yet.
        """
        return self._read(self.path)

    def bundle_at(self, when: datetime) -> str:
        """Return what :meth:`bundle` was at a moment in the past; before the first one, the first one.

        :raises Transient: the signer has published none yet.
        """
        try:
            found = sorted((int(match[1]), one) for one in self._folder.iterdir() if (match := _dated(one)))
        except OSError as error:
            raise Transient(_absent(self._folder, error)) from error
        if not found:
            raise Transient(_absent(self._folder, None))
        made = [one for since, one in found if since <= when.timestamp()]
        return self._read(made[-1] if made else found[0][1])

    def _read(self, path: Path) -> str:
        try:
            return path.read_text(encoding="ascii")
        except (OSError, ValueError) as error:
            raise Transient(_absent(path, error)) from error


def dated_name(since: int) -> str:
    """Return the name of the file that counts from a moment (epoch seconds) on."""
    return f"ca-{since}.pem"


def _dated(path: Path) -> re.Match[str] | None:
    return _DATED.fullmatch(path.name)


def _absent(path: Path, error: Exception | None) -> str:
    why = getattr(error, "strerror", None) or (error and type(error).__name__) or "nothing is there"
    return f"{path}: no authority's certificate ({why}): start clues-signer"
