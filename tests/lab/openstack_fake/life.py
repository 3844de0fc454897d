"""What becomes of servers as time passes, and how nova shows one."""

from __future__ import annotations

from tests.lab.openstack_fake.http import Json, Request
from tests.lab.openstack_fake.state import Server, State, now, stamp

#: (status, task_state) of a server that a test has put into a state: by the state's name
FORCED: dict[str, tuple[str, str | None]] = {
    "BUILD": ("BUILD", "scheduling"),
    "networking": ("BUILD", "networking"),
    "spawning": ("BUILD", "spawning"),
    "REBUILD": ("REBUILD", "rebuilding"),
    "REBOOT": ("REBOOT", "rebooting"),
    "HARD_REBOOT": ("HARD_REBOOT", "rebooting_hard"),
    "MIGRATING": ("MIGRATING", "migrating"),
    "RESIZE": ("RESIZE", "resize_prep"),
    "VERIFY_RESIZE": ("VERIFY_RESIZE", None),
    "PASSWORD": ("PASSWORD", "updating_password"),
    "powering-off": ("ACTIVE", "powering-off"),
    "deleting": ("ACTIVE", "deleting"),
    "deleting-error": ("ERROR", "deleting"),
    "SHUTOFF": ("SHUTOFF", None),
    "PAUSED": ("PAUSED", None),
    "SUSPENDED": ("SUSPENDED", None),
    "SHELVED": ("SHELVED", None),
    "SHELVED_OFFLOADED": ("SHELVED_OFFLOADED", None),
    "RESCUE": ("RESCUE", None),
    "ERROR": ("ERROR", None),
    "DELETED": ("DELETED", None),
    "SOFT_DELETED": ("SOFT_DELETED", None),
    "UNKNOWN": ("UNKNOWN", None),
    "FUTURE_WORD": ("FUTURE_WORD", "pondering"),
}


def settle(state: State) -> None:
    """Let what was to happen by now have happened: ends, and ports that leave with them or are left alone."""
    at = now()
    for server in list(state.servers.values()):
        if server.deleted_at is not None and server.deleted_at <= at:
            del state.servers[server.id]
            for port in [one for one in state.ports.values() if server.id in (one.device, one.awaited_by)]:
                if port.made_by_nova:
                    del state.ports[port.id]
                else:
                    port.device = port.owner = port.awaited_by = ""
        elif server.fault is None and server.built_at <= at:
            for port in state.ports.values():
                if port.awaited_by == server.id:
                    port.device, port.owner, port.awaited_by = server.id, f"compute:{server.zone or 'nova'}", ""


def state_of(server: Server) -> tuple[str, str | None]:
    """Return status and task_state."""
    if server.forced:
        return FORCED[server.forced]
    if server.deleted_at is not None:
        return ("ERROR" if server.fault else "ACTIVE"), "deleting"
    if server.fault is not None and server.built_at <= now():
        return "ERROR", None
    return ("ACTIVE", None) if server.built_at <= now() else ("BUILD", "spawning")


def view(state: State, request: Request, server: Server) -> Json:
    """Return a server in full."""
    if server.id in state.down:
        return {
            "id": server.id,
            "status": "UNKNOWN",
            "tenant_id": server.project,
            "created": stamp(server.created),
            "links": [],
        }
    status, task = state_of(server)
    flavor: Json = {"id": server.flavor.id, "links": []}
    if request.version >= (2, 47):
        one = server.flavor
        flavor = {"original_name": one.name, "vcpus": one.vcpus, "ram": one.ram, "disk": one.disk, "extra_specs": {}}
    built = status not in ("BUILD", "ERROR")
    body: Json = {
        "id": server.id,
        "name": server.name,
        "status": status,
        "tenant_id": server.project,
        "user_id": server.user,
        "metadata": server.metadata,
        "hostId": "b5c2" if built else "",
        "image": {"id": server.image, "links": []} if server.image else "",
        "flavor": flavor,
        "created": stamp(server.created),
        "updated": stamp(now()),
        "addresses": _addresses(state, server) if built else {},
        "accessIPv4": "",
        "accessIPv6": "",
        "links": [{"rel": "self", "href": f"{state.public_url}/compute/v2.1/servers/{server.id}"}],
        "OS-DCF:diskConfig": "MANUAL",
        "OS-EXT-AZ:availability_zone": server.zone or "nova",
        "config_drive": "True" if server.config_drive else "",
        "key_name": server.key_name,
        "OS-SRV-USG:launched_at": None,
        "OS-SRV-USG:terminated_at": None,
        "OS-EXT-STS:task_state": task,
        "OS-EXT-STS:vm_state": status.lower(),
        "OS-EXT-STS:power_state": 1 if status == "ACTIVE" else 0,
        "os-extended-volumes:volumes_attached": [],
    }
    if request.version >= (2, 26):
        body["tags"] = server.tags
    if status == "ERROR":
        body["fault"] = server.fault or {"code": 500, "message": "an internal error", "created": stamp(server.created)}
    elif status == "ACTIVE":
        body["progress"] = 0
    return body


def _addresses(state: State, server: Server) -> Json:
    found: Json = {}
    for port in (one for one in state.ports.values() if one.device == server.id):
        kind = [(port.address, "fixed")] + [
            (one.address, "floating") for one in state.floating.values() if one.port == port.id
        ]
        found.setdefault(state.networks[port.network].name, []).extend(
            {"addr": address, "version": 4, "OS-EXT-IPS:type": word, "OS-EXT-IPS-MAC:mac_addr": port.mac}
            for address, word in kind
        )
    return found
