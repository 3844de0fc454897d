"""The fake behind a faulty wire, as the contract of connectors wants a site: with what is done behind its back."""

from __future__ import annotations

import itertools
import json
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from clues.model import Instance, InstanceState, Kind, LaunchRequest, Offer, Resources
from clues.ports import PluginContext
from clues.testing.wire import FaultyProxy, WireFault
from connectors.openstack.config import OpenStackConfig
from connectors.openstack.connector import OpenStackConnector
from tests.lab.openstack_fake.cloud import FakeOpenStack
from tests.lab.openstack_fake.state import AppCredential, Server, new_id, now


def _says(status: int, kind: str, message: str, code: int | None = None) -> WireFault:
    body = json.dumps({kind: {"code": code or status, "message": message}})
    return WireFault.status(status, body, "application/json", says=message)


#: what fail_next plays, by op and code
_POLICY = _says(403, "forbidden", "Policy doesn't allow os_compute_api:servers:create to be performed.")
_COMMON: Mapping[str, WireFault] = {
    "auth": _POLICY,
    "throttled": WireFault.TOO_MANY,
    "transient": _says(409, "conflictingRequest", "it is being backed up"),
    "unknown-outcome": WireFault.LOST_REPLY,
}
_REFUSED = {code: fault for code, fault in _COMMON.items() if code != "unknown-outcome"}
FAULTS: Mapping[str, Mapping[str, WireFault]] = {
    "launch": {
        **_COMMON,
        "quota": _says(403, "forbidden", "Quota exceeded for instances: Requested 1, but already used 3 of 3"),
        "no-capacity": _says(500, "computeFault", "No valid host was found. There are not enough hosts available."),
        "invalid": _says(400, "badRequest", "Can not find requested image"),
    },
    "terminate": _COMMON,
    "list": {**_REFUSED, "transient": WireFault.BAD_GATEWAY},
    "quota": {**_REFUSED, "transient": WireFault.BAD_GATEWAY},
}

_HOSTILE = "\x1b[2J\x07\"'<script>\u202e; $(reboot) ${IFS}\x00" + "A" * 10_000


class OpenStackSite:
    """One project, reached through a proxy that plays faults."""

    name = "here"

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder, self.settings = folder, settings
        self.cloud = FakeOpenStack()
        self.state = self.cloud.state
        self.wire = FaultyProxy(self.cloud.url)
        self.cloud.behind(self.wire.url)
        self.project = self.state.project("clues")
        credential = AppCredential(
            new_id().replace("-", ""),
            "daemon",
            secrets.token_urlsafe(32),
            self.state.users["clues"][0],
            self.project.id,
            now() + timedelta(days=30),
        )
        self.state.credentials[credential.id] = credential
        self.credential = credential
        self.secrets = (credential.secret,)
        self.clouds_yaml(
            {"application_credential_id": credential.id, "application_credential_secret": credential.secret}
        )

    def clouds_yaml(self, auth: Mapping[str, str], **more: object) -> None:
        """Write the one entry of clouds.yaml."""
        entry = {"auth": {"auth_url": f"{self.wire.url}/identity/v3", **auth}, **more}
        path = self.folder / "clouds.yaml"
        path.write_text(json.dumps({"clouds": {"test": entry}}))  # JSON is YAML
        path.chmod(0o600)

    def start(self) -> None:
        """Begin."""
        self.cloud.start()
        self.wire.start()

    def stop(self) -> None:
        """End."""
        try:
            self.wire.stop()
        finally:
            self.cloud.stop()

    def config(self, **changes: Any) -> OpenStackConfig:
        """Return the site's configuration."""
        given: dict[str, Any] = {
            "cloud": "test",
            "clouds_file": str(self.folder / "clouds.yaml"),
            "network": "10.77.1.0/24",
            "calls_per_second": 10_000.0,
            **self.settings,
            **changes,
        }
        return OpenStackConfig.model_validate(given)

    def build(
        self, cluster: str, *, monotonic: Callable[[], float] = time.monotonic, **changes: Any
    ) -> OpenStackConnector:
        """Return a connector with some keys changed."""
        context = PluginContext(cluster, self.name, self.folder, network="10.77.0.0/16")
        return OpenStackConnector(self.config(**changes), context, monotonic)

    def left_behind(self, cluster: str) -> list[str]:
        """Return what is left at neutron without a VM, after a daemon has listed twice with some minutes between."""
        hours = itertools.count()
        connector = self.build(cluster, monotonic=lambda: next(hours) * 3600.0)
        for _ in range(2):
            connector.list_instances()
        keys = {one.metadata.get("clues-launch-key") for one in self.state.servers.values()}
        ports = [one for one in self.state.ports.values() if one.name and one.device not in self.state.servers]
        left = [one.name for one in ports if one.name.removeprefix("clues-") not in keys]
        return left + [
            one.description for one in self.state.floating.values() if one.description.split()[-1] not in keys
        ]

    # --- the contract ---------------------------------------------------------------------------------------------

    def connect(self, cluster: str) -> OpenStackConnector:
        """Return a new connector."""
        return self.build(cluster)

    def impatient(self, cluster: str) -> OpenStackConnector:
        """Return a connector that waits for a second."""
        return self.build(cluster, timeout=timedelta(seconds=1))

    def request(self, cluster: str, number: int) -> LaunchRequest:
        """Return a request; the addresses of two clusters do not clash."""
        offer = Offer(self.name, "m1.small", "clues-worker")
        return LaunchRequest(
            cluster=cluster,
            launch_key=f"{cluster[:8]}-{cluster[-1]}-n{number:02}-1-6929d0a1",
            kind=Kind.WORKER,
            node=f"n{number:02}",
            pool="cpu",
            generation=1,
            offer=offer,
            shape=Resources(2, 4000),
            user_data="#!/bin/sh\n",
            address=f"10.77.1.{number + (10 if cluster[-1] == 'a' else 60)}",
        )

    def fail_next(self, op: str, code: str) -> None:
        """Let the next decisive request fail."""
        fault = FAULTS[op][code]
        times = 2 if code == "auth" else 1  # it is tried twice, with a new token
        self.wire.next(fault, lambda method, path, body: self.is_op(op, method, path, body), times)

    def pull_the_plug(self, instance: Instance) -> None:
        """Let a VM power itself off."""
        self.state.servers[instance.id].forced = "SHUTOFF"

    def public_bytes(self) -> Iterable[tuple[str, bytes]]:
        """Return what others could read: files of the connector's that are not private."""
        for path in self.folder.rglob("*"):
            if path.is_file() and path.stat().st_mode & 0o077:
                yield str(path), path.read_bytes()

    def is_op(self, op: str, method: str, path: str, body: bytes) -> bool:
        """Return whether a request decides *op*."""
        bare, _, query = path.partition("?")
        return {
            "list": method == "GET" and bare.endswith("/compute/v2.1/servers/detail") and "tags=" not in query,
            "launch": method == "POST" and bare.endswith("/compute/v2.1/servers"),
            "terminate": method == "DELETE" and "/compute/v2.1/servers/" in bare,
            "quota": method == "GET" and bare.endswith("/compute/v2.1/limits"),
        }[op]

    def add_foreign(self, like: LaunchRequest) -> str:
        """Make a VM of the same name in the same project, without our tags."""
        flavor = next(iter(self.state.flavors.values()))
        server = Server(new_id(), like.node, self.project.id, "somebody", flavor, "", now(), now(), {}, ["blue"])
        self.state.servers[server.id] = server
        return server.id

    def foreign_is_untouched(self, instance_id: str) -> bool:
        """Return whether it is as it was made."""
        server = self.state.servers.get(instance_id)
        return server is not None and (server.metadata, server.tags, server.deleted_at) == ({}, ["blue"], None)

    def strip_tags(self, instance: Instance) -> None:
        """Take metadata and tags away."""
        server = self.state.servers[instance.id]
        server.metadata, server.tags = {}, []

    def transient_states(self) -> Mapping[str, InstanceState]:
        """Return nova's states and tasks in which a VM may hang."""
        return {
            "BUILD": InstanceState.PENDING,
            "networking": InstanceState.PENDING,
            "REBUILD": InstanceState.PENDING,
            "REBOOT": InstanceState.RUNNING,
            "MIGRATING": InstanceState.RUNNING,
            "powering-off": InstanceState.RUNNING,
            "deleting": InstanceState.STOPPING,
            "deleting-error": InstanceState.STOPPING,
            "PAUSED": InstanceState.STOPPED,
            "SHELVED_OFFLOADED": InstanceState.STOPPED,
            "ERROR": InstanceState.ERROR,
            "FUTURE_WORD": InstanceState.UNKNOWN,
        }

    def put_in_state(self, instance: Instance, state: str) -> None:
        """Have a VM hang."""
        if (server := self.state.servers.get(instance.id)) is not None:
            server.forced = state

    def refuse_terminate(self, times: int) -> None:
        """Refuse deletes with a conflict."""
        self.state.refuse_deletes = times

    def ignore_terminate(self, times: int) -> None:
        """Accept deletes and do nothing."""
        self.state.ignore_deletes = times

    def list_twice(self) -> None:
        """Show each VM twice in the next page."""
        self.state.doubled = 1

    def hostile_names(self) -> None:
        """Write terrible things wherever a user may."""
        for server in self.state.servers.values():
            server.name = server.description = server.key_name = server.zone = _HOSTILE
            server.metadata |= {"note": _HOSTILE, _HOSTILE[:200]: "x"}
            server.tags = [*server.tags, _HOSTILE]
            server.fault = {"code": 500, "message": _HOSTILE, "created": _HOSTILE}

    def alive(self) -> int:
        """Return how many VMs there are that have not ended."""
        return sum(one.deleted_at is None or one.deleted_at > now() for one in self.state.servers.values())
