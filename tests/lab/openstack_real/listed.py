"""The servers of the cloud as the lab's hypervisor wants them: with their user-data, which only administrators see."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import Any

from clues.model import Gpu, Resources, make_gpus
from tests.lab.booter import Listed
from tests.lab.openstack_real.api import Api

_USER_DATA = "OS-EXT-SRV-ATTR:user_data"
_TASK = "OS-EXT-STS:task_state"


def listed(admin: Api) -> Sequence[Listed]:
    """Return all servers that nova says are made, of every project."""
    return [_listed(one) for one in admin.servers("all_tenants=1&") if _is_made(one)]


def _is_made(server: dict[str, Any]) -> bool:
    """Whether it has its hardware: one that is being built or deleted has not, nor one that could not be built."""
    return server["status"] in ("ACTIVE", "SHUTOFF") and server[_TASK] != "deleting" and bool(server["addresses"])


def _listed(server: dict[str, Any]) -> Listed:
    flavor = server["flavor"]
    gpus = [
        Gpu(key.removeprefix("resources:CUSTOM_GPU_").lower(), int(count))
        for key, count in flavor["extra_specs"].items()
        if key.startswith("resources:CUSTOM_GPU_")
    ]
    (address,) = [port["addr"] for ports in server["addresses"].values() for port in ports]
    return Listed(
        id=server["id"],
        name=server["name"],
        address=IPv4Address(address),
        resources=Resources(flavor["vcpus"], flavor["ram"], make_gpus(gpus)),
        user_data=base64.b64decode(server[_USER_DATA] or "").decode(),
        runs=server["status"] == "ACTIVE",
    )
