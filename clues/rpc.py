"""Calls between the processes of one front-end, over UNIX sockets.

One call is one connection: a line of JSON there, a line of JSON back. Who calls is told by the kernel
(``SO_PEERCRED``), not by the caller; an error comes back as the type of :mod:`clues.errors` that it was, with its
words. Nothing here is logged, since a call may carry a ticket and an answer a secret.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import pwd
import socket
import struct
import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from clues import errors
from clues.errors import CluesError, ConfigError, Transient

log = logging.getLogger(__name__)

#: the longest call or answer, in bytes
LONGEST = 1 << 20

#: Gets the arguments of a call and the caller's user id, and returns what JSON can hold.
Handler = Callable[[Mapping[str, Any], int], Any]

_ERRORS = {one.__name__: one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, CluesError)}


def call(path: Path, operation: str, *, timeout: float = 10.0, **arguments: Any) -> Any:
    """Make one call and return its answer.

    :raises Transient: nobody answers there, or not in time, or not in this form.
    :raises CluesError: what the other side raised, as its type.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            connection.connect(str(path))
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused unheard: the answer says why
                connection.sendall(json.dumps({"do": operation, "with": arguments}).encode() + b"\n")
                connection.shutdown(socket.SHUT_WR)
            answer = json.loads(_read_line(connection))
            if "error" not in answer:
                return answer["result"]
            name, words = str(answer["error"]), str(answer["words"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Transient(f"no answer at {path}: {error}") from error
    raise _ERRORS.get(name, Transient)(words)


def users_named(*names: str) -> frozenset[int]:
    """Return the ids of those of these users that this machine has: on a small installation one user is all of them."""
    found = set()
    for name in names:
        with contextlib.suppress(KeyError):
            found.add(pwd.getpwnam(name).pw_uid)
    return frozenset(found)


class Server:
    """Answers calls on one socket, several at once, until it is stopped."""

    def __init__(
        self,
        path: Path,
        handlers: Mapping[str, Handler],
        *,
        users: Collection[int],
        mode: int = 0o660,
        threads: int = 8,
        timeout: float = 10.0,
    ) -> None:
        """:param users: user ids that may call, besides root and our own.
        :param timeout: seconds that a caller has to send its call, and to take its answer.
        """
        self._path, self._handlers, self._mode, self._timeout = path, handlers, mode, timeout
        self._users = {0, os.geteuid(), *users}
        self._room = threading.BoundedSemaphore(threads * 4)
        self._threads = ThreadPoolExecutor(threads, f"rpc-{path.name}")
        self._listener: socket.socket | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Listen; return once calls are taken.

        :raises ConfigError: the socket cannot be made there.
        """
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        beside = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            beside.unlink(missing_ok=True)
            listener.bind(str(beside))
            beside.chmod(self._mode)
            listener.listen(64)
            beside.replace(self._path)  # in one step also when an earlier one has left its socket
        except OSError as error:
            listener.close()
            raise ConfigError(f"{self._path}: cannot listen: {error.strerror or error}") from error
        self._listener = listener
        self._thread = threading.Thread(target=self._accept, args=(listener,), name=f"rpc {self._path.name}")
        self._thread.daemon = True
        self._thread.start()

    def stop(self) -> None:
        """Take no more calls; those under way end by themselves. Stopping twice is fine."""
        listener, self._listener = self._listener, None
        if listener is None:
            return
        self._path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        if self._thread is not None:
            self._thread.join(5)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _accept(self, listener: socket.socket) -> None:
        while self._listener is listener:
            try:
                connection, _ = listener.accept()
            except OSError as error:
                if self._listener is listener:
                    log.error("%s: cannot accept: %s", self._path, error.strerror)
                    threading.Event().wait(0.2)
                continue
            self._room.acquire()
            try:
                self._threads.submit(self._serve, connection).add_done_callback(lambda _: self._room.release())
            except RuntimeError:  # stopped meanwhile
                self._room.release()
                connection.close()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                connection.settimeout(self._timeout)
                answer = self._answer(connection)
                connection.sendall(json.dumps(answer).encode() + b"\n")
            except (OSError, ValueError):
                return  # the caller went away, stalled or talked nonsense: it has its own time-out

    def _answer(self, connection: socket.socket) -> dict[str, Any]:
        user = _user_of(connection)
        if user not in self._users:
            return {"error": "AuthFailed", "words": f"user id {user} may not call here"}
        request = json.loads(_read_line(connection))
        if not isinstance(request, dict) or not isinstance(request.get("with"), dict):
            return {"error": "InvalidRequest", "words": "the call is not of the form that is known here"}
        handler = self._handlers.get(str(request.get("do")))
        if handler is None:
            return {"error": "InvalidRequest", "words": f"there is no call {request.get('do')!r} here"}
        try:
            return {"result": handler(request["with"], user)}
        except CluesError as error:
            return {"error": type(error).__name__, "words": str(error)}
        except (KeyError, TypeError, ValueError) as error:
            return {"error": "InvalidRequest", "words": f"the call is malformed: {type(error).__name__}"}
        except Exception as error:  # noqa: BLE001 - its words may quote a secret
            log.error("%s: %s failed: %s", self._path.name, request.get("do"), type(error).__name__)
            return {"error": "Transient", "words": "the other side failed; its log says where"}


def _user_of(connection: socket.socket) -> int:
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, user, _ = struct.unpack("3i", credentials)
    return int(user)


def _read_line(connection: socket.socket) -> bytes:
    received = bytearray()
    while not received.endswith(b"\n"):
        more = connection.recv(65536)
        if not more:
            raise ValueError("the line was cut off")
        received += more
        if len(received) > LONGEST:
            raise ValueError("the line is too long")
    return bytes(received)
