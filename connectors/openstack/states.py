"""How nova shows a server, and what that is to us.

A server is ours by its metadata. Its server tags say the same and are there for nova to search by; they are not what is
believed, since a listing that is narrowed by them would not show a VM that somebody has taken them from.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from clues.errors import Transient
from clues.model import Instance, InstanceState
from connectors.common import tags
from connectors.openstack.failures import fault_code

#: where the address that was reserved is kept: nova shows none while it builds
ADDRESS = "clues-address"

#: by nova's ``status``
STATES: Mapping[str, InstanceState] = {
    "BUILD": InstanceState.PENDING,
    "REBUILD": InstanceState.PENDING,
    "ACTIVE": InstanceState.RUNNING,
    # these come back by themselves, and whether the node serves meanwhile Slurm knows better
    "REBOOT": InstanceState.RUNNING,
    "HARD_REBOOT": InstanceState.RUNNING,
    "PASSWORD": InstanceState.RUNNING,
    "MIGRATING": InstanceState.RUNNING,
    "RESIZE": InstanceState.RUNNING,
    "REVERT_RESIZE": InstanceState.RUNNING,
    "VERIFY_RESIZE": InstanceState.RUNNING,
    "SHUTOFF": InstanceState.STOPPED,
    "PAUSED": InstanceState.STOPPED,
    "SUSPENDED": InstanceState.STOPPED,
    "SHELVED": InstanceState.STOPPED,
    "SHELVED_OFFLOADED": InstanceState.STOPPED,
    "RESCUE": InstanceState.STOPPED,
    "ERROR": InstanceState.ERROR,
    "DELETED": InstanceState.GONE,
    # nova keeps its disk for a while in case somebody wants it back; it runs no more, and is deleted by itself
    "SOFT_DELETED": InstanceState.GONE,
    "UNKNOWN": InstanceState.UNKNOWN,
}
_ENDING = frozenset({"deleting", "soft-deleting"})


def state_of(server: Mapping[str, Any]) -> InstanceState:
    """Return a server's state."""
    state = STATES.get(str(server["status"]), InstanceState.UNKNOWN)
    if server.get("OS-EXT-STS:task_state") in _ENDING and state is not InstanceState.GONE:
        return InstanceState.STOPPING
    return state


def instance_of(server: Mapping[str, Any], site: str) -> Instance:
    """Return a server as an instance.

    :raises Transient: it is in a cell that does not answer, so that nobody knows whose it is.
    """
    server_id, metadata = server["id"], server.get("metadata")
    if not isinstance(server_id, str) or not server_id:
        raise TypeError("a server without an id")
    if metadata is None:
        raise Transient(
            f"a part of the cloud (a cell of nova) does not answer: of server {server_id} nothing is known, so the "
            "list is not complete"
        )
    addresses, macs = _addresses(server.get("addresses") or {})
    told = server.get("fault") if state_of(server) is InstanceState.ERROR else None
    fault: Mapping[str, Any] = told if isinstance(told, dict) else {}
    return tags.tagged(
        metadata,
        instance_id=server_id,
        site=site,
        state=state_of(server),
        addresses=addresses or tuple(filter(None, [str(metadata.get(ADDRESS, ""))])),
        macs=macs,
        created_at=_time(server.get("created")),
        fault=str(fault.get("message", "")),
        fault_code=fault_code(fault) if fault else "",
    )


def _addresses(networks: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the addresses, those of its own cards before those that are led to it, and the cards' own."""
    every = [one for ports in networks.values() for one in ports]
    fixed = [one["addr"] for one in every if one.get("OS-EXT-IPS:type") != "floating"]
    floating = [one["addr"] for one in every if one.get("OS-EXT-IPS:type") == "floating"]
    macs = dict.fromkeys(one["OS-EXT-IPS-MAC:mac_addr"] for one in every if "OS-EXT-IPS-MAC:mac_addr" in one)
    return (*fixed, *floating), tuple(macs)


def _time(text: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
