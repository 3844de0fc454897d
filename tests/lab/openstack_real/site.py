"""The real cloud as the contract of connectors wants a site: reached through a proxy that plays faults before nova.

keystone, neutron and glance are asked directly. Faults that the cloud itself can be made to have (a quota that is used
up, a hypervisor that takes nothing) are real ones; the proxy plays the others.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml

from clues.model import Instance, Kind, LaunchRequest, Offer, Resources
from clues.ports import PluginContext
from clues.testing.wire import FaultyProxy, WireFault
from connectors.openstack.config import OpenStackConfig
from connectors.openstack.connector import OpenStackConnector
from tests.lab.frontend import wait_for
from tests.lab.openstack_real import seed
from tests.lab.openstack_real.cloud import OpenStack

#: on a machine that has other work to do
PATIENCE = 180.0

_CONFLICT = json.dumps({"conflictingRequest": {"code": 409, "message": "it is being backed up"}})
_FAULTS = {
    "auth": WireFault.UNAUTHORIZED,
    "throttled": WireFault.TOO_MANY,
    "transient": WireFault.status(409, _CONFLICT, "application/json", says="backed up"),
    "unknown-outcome": WireFault.LOST_REPLY,
}


class RealSite:
    """The project of clues, as a site. Clear it at the end: the cloud is used again."""

    name = "lab"

    def __init__(self, cloud: OpenStack, folder: Path, **settings: Any) -> None:
        self.cloud, self.folder, self.settings = cloud, folder, settings
        self.wire = FaultyProxy(cloud.urls["compute"])
        self.secrets = (cloud.layout.passwords["application"], cloud.layout.passwords["user"])
        document = yaml.safe_load(cloud.clouds_yaml.read_text())
        for entry in document["clouds"].values():
            entry["compute_endpoint_override"] = self.wire.url
        self._clouds = folder / "clouds.yaml"
        self._clouds.touch(mode=0o600)
        self._clouds.write_text(yaml.safe_dump(document))
        self.wire.start()

    # --- the contract ---------------------------------------------------------------------------------------------

    def connect(self, cluster: str) -> OpenStackConnector:
        """Return a new connector."""
        return self.build(cluster)

    def config(self, **changes: Any) -> OpenStackConfig:
        """Return the site's configuration."""
        given: dict[str, Any] = {
            "cloud": "lab",
            "clouds_file": str(self._clouds),
            "network": seed.RANGE,
            "image_owner": self.cloud.seeded.image_owner,
            "gpu_types": {"CUSTOM_GPU_A10": "a10"},
            "timeout": f"{PATIENCE:g}s",
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

    def request(self, cluster: str, number: int, flavor: str = "small", gang: str = "") -> LaunchRequest:
        """Return a request; the addresses of two clusters do not clash."""
        return LaunchRequest(
            cluster=cluster,
            launch_key=f"{cluster[:8]}-{cluster[-1]}-n{number:02}-1-6929d0a1",
            kind=Kind.WORKER,
            node=f"n{number:02}",
            pool="cpu",
            generation=1,
            offer=Offer(self.name, flavor, seed.IMAGE),
            shape=Resources(4, 2048),
            user_data="#!/bin/sh\n",
            address=f"10.77.1.{number + (10 if cluster[-1] == 'a' else 100)}",
            gang=gang,
        )

    def fail_next(self, op: str, code: str) -> None:
        """Let the next decisive request of *op* fail."""
        times = 2 if code == "auth" else 1  # it is tried twice, with a new token
        fault = (
            WireFault.BAD_GATEWAY if (op, code) in {("list", "transient"), ("quota", "transient")} else _FAULTS[code]
        )
        self.wire.next(fault, lambda method, path, body: self.is_op(op, method, path, body), times)

    def is_op(self, op: str, method: str, path: str, body: bytes) -> bool:
        """Return whether a request decides *op*."""
        bare, _, query = path.partition("?")
        return {
            "list": method == "GET" and bare.endswith("/servers/detail") and "tags=" not in query,
            "launch": method == "POST" and bare.endswith("/servers"),
            "terminate": method == "DELETE" and "/servers/" in bare,
            "quota": method == "GET" and bare.endswith("/limits"),
        }[op]

    def pull_the_plug(self, instance: Instance) -> None:
        """Stop a server as somebody would who has access to the project; it has to run for that."""
        server = f"/servers/{instance.id}"

        def active() -> bool | None:
            return True if self.cloud.user.get("compute", server)["server"]["status"] == "ACTIVE" else None

        wait_for("the server to run", active, PATIENCE)
        self.cloud.user.post("compute", f"{server}/action", {"os-stop": None})

    def public_bytes(self) -> Iterable[tuple[str, bytes]]:
        """Return what others could read: files of the connector's that are not private."""
        for path in self.folder.rglob("*"):
            if path.is_file() and path.stat().st_mode & 0o077:
                yield str(path), path.read_bytes()

    # --- behind the connector's back ------------------------------------------------------------------------------

    def add_foreign(self, name: str, count: int = 1) -> list[str]:
        """Make servers of somebody else's in the same project; return their ids."""
        seeded = self.cloud.seeded
        server = {
            "name": name,
            "flavorRef": seeded.flavors["small"],
            "imageRef": seeded.image,
            "networks": [{"uuid": seeded.network}],
            "min_count": count,
        }
        before = self.ids()
        self.cloud.user.post("compute", "/servers", {"server": server})
        return sorted(self.ids() - before)

    def ids(self) -> set[str]:
        """Return the ids of all servers of the project."""
        return {one["id"] for one in self.cloud.user.servers()}

    def keys(self) -> list[str]:
        """Return the launch keys of all servers, sorted: one that stands there twice has two."""
        return sorted(one["metadata"].get("clues-launch-key", "") for one in self.cloud.user.servers())

    def addresses(self) -> list[str]:
        """Return the addresses of all ports of the project, sorted."""
        return sorted(ip["ip_address"] for port in self.cloud.user.ports() for ip in port["fixed_ips"])

    def clear(self) -> None:
        """Delete all servers and ports, and let the cloud be as it was filled."""
        self.wire.stop()
        for one in self.ids():
            self.cloud.user.delete("compute", f"/servers/{one}")
        wait_for("all servers to be gone", lambda: None if self.ids() else True, PATIENCE, self.ids)
        for port in self.cloud.user.ports():
            self.cloud.user.delete("network", f"/v2.0/ports/{port['id']}")
        while groups := self.cloud.user.get("compute", "/os-server-groups")["server_groups"]:
            for group in groups:
                self.cloud.user.delete("compute", f"/os-server-groups/{group['id']}")
        self.cloud.set_quota()
        self.cloud.enable_hypervisor(True)
