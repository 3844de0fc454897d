"""Files that everybody may read and only we write: replaced whole, so that a reader finds the old or the new one."""

from __future__ import annotations

import os
from pathlib import Path

from clues.bootstrap.secret_file import flush_folder, write_beside
from clues.errors import ConfigError

_FOLDER_MODE = 0o755
_FILE_MODE = 0o644


def make_folder(path: Path) -> None:
    """Make a folder that others may look into, unless it is there.

    :raises ConfigError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        if path.stat().st_uid == os.geteuid():
            path.chmod(_FOLDER_MODE)  # whatever the umask is
    except OSError as error:
        raise ConfigError(f"{path}: cannot be made: {error.strerror}") from error


def replace(path: Path, content: bytes) -> None:
    """Make or replace a file, on the disk when this returns; one that holds the same already is left alone.

    Its time of change is another one in whole seconds than before: OpenVPN tells a new revocation list by that and by
    the size, and two changes within one second may have the same size.

    :raises ConfigError: it cannot be written.
    """
    try:
        before = path.stat() if path.exists() else None
        if before is not None and path.read_bytes() == content:
            return
        beside = write_beside(path, content, _FILE_MODE)
        try:
            if before is not None and int(beside.stat().st_mtime) <= int(before.st_mtime):
                os.utime(beside, (before.st_mtime + 1, before.st_mtime + 1))
            beside.replace(path)
        except OSError:
            beside.unlink(missing_ok=True)
            raise
        flush_folder(path.parent)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error
