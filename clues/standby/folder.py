"""The folder that both front-ends see: a few plain operations on files, of which none needs a lock.

It may lie on NFS. What counts is decided by `rename` on its server. SQLite is never opened in it.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from clues.standby.lease import Lease, read


class SharedFolder:
    """What is done with the folder at *path*."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def look(self) -> tuple[Lease | None, str]:
        """Return the lease, or None and why it cannot be told."""
        try:
            lease, trouble = read(entry.name for entry in self.path.iterdir())
        except OSError as error:
            return None, f"{self.path}: {error.strerror}: the front-ends share no folder"
        return lease, trouble and f"{self.path}: {trouble}"

    def move(self, lease: Lease, to: Lease) -> bool:
        """Rename the lease's file; return False when it is not there any more.

        :raises OSError: nobody knows whether it was renamed.
        """
        try:
            (self.path / lease.file).rename(self.path / to.file)
        except FileNotFoundError:
            return False
        return True

    def write(self, name: str, content: bytes) -> None:
        """Make or replace a file, whole or not at all, durably.

        :raises OSError: the old one stands.
        """
        new = self.path / f".{name}.{secrets.token_hex(6)}"
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self.path / name)
        except BaseException:
            new.unlink(missing_ok=True)
            raise

    def read(self, name: str) -> bytes | None:
        """Return a file's content; None: it is not there.

        :raises OSError: it cannot be read.
        """
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return None

    def numbered(self, kind: str) -> list[int]:
        """Return the numbers of the files ``KIND.NUMBER``, lowest first.

        :raises OSError: the folder cannot be read.
        """
        names = (entry.name.partition(".") for entry in self.path.iterdir())
        return sorted(int(number) for found, _, number in names if found == kind and number.isdigit())
