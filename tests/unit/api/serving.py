"""The real API on a real UNIX socket, with a daemon's counter in memory behind it."""

from __future__ import annotations

import json
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from threading import Event
from typing import Any

from clues.api.app import make_app
from clues.api.server import ApiServer
from clues.model import Published
from tests.unit.api.memory_control import MemoryControl, explain
from tests.unit.builders import NOW


class UnixConnection(HTTPConnection):
    """A client that shares no code with the one under test."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=20)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(str(self.path))


@dataclass(frozen=True)
class Answer:
    status: int
    type: str
    body: Any


@dataclass(frozen=True)
class Api:
    """A served API and its daemon's counter."""

    path: Path
    control: MemoryControl
    server: ApiServer

    def ask(self, method: str, target: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        connection = UnixConnection(self.path)
        try:
            payload = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
            connection.request(method, target, payload, headers or {})
            response = connection.getresponse()
            return Answer(response.status, response.headers.get_content_type(), json.loads(response.read()))
        finally:
            connection.close()

    def get(self, target: str) -> Any:
        """Return the body of an answer that has to be a good one."""
        answer = self.ask("GET", target)
        assert answer.status == 200, answer
        return answer.body

    def post(self, target: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        return self.ask("POST", target, body, {"Content-Type": "application/json", **(headers or {})})


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for a socket's name (pytest's own may be too long)."""
    with tempfile.TemporaryDirectory(prefix="clues-") as folder:
        yield Path(folder)


@contextmanager
def serve(published: Published | None, *, path: Path | None = None, open_to_all: bool = False) -> Iterator[Api]:
    """Serve *published*, looked at when it was published."""
    with short_folder() as folder:
        control = MemoryControl(published)
        stopping = Event()
        app = make_app(control, explain, now=lambda: NOW, stopping=stopping, open_to_all=open_to_all)
        mode = 0o666 if open_to_all else 0o660
        server = ApiServer(app, path or folder / "clues.sock", mode=mode, stopping=stopping)
        server.start()
        try:
            yield Api(path or folder / "clues.sock", control, server)
        finally:
            server.stop()
