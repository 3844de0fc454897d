"""The connector to copy keeps the contract on the wire; and the site under test to copy beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from clues.model import Instance, InstanceState, Kind, LaunchRequest, Offer, Resources
from clues.ports import PluginContext
from clues.testing.pebble import Pebble
from clues.testing.wire import FaultyProxy, WireFault
from clues.testing.wire_contract import WireContract
from connectors.example import ExampleConfig, ExampleConnector

TOKEN = "pebble-7b1e9d0c-secret"


def refusal(status: int, code: str) -> WireFault:
    """Return how Pebble refuses."""
    words = f"{code.replace('_', ' ')}, says Pebble"
    body = f'{{"error": {{"code": "{code}", "message": "{words}"}}}}'
    return WireFault.status(status, body, "application/json", says=words)


class Site:
    """Pebble behind a proxy, and what the suite asks of both; the capitals declare what it can do."""

    QUOTA_VMS: ClassVar[int | None] = 4
    SHOWS_ENDED: ClassVar[bool] = False
    PAGE_SIZE: ClassVar[int | None] = 2
    TELLS_CONSOLE: ClassVar[bool] = True
    ERRORS: ClassVar[dict[str, tuple[str, ...]]] = {
        "launch": ("no-capacity", "quota", "throttled", "auth", "transient", "invalid", "unknown-outcome"),
        "list": ("auth", "throttled", "transient"),
        "terminate": ("auth", "throttled", "transient", "unknown-outcome"),
        "quota": ("auth", "throttled", "transient"),
    }
    REFUSALS: ClassVar[dict[str, WireFault]] = {
        "no-capacity": refusal(409, "no_capacity"),
        "quota": refusal(403, "quota_exceeded"),
        "auth": refusal(403, "forbidden"),
        "throttled": refusal(429, "rate_limited"),
        "transient": refusal(503, "maintenance"),
        "invalid": refusal(422, "invalid"),
        "unknown-outcome": WireFault.LOST_REPLY,
    }
    CONNECTOR: ClassVar[type[ExampleConnector]] = ExampleConnector
    name = "pebble"
    secrets = (TOKEN,)

    def __init__(self, folder: Path) -> None:
        self.cloud = Pebble(TOKEN, servers=4, page=2)
        self.wire = FaultyProxy(self.cloud.url)
        self.wire.start()
        self.token = folder / "token"
        self.token.touch(mode=0o600)
        self.token.write_text(TOKEN + "\n")

    def __enter__(self) -> Site:
        return self

    def __exit__(self, *_: object) -> None:
        self.wire.stop()
        self.cloud.stop()

    def _connect(self, cluster: str, timeout: str) -> ExampleConnector:
        config = {"endpoint": self.wire.url, "credentials": str(self.token), "timeout": timeout}
        checked = ExampleConfig.model_validate({**config, "calls_per_second": 1000.0})
        return self.CONNECTOR(checked, PluginContext(cluster, self.name, self.token.parent))

    # --- every connector ------------------------------------------------------------------------------------------

    def connect(self, cluster: str) -> ExampleConnector:
        return self._connect(cluster, "20s")

    def request(self, cluster: str, number: int) -> LaunchRequest:
        return LaunchRequest(
            cluster=cluster,
            launch_key=f"key-{cluster[-1]}-{number}",
            kind=Kind.WORKER,
            node=f"node-{number}",
            pool="pool",
            generation=1,
            offer=Offer(self.name, "small", "clues-worker"),
            shape=Resources(1, 1024),
            user_data="#!/bin/sh\n",
        )

    def fail_next(self, op: str, code: str) -> None:
        twice = code == "auth"  # the connector renews its login, and tries once more
        self.wire.next(self.REFUSALS[code], lambda *request: self.is_op(op, *request), times=2 if twice else 1)

    def pull_the_plug(self, instance: Instance) -> None:
        self.cloud.server(instance.id).enter("halted")

    def public_bytes(self) -> Iterable[tuple[str, bytes]]:
        for path in self.token.parent.rglob("*"):
            if path.is_file() and path.stat().st_mode & 0o077:
                yield str(path), path.read_bytes()

    # --- over HTTP ------------------------------------------------------------------------------------------------

    def impatient(self, cluster: str) -> ExampleConnector:
        return self._connect(cluster, "1s")

    def is_op(self, op: str, method: str, path: str, body: bytes) -> bool:
        path = path.partition("?")[0]
        match op:
            case "list":
                return (method, path) == ("GET", "/v1/servers")
            case "launch":
                return (method, path) == ("POST", "/v1/servers")
            case "terminate":
                return method == "DELETE"
            case _:
                return path == "/v1/quota"

    def add_foreign(self, like: LaunchRequest) -> str:
        return self.cloud.add(like.node, like.offer.flavor, {"owner": "somebody"}).id

    def foreign_is_untouched(self, instance_id: str) -> bool:
        server = self.cloud.server(instance_id)
        return server.now() == "active" and server.labels == {"owner": "somebody"}

    def strip_tags(self, instance: Instance) -> None:
        self.cloud.server(instance.id).labels.clear()

    def transient_states(self) -> Mapping[str, InstanceState]:
        return {
            "building": InstanceState.PENDING,
            "ending": InstanceState.STOPPING,
            "halted": InstanceState.STOPPED,
            "failed": InstanceState.ERROR,
            "levitating": InstanceState.UNKNOWN,
        }

    def put_in_state(self, instance: Instance, state: str) -> None:
        for server in self.cloud.living():
            if server.id == instance.id:
                server.enter(state or "active", stuck=bool(state))

    def refuse_terminate(self, times: int) -> None:
        self.cloud.refusals = times

    def ignore_terminate(self, times: int) -> None:
        self.cloud.broken_promises = times

    def list_twice(self) -> None:
        self.cloud.twice = True

    def hostile_names(self) -> None:
        for server in self.cloud.living():
            server.name = server.description = "\x1b[2J\r\n\x00'\";<script>%s{}\u202e" + "x" * 10_000
            server.address = "10.0.0.1\x1b]0;owned\x07"

    def alive(self) -> int:
        return len(self.cloud.living())


class TestExample(WireContract):
    QUOTA_VMS = Site.QUOTA_VMS
    SHOWS_ENDED = Site.SHOWS_ENDED
    PAGE_SIZE = Site.PAGE_SIZE
    ERRORS = Site.ERRORS

    @pytest.fixture
    def site(self, tmp_path: Path) -> Iterator[Site]:
        with Site(tmp_path) as site:
            yield site
