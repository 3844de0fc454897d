"""A door at which the batch system's hook knocks: then Slurm is looked at now, not at the next second.

Anybody on this machine can knock, so a knock says nothing and counts only while a request lies in the hook's folder,
which SlurmUser alone can put there. One that is lost costs a moment.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger(__name__)


class Door:
    """Listens for knocks on a thread of its own until it is stopped."""

    def __init__(self, path: Path, requests: Path, poked: Callable[[], None]) -> None:
        """:param poked: called on the door's thread, for each knock while there is something in *requests*."""
        self._path, self._requests, self._poked = path, requests, poked
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()

    def start(self) -> None:
        """Listen. A door that cannot be made is told of in the log: everything works without it."""
        door = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._path.unlink(missing_ok=True)
            door.bind(str(self._path))
            self._path.chmod(0o666)
        except OSError as error:
            door.close()
            log.warning("the hook of the batch system cannot knock at %s: %s", self._path, error)
            return
        self._socket = door
        self._thread = threading.Thread(target=self._listen, args=(door,), name="knocks", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Listen no more."""
        self._stopped.set()
        door, self._socket = self._socket, None
        if door is None or self._thread is None:
            return
        with contextlib.suppress(OSError):
            door.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        door.close()
        self._path.unlink(missing_ok=True)

    def knocked(self) -> None:
        """Pass a knock on if somebody who may ask has asked for something."""
        with contextlib.suppress(OSError), os.scandir(self._requests) as entries:
            if any(True for _ in entries):
                self._poked()

    def _listen(self, door: socket.socket) -> None:
        while True:
            try:
                door.recv(1)
            except OSError:
                return
            if self._stopped.is_set():
                return
            self.knocked()
