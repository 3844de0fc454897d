"""The fake as one object: its state, what a test may turn, and which service answers which path."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable
from types import TracebackType

from tests.lab.openstack_fake import glance, issuer, keystone, neutron, nova
from tests.lab.openstack_fake.http import Listener, Refusal, Reply, Request
from tests.lab.openstack_fake.state import State, new_project

#: by the first segment of the path
_SERVICES: dict[str, Callable[[State, Request], Reply]] = {
    "identity": keystone.answer,
    "compute": nova.answer,
    "networking": neutron.answer,
    "image": glance.answer,
    "oidc": issuer.answer,
}


class FakeOpenStack:
    """A cloud with one project of ours, `clues`, one of somebody else, and one network in each."""

    def __init__(self) -> None:
        self.state = State()
        #: every request since the start, as (method, path)
        self.requests: list[tuple[str, str]] = []
        self._lock = threading.RLock()
        self._listener = Listener(self._answer)
        self.state.public_url = self._listener.url
        new_project(self.state, "clues", "6f70656e737461636b2d636c75657330")
        new_project(self.state, "others", uuid.uuid4().hex)

    @property
    def url(self) -> str:
        """Where it listens; keystone is at ``/identity``."""
        return self._listener.url

    def behind(self, url: str) -> None:
        """Let the catalog send its clients to *url* instead: a proxy."""
        self.state.public_url = url

    def start(self) -> None:
        """Begin to serve."""
        self._listener.start()

    def stop(self) -> None:
        """End."""
        self._listener.stop()

    def __enter__(self) -> FakeOpenStack:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def count(self, method: str, ending: str) -> int:
        """Return how many requests of this method had a path with this ending."""
        return sum(verb == method and path.endswith(ending) for verb, path in self.requests)

    def _answer(self, request: Request) -> Reply:
        first = request.path.strip("/").split("/")[0]
        delay = self.state.latency
        if delay:
            time.sleep(delay)
        with self._lock:
            self.requests.append((request.method, request.path))
            service = _SERVICES.get(first)
            if service is None:
                return Reply(404, "<html><body>nothing here</body></html>")
            if request.raw and "json" in request.headers.get("content-type", ""):
                try:
                    request.body = json.loads(request.raw)
                except ValueError:
                    return Reply(400, {"badRequest": {"message": "Malformed request body", "code": 400}})
            try:
                return service(self.state, request)
            except Refusal as refusal:
                return refusal.reply
