"""What the project may use, and uses: nova's limits, and neutron's as far as they keep a VM from being made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clues.model import Limits, Quota, Resources
from connectors.common.failures import Refused
from connectors.openstack.api import Cloud, Json, segment


def quota_of(cloud: Cloud) -> Quota:
    """Return the project's quota."""
    told = cloud.get("compute", "/limits")["limits"]["absolute"]
    used = int(told["totalInstancesUsed"])
    vms = _limit(told["maxTotalInstances"])
    free_ports = left(network_quota(cloud), "port")
    if free_ports is not None:
        # each VM needs a port
        vms = used + free_ports if vms is None else min(vms, used + free_ports)
    return Quota(
        Limits(vms=vms, cpus=_limit(told["maxTotalCores"]), memory_mib=_limit(told["maxTotalRAMSize"])),
        Resources(int(told["totalCoresUsed"]), int(told["totalRAMUsed"])),
        used,
    )


def network_quota(cloud: Cloud) -> Mapping[str, Any]:
    """Return neutron's quotas with what is used; empty where it does not tell us."""
    try:
        found: Json = cloud.get("network", f"/v2.0/quotas/{segment(cloud.project)}/details.json")["quota"]
    except Refused as refused:
        if refused.said.status in (403, 404):
            return {}
        raise
    return found


def left(quota: Mapping[str, Any], what: str) -> int | None:
    """Return how many more of a kind may be made; None where there is no limit, or no such kind."""
    item = quota.get(what)
    if not isinstance(item, dict) or _limit(item.get("limit", -1)) is None:
        return None
    return max(0, int(item["limit"]) - int(item.get("used", 0)) - int(item.get("reserved", 0)))


def _limit(value: object) -> int | None:
    """Return a limit; None where there is none, which is -1."""
    number = int(str(value))
    return None if number < 0 else number
