"""HTTP for the fake: a request as the services see it, refusals in each service's form, routes."""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Json = dict[str, Any]


@dataclass
class Request:
    """One request, its body read if it is JSON."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: Mapping[str, str]
    raw: bytes
    body: Any = None
    #: whose token it came with, once a service has looked
    project: str = ""
    user: str = ""
    #: of nova, as (major, minor)
    version: tuple[int, int] = (2, 1)

    def one(self, name: str) -> str | None:
        """Return a query parameter that is given at most once."""
        values = self.query.get(name)
        return values[-1] if values else None


@dataclass
class Reply:
    """One answer; a body that is a dict is sent as JSON."""

    status: int
    body: Json | str | None = None
    headers: dict[str, str] = field(default_factory=dict)


class Refusal(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, body: Json | str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, body)
        self.reply = Reply(status, body, dict(headers or {}))


Handler = Callable[..., Reply]


class Routes:
    """The paths that a service knows."""

    def __init__(self) -> None:
        self._routes: list[tuple[str, re.Pattern[str], Handler]] = []

    def on(self, method: str, path: str) -> Callable[[Handler], Handler]:
        """Register a handler; each ``{}`` of *path* is one segment, and becomes an argument."""
        pattern = re.compile("/".join("([^/]+)" if part == "{}" else re.escape(part) for part in path.split("/")))

        def register(handler: Handler) -> Handler:
            self._routes.append((method, pattern, handler))
            return handler

        return register

    def find(self, method: str, path: str) -> tuple[Handler, tuple[str, ...]] | int:
        """Return the handler and its arguments, or the status of the refusal: 404, or 405."""
        known = False
        for verb, pattern, handler in self._routes:
            if match := pattern.fullmatch(path):
                known = True
                if verb == method:
                    return handler, match.groups()
        return 405 if known else 404


def only(given: Mapping[str, Any], allowed: set[str], refuse: Callable[[str], Refusal]) -> None:
    """Refuse keys that are not in *allowed*."""
    for key in given:
        if key not in allowed:
            raise refuse(key)


class Listener:
    """A threaded server on a free port of 127.0.0.1."""

    def __init__(self, answer: Callable[[Request], Reply]) -> None:
        handler = type("Handler", (_Handler,), {"answer": staticmethod(answer)})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """End, with all connections."""
        self._server.shutdown()
        self._thread.join(5)
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True
    block_on_close = False


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    answer: Callable[[Request], Reply]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed."""

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # the client has gone
            super().handle()

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = parse_qs(parts.query, keep_blank_values=True)
        reply = type(self).answer(Request(self.command, parts.path, query, headers, raw))
        content = reply.body if isinstance(reply.body, str) else json.dumps(reply.body) if reply.body else ""
        body = content.encode()
        kind = "application/json" if isinstance(reply.body, dict) else "text/html; charset=UTF-8"
        lines = {"Content-Type": kind, "Content-Length": str(len(body)), "Date": formatdate(usegmt=True)}
        if reply.status == 204:
            lines, body = {"Date": lines["Date"]}, b""
        self.send_response_only(reply.status)
        for name, value in (lines | reply.headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
