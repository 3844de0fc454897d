"""The API's UNIX socket: made safely, served by a thread of its own, taken away again.

Whoever may open the socket may give orders, so its mode is the access control: it is bound under another
name, gets its mode, and only then its real name, so that there is no moment at which it is open to all. A
lock beside it says whether the daemon that made it lives; what a killed one left behind is replaced.
"""

from __future__ import annotations

import fcntl
import os
import socket
import stat
from pathlib import Path
from threading import Event

from fastapi import FastAPI

from clues.api.peer import PeerProtocol
from clues.api.serving import Serving
from clues.errors import CluesError

#: Linux' limit for the path of a UNIX socket.
_LONGEST_PATH = 107
_BACKLOG = 128


class SocketError(CluesError):
    """The socket cannot be made; the text says why and what to do."""


class ApiServer:
    """The API at *path* between :meth:`start` and :meth:`stop`. *stopping* is set first when it stops: give
    the same one to
    :func:`clues.api.app.make_app`, so that waiting requests end."""

    def __init__(self, app: FastAPI, path: Path, *, mode: int = 0o660, stopping: Event | None = None) -> None:
        self._path = path
        self._mode = mode
        self._stopping = stopping or Event()
        self._lock = -1
        self._identity: tuple[int, int] | None = None
        self._serving = Serving(app, PeerProtocol, name="api")

    def start(self) -> None:
        """Make the socket and serve; return when requests are answered.

        :raises SocketError: when another daemon serves there, or the socket cannot be made.
        """
        self._lock = _lock(self._path)
        try:
            listener = _bind(self._path, self._mode)
        except BaseException:
            os.close(self._lock)
            raise
        found = self._path.stat()
        self._identity = (found.st_dev, found.st_ino)
        if not self._serving.start(listener):
            self.stop()
            raise SocketError(f"{self._path}: the API did not start; the log tells more")

    def stop(self) -> None:
        """Answer nobody any more and take the socket away; a second call does nothing."""
        self._stopping.set()
        self._unlink()
        self._serving.stop()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _unlink(self) -> None:
        """Remove the socket if it is still the one that we made."""
        identity, self._identity = self._identity, None
        try:
            found = self._path.lstat()
            if (found.st_dev, found.st_ino) == identity:
                self._path.unlink()
        except FileNotFoundError:
            pass


def _lock(path: Path) -> int:
    """Return the lock that is held while the socket is served; the kernel frees it whatever happens to us."""
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise SocketError(f"{path}: the path of a socket has at most {_LONGEST_PATH} bytes")
    try:
        lock = os.open(
            path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
    except OSError as error:
        raise SocketError(f"{path}: {error.strerror} (its folder has to exist and be writable for cluesd)") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise SocketError(f"{path}: another cluesd serves this socket") from error
    return lock


def _bind(path: Path, mode: int) -> socket.socket:
    """Return a listening socket that appears at *path* with its mode already set."""
    _check_replaceable(path)
    # As long as the real name, or shorter, so that it fits when that does.
    temporary = path.with_name(f".{os.getpid():x}"[: max(3, len(path.name))])
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        temporary.unlink(missing_ok=True)
        listener.bind(str(temporary))
        temporary.chmod(mode)
        # Nobody could connect before this: a socket that does not listen refuses.
        listener.listen(_BACKLOG)
        temporary.replace(path)
    except OSError as error:
        listener.close()
        temporary.unlink(missing_ok=True)
        raise SocketError(f"{path}: {error.strerror}") from error
    listener.setblocking(False)
    return listener


def _check_replaceable(path: Path) -> None:
    """Make sure that what stands at *path* is nothing, or a socket that nobody serves."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise SocketError(f"{path}: this is not a socket; remove it, or give another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return
        except OSError as error:
            raise SocketError(f"{path}: {error.strerror or error}") from error
    raise SocketError(f"{path}: another process serves this socket")
