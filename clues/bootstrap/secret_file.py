"""Files that only their owner can read: made once, never half-written, refused when others could have read
them.

A key that other users can read is no key.  Such a file is refused and not repaired: once it could be read,
whoever runs the cluster has to decide whether it still is a secret.

A new file appears under its name in one step, complete and already private: it is written under another name,
flushed, and then linked (made: fails if the name is taken, so that of two starters one wins) or renamed
(replaced).
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from clues.errors import ConfigError


def read(path: Path, *, public: bool = False) -> bytes | None:
    """Return the content of a secret file, or None when there is none. A *public* one may be read, not
    written, by others.

    :raises ConfigError: it is not a file of ours alone, or it cannot be read.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise ConfigError(f"{path}: is not a plain file, so it cannot hold a secret")
        if found.st_uid not in (os.geteuid(), 0):
            raise ConfigError(
                f"{path}: belongs to user id {found.st_uid}; a secret of ours has to belong to us or to root"
            )
        if found.st_mode & (0o022 if public else 0o077):
            could = "write" if public else "read or write"
            mode = stat.S_IMODE(found.st_mode)
            raise ConfigError(
                f"{path}: mode is {mode:04o}, so others could {could} it; 0600 is wanted. "
                "If they might have, delete it (VMs that are booting now will not get in), else chmod it"
            )
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(handle)


def create(path: Path, content: bytes) -> bytes:
    """Make a secret file with this content, unless it is there already; return what it holds.

    :raises ConfigError: it cannot be made, or the one that is there is refused by :func:`read`.
    """
    try:
        written = _write_private(path, content)
        try:
            os.link(written, path)
        except FileExistsError:
            pass  # somebody was quicker: theirs is the one
        finally:
            written.unlink()
        flush_folder(path.parent)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be made: {error.strerror}") from error
    found = read(path)
    if found is None:
        raise ConfigError(f"{path}: was removed while it was made")
    return found


def replace(path: Path, content: bytes) -> None:
    """Make or replace a secret file.

    :raises ConfigError: it cannot be written.
    """
    try:
        _write_private(path, content).replace(path)
        flush_folder(path.parent)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error


def _write_private(path: Path, content: bytes) -> Path:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return write_beside(path, content, 0o600)


def write_beside(path: Path, content: bytes, mode: int) -> Path:
    """Write a new file of this mode, whatever the umask is, beside *path*, flushed; return it. It is to be renamed.

    :raises OSError: it cannot be written; nothing of it is left.
    """
    written = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        written.unlink()
        raise
    return written


def flush_folder(folder: Path) -> None:
    """Have the names in a folder on the disk when this returns.

    :raises OSError: the disk refuses.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
