"""Credentials by reference: the configuration names where a secret lies, and never holds one.

A bare name is a systemd credential (``LoadCredential=``, in ``$CREDENTIALS_DIRECTORY``), or a file of clues' own
folder for secrets where cluesd does not run under systemd; a path is a file. A file that others can read is refused,
not repaired: who has read it so far cannot be known.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from clues.errors import AuthFailed

FOLDER = Path("/etc/clues/credentials")
_LARGEST = 65536


def find(reference: str, environ: Mapping[str, str] = os.environ, folder: Path = FOLDER) -> Path:
    """Return the file that *reference* names: a path as it is, a bare name below systemd's folder or *folder*."""
    path = Path(reference).expanduser()
    if "/" in reference:
        return path
    given = environ.get("CREDENTIALS_DIRECTORY")
    if given and (Path(given) / reference).exists():
        return Path(given) / reference
    return folder / reference


def read(path: Path) -> str:
    """Return the text of a secret file, without the newline at its end.

    :raises AuthFailed: it is not there, cannot be read, or can be read by others; the text says what to do.
    """
    try:
        # a pipe would be waited for
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise AuthFailed(f"{path} is no file")
            # systemd gives credentials as 0440 with an ACL for the one user: its folder lets nobody else in
            ours = path.parent == Path(os.environ.get("CREDENTIALS_DIRECTORY", "/nonexistent"))
            if status.st_mode & 0o077 and not ours:
                raise AuthFailed(f"{path} can be read by others: `chmod 600 {path}`, and change what is in it")
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise AuthFailed(
            f"{path}: {error.strerror}: put the credentials there, readable for cluesd's user only"
        ) from error
    if len(content) > _LARGEST:
        raise AuthFailed(f"{path} is larger than any credentials")
    try:
        return content.decode().strip()
    except UnicodeDecodeError:
        raise AuthFailed(f"{path} is not text") from None
