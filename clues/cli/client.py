"""HTTP over the daemon's UNIX socket, with every way in which that can fail told in one line."""

from __future__ import annotations

import grp
import json
import os
import socket
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from urllib.parse import quote, urlencode

from clues.api import wire
from clues.api.codec import WireError, decode
from clues.cli.errors import CliError, Failed, NotPermitted, NotReachable

DEFAULT_SOCKET = "/run/clues/clues.sock"

#: The daemon answers within milliseconds; one that takes longer than this hangs.
_LONGEST_ANSWER_SECONDS = 30.0
#: A stream says every fifteen seconds that it is still there.
_LONGEST_SILENCE_SECONDS = 45.0

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

    def __init__(self, path: str) -> None:
        self.path = path

    def get(self, path: str, query: Query = (), *, longer: float = 0.0) -> bytes:
        """Return the JSON of ``/v1/PATH``; the daemon may take *longer* seconds than usual, as it was asked
        to wait.

        :raises clues.cli.errors.CliError: whatever goes wrong.
        """
        target = f"/{wire.VERSION}/{quote(path)}"
        return self._request("GET", f"{target}?{urlencode(query)}" if query else target, None, longer)

    def post(self, path: str, body: object = None) -> bytes:
        """Send an order and return the JSON of the answer.

        :raises clues.cli.errors.CliError: whatever goes wrong; nothing was changed then, unless the daemon
        broke down
            while it answered.
        """
        payload = b"" if body is None else json.dumps(body).encode()
        return self._request("POST", f"/{wire.VERSION}/{quote(path)}", payload, 0.0)

    def follow(self, path: str) -> Generator[bytes, None, None]:
        """Go through the server-sent events of ``/v1/PATH`` as they come, each as its JSON; ends when the daemon does.

        :raises clues.cli.errors.CliError: whatever goes wrong.
        """
        connection = _UnixConnection(self.path, _LONGEST_SILENCE_SECONDS)
        try:
            with self._told():
                connection.request("GET", f"/{wire.VERSION}/{quote(path)}")
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

    def _request(self, method: str, target: str, body: bytes | None, longer: float) -> bytes:
        connection = _UnixConnection(self.path, _LONGEST_ANSWER_SECONDS + longer)
        try:
            with self._told():
                headers = {"Content-Type": "application/json"} if body else {}
                connection.request(method, target, body, headers)
                response = connection.getresponse()
                content = response.read()
        finally:
            connection.close()
        if response.status >= 400:
            raise self._refused(response.status, content)
        return content

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Have whatever goes wrong with a connection told in one line."""
        try:
            yield
        except PermissionError as error:
            raise NotPermitted(self._who_may()) from error
        except TimeoutError as error:
            raise NotReachable(
                f"cluesd does not answer at {self.path} in time: does it hang? journalctl -u cluesd"
            ) from error
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError) as error:
            raise NotReachable(
                f"cluesd does not answer at {self.path}: is it running? systemctl status cluesd"
            ) from error
        except (HTTPException, BrokenPipeError, ConnectionResetError) as error:
            raise NotReachable(f"what answers at {self.path} is not cluesd, or it broke down meanwhile") from error
        except OSError as error:
            raise NotReachable(f"no connection to cluesd at {self.path}: {error.strerror or error}") from error

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
            return NotReachable(f"what answers at {self.path} is not cluesd (HTTP {status})")
        kind = NotPermitted if status == 403 else Failed
        return kind(problem.detail or problem.title)
