"""Pebble, a cloud that does not exist: a few VMs behind JSON over HTTP, for the connector that others are copied from.

It has what real ones have: pages, a quota, states that pass by themselves, strangers in the same account; and it can be
told to misbehave. It makes no VMs; they are entries of a table. `connectors/example.py` says how it is spoken to.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

FLAVORS: dict[str, dict[str, Any]] = {
    "small": {"cpus": 2, "memory_mib": 2048, "gpus": {}, "price": {"amount": 0.05, "currency": "EUR"}},
    "gpu": {"cpus": 8, "memory_mib": 61440, "gpus": {"a10": 1}, "price": {"amount": 0.9, "currency": "EUR"}},
}
IMAGES = ("clues-worker",)
#: how long a server is in a state that passes
_PASSING = 0.05
_ENDED = "ended"


class Refusal(Exception):
    """What a client is told instead of an answer."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


@dataclass
class Server:
    """One VM. ``state`` holds until ``since`` is some time ago, or for ever where it is ``stuck``."""

    id: str
    name: str
    flavor: str
    labels: dict[str, str]
    user_data: str = field(repr=False)
    address: str
    description: str = ""
    state: str = "building"
    stuck: bool = False
    since: float = field(default_factory=time.monotonic)
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat())

    def now(self) -> str:
        """Return the state that it is in by now."""
        if not self.stuck and time.monotonic() - self.since > _PASSING:
            self.state = {"building": "active", "ending": _ENDED}.get(self.state, self.state)
        return self.state

    def enter(self, state: str, *, stuck: bool = False) -> None:
        """Be in a state from now on."""
        self.state, self.stuck, self.since = state, stuck, time.monotonic()

    def shown(self) -> dict[str, Any]:
        """Return what the API tells of it."""
        told = {name: getattr(self, name) for name in ("id", "name", "flavor", "labels", "address", "created")}
        return {**told, "description": self.description, "state": self.now()}


class Pebble(ThreadingHTTPServer):
    """The cloud, on a free port of loopback; knows one account with one token."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, token: str, *, servers: int = 4, page: int = 2) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.token, self.most, self.page = token, servers, page
        self.lock = threading.RLock()
        self._servers: dict[str, Server] = {}
        self._numbers = itertools.count(1)
        #: how often an end is refused, or promised and forgotten
        self.refusals = self.broken_promises = 0
        #: the next page shows everything twice
        self.twice = False
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def stop(self) -> None:
        """End it."""
        self.shutdown()
        self.server_close()
        self._thread.join()

    def living(self) -> list[Server]:
        """Return the servers that have not ended, oldest first."""
        with self.lock:
            self._servers = {name: one for name, one in self._servers.items() if one.now() != _ENDED}
            return list(self._servers.values())

    def server(self, server_id: str) -> Server:
        """Return one of them.

        :raises Refusal: there is none.
        """
        for one in self.living():
            if one.id == server_id:
                return one
        raise Refusal(404, "not_found", f"no server {server_id}")

    def add(self, name: str, flavor: str, labels: dict[str, str], user_data: str = "") -> Server:
        """Make a server, whoever asks."""
        number = next(self._numbers)
        made = Server(f"srv-{number:04}", name, flavor, labels, user_data, f"10.1.0.{number % 250 + 1}")
        self._servers[made.id] = made
        return made

    # --- the API --------------------------------------------------------------------------------------------------

    def answer(self, method: str, path: list[str], query: dict[str, str], asked: dict[str, Any]) -> tuple[int, Any]:
        """Return status and body of a reply.

        :raises Refusal: the request is refused.
        """
        match method, path:
            case "GET", ["servers"]:
                return 200, self._list(query.get("after", ""))
            case "POST", ["servers"]:
                return 201, self._create(asked)
            case "GET", ["servers", one]:
                return 200, self.server(one).shown()
            case "DELETE", ["servers", one]:
                self._end(self.server(one))
                return 202, None
            case "GET", ["servers", one, "console"]:
                return 200, {"text": f"{self.server(one).name} login: "}
            case "GET", ["quota"]:
                used = [FLAVORS[one.flavor] for one in self.living()]
                memory = sum(one["memory_mib"] for one in used)
                told = {"servers": len(used), "cpus": sum(one["cpus"] for one in used), "memory_mib": memory}
                return 200, {"limits": {"servers": self.most}, "used": told}
            case "GET", ["flavors"]:
                return 200, {"flavors": [{"name": name, **flavor} for name, flavor in FLAVORS.items()]}
            case _:
                raise Refusal(404, "not_found", f"there is no {method} /v1/{'/'.join(path)}")

    def _list(self, after: str) -> dict[str, Any]:
        servers = [one for one in self.living() if one.id > after]
        page = [one.shown() for one in servers[: self.page]]
        told = {"servers": page * 2 if self.twice else page}
        self.twice = self.twice and not page
        return {**told, "next": page[-1]["id"] if len(servers) > self.page else None}

    def _create(self, asked: dict[str, Any]) -> dict[str, Any]:
        for kind, known in (("flavor", FLAVORS), ("image", IMAGES)):
            if asked.get(kind) not in known:
                raise Refusal(400, "invalid", f"unknown {kind} {asked.get(kind)!r}")
        if len(self.living()) >= self.most:
            raise Refusal(403, "quota_exceeded", f"your account may have {self.most} servers")
        return self.add(asked["name"], asked["flavor"], asked["labels"], asked["user_data"]).shown()

    def _end(self, server: Server) -> None:
        if self.refusals:
            self.refusals -= 1
            raise Refusal(409, "busy", f"server {server.id} is being moved to another host")
        if self.broken_promises:
            self.broken_promises -= 1
        elif server.state != "ending":
            server.enter("ending")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Pebble

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed."""

    def _serve(self) -> None:
        asked = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        version, *path = url.path.strip("/").split("/")
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        try:
            if self.headers.get("Authorization") != f"Bearer {self.server.token}":
                raise Refusal(401, "unauthorized", "this token is not known")
            if version != "v1":
                raise Refusal(404, "not_found", f"there is no version {version!r}")
            with self.server.lock:
                status, told = self.server.answer(self.command, path, query, json.loads(asked or b"{}"))
        except Refusal as refusal:
            status, told = refusal.status, {"error": {"code": refusal.code, "message": str(refusal)}}
        body = b"" if told is None else json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = _serve  # noqa: N815 - the base class names them so
