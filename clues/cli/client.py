"""HTTP over the daemon's UNIX socket, or to a server, with every way in which that can fail told in one line.

What acts carries an idempotency key: an order whose answer was lost is sent again, and the daemon, which may have been
restarted meanwhile, answers it without doing it twice.
"""

from __future__ import annotations

import grp
import json
import os
import socket
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from urllib.parse import quote, urlencode

from clues.api import wire
from clues.api.codec import WireError, decode
from clues.cli.errors import AnswerLost, CliError, Failed, NotPermitted, NotReachable
from clues.cli.server import Server

DEFAULT_SOCKET = "/run/clues/clues.sock"

#: The daemon answers within milliseconds; one that takes longer than this hangs.
_LONGEST_ANSWER_SECONDS = 30.0
#: A stream says every fifteen seconds that it is still there.
_LONGEST_SILENCE_SECONDS = 45.0

#: So long an order is sent again whose answer was lost: a daemon is restarted in less.
_REPEAT_SECONDS = 20.0
_PAUSE_SECONDS = 0.5

Query = Sequence[tuple[str, str | int | float]]


class _UnixConnection(HTTPConnection):
    """An HTTP connection to a path instead of a host."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Open the socket, or where only operators may, the one beside it that is open to all."""
        try:
            self._open(self._path)
        except PermissionError:
            try:
                self._open(_open_to_all(self._path))
            except OSError:
                pass
            else:
                return
            raise

    def _open(self, path: str) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.sock.settimeout(self.timeout)
            self.sock.connect(path)
        except OSError:
            self.sock.close()
            raise


def _open_to_all(path: str) -> str:
    """Return where everybody may look: ``clues.places.Places.read_socket``, said again since that imports pathlib."""
    return os.path.splitext(path)[0] + ".read.sock"  # noqa: PTH122


class Client:
    """Requests to the daemon; one connection each, since commands make one or few."""

    def __init__(self, path: str, server: Server | None = None) -> None:
        """:param server: asked instead of the socket at *path*."""
        self.path, self._server = path, server

    @property
    def where(self) -> str:
        """Where the daemon is asked, for people."""
        return self._server.url if self._server else self.path

    def _connection(self, timeout: float) -> tuple[HTTPConnection, dict[str, str]]:
        if self._server is not None:
            return self._server.connection(timeout), self._server.headers()
        return _UnixConnection(self.path, timeout), {}

    def get(self, path: str, query: Query = (), *, longer: float = 0.0) -> bytes:
        """Return the JSON of ``/v1/PATH``; the daemon may take *longer* seconds than usual, as it was asked
        to wait.

        :raises clues.cli.errors.CliError: whatever goes wrong.
        """
        target = f"/{wire.VERSION}/{quote(path)}"
        return self._request("GET", f"{target}?{urlencode(query)}" if query else target, None, longer)

    def post(self, path: str, body: object = None) -> bytes:
        """Send an order and return the JSON of the answer.

        :raises clues.cli.errors.CliError: whatever goes wrong; nothing was changed then, unless the text says that
            this is not known.
        """
        payload = b"" if body is None else json.dumps(body).encode()
        target, key = f"/{wire.VERSION}/{quote(path)}", os.urandom(16).hex()
        ends, lost = time.monotonic() + _REPEAT_SECONDS, ""
        while True:
            try:
                return self._request("POST", target, payload, 0.0, key)
            except AnswerLost as error:
                lost = str(error)
            except NotReachable:
                if not lost:
                    raise
            if time.monotonic() > ends:
                raise AnswerLost(f"{lost}; whether the order was carried out is not known: look before you repeat it")
            time.sleep(_PAUSE_SECONDS)

    def follow(self, path: str) -> Generator[bytes, None, None]:
        """Go through the server-sent events of ``/v1/PATH`` as they come, each as its JSON; ends when the daemon does.

        :raises clues.cli.errors.CliError: whatever goes wrong.
        """
        connection, headers = self._connection(_LONGEST_SILENCE_SECONDS)
        try:
            with self._told():
                connection.request("GET", f"/{wire.VERSION}/{quote(path)}", headers=headers)
                response = connection.getresponse()
            if response.status >= 400:
                with self._told():
                    content = response.read()
                raise self._refused(response.status, content)
            while True:
                with self._told():
                    line = response.readline()
                if not line:
                    return
                if line.startswith(b"data: "):  # the daemon writes each event's data in one line
                    yield line[6:]
        finally:
            connection.close()

    def _request(self, method: str, target: str, body: bytes | None, longer: float, key: str = "") -> bytes:
        connection, headers = self._connection(_LONGEST_ANSWER_SECONDS + longer)
        headers |= {"Content-Type": "application/json"} if body else {}
        headers |= {"Idempotency-Key": key} if key else {}
        try:
            with self._told():
                connection.connect()
            with self._told(NotReachable if key == "" else AnswerLost):
                connection.request(method, target, body, headers)
                response = connection.getresponse()
                content = response.read()
        finally:
            connection.close()
        if response.status >= 400:
            raise self._refused(response.status, content)
        return content

    @contextmanager
    def _told(self, lost: type[NotReachable] = NotReachable) -> Iterator[None]:
        """Have whatever goes wrong with a connection told in one line.

        :param lost: what it is when no answer comes.
        """
        try:
            yield
        except PermissionError as error:
            raise NotPermitted(self._who_may()) from error
        except TimeoutError as error:
            raise lost(f"cluesd does not answer at {self.where} in time: does it hang? journalctl -u cluesd") from error
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError) as error:
            raise NotReachable(
                f"cluesd does not answer at {self.where}: is it running? systemctl status cluesd"
            ) from error
        except (HTTPException, BrokenPipeError, ConnectionResetError) as error:
            raise lost(f"what answers at {self.where} is not cluesd, or it broke down meanwhile") from error
        except OSError as error:
            raise lost(f"no connection to cluesd at {self.where}: {error.strerror or error}") from error

    def _who_may(self) -> str:
        try:
            group = grp.getgrgid(os.stat(self.path).st_gid).gr_name  # noqa: PTH116 - pathlib would be imported for this
        except (OSError, KeyError):
            return f"not permitted to use {self.path}"
        return f"not permitted to use {self.path}: that needs membership of the group {group}"

    def _refused(self, status: int, content: bytes) -> CliError:
        try:
            problem = decode(wire.Problem, json.loads(content))
        except (WireError, ValueError):
            return NotReachable(f"what answers at {self.where} is not cluesd (HTTP {status})")
        kind = NotPermitted if status in (401, 403) else Failed
        return kind(problem.detail or problem.title)
