"""Nova's servers: made, listed, shown, ended."""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from datetime import datetime
from typing import Any

from tests.lab.openstack_fake import life, neutron
from tests.lab.openstack_fake.http import Json, Refusal, Reply, Request, Routes, only
from tests.lab.openstack_fake.nova_words import forbidden, not_found, quota, refusal
from tests.lab.openstack_fake.state import Flavor, Port, Server, State, new_id, now, stamp

ROUTES = Routes()
_FILTERS = {
    *("marker", "limit", "name", "status", "tags", "tags-any", "changes-since", "all_tenants", "reservation_id"),
    *("sort_key", "sort_dir", "flavor", "image"),
}
_KEYS = {
    *("name", "imageRef", "flavorRef", "metadata", "networks", "availability_zone", "block_device_mapping_v2"),
    *("config_drive", "key_name", "min_count", "max_count", "security_groups", "user_data", "OS-DCF:diskConfig"),
}
_VOLUME_KEYS = {
    *("boot_index", "uuid", "source_type", "destination_type", "volume_size", "delete_on_termination"),
    "device_name",
}


def _bad(key: str) -> Refusal:
    return refusal(
        400,
        f"Invalid input for field/attribute server. Additional properties are not allowed ('{key}' was unexpected)",
    )


# --- listing --------------------------------------------------------------------------------------------------------


@ROUTES.on("GET", "/servers/detail")
def _list(state: State, request: Request) -> Reply:
    if request.version >= (2, 75):
        only(request.query, _FILTERS, lambda key: refusal(400, f"Additional properties are not allowed ('{key}')"))
    if request.one("all_tenants"):
        raise forbidden("os_compute_api:servers:detail:get_all_tenants")
    found = [one for one in state.servers.values() if one.project == request.project and _wanted(one, request)]
    found.sort(key=lambda one: (one.created, one.id), reverse=True)
    limit = min(int(request.one("limit") or 1000), state.page)
    marker = request.one("marker")
    if marker is not None:
        ids = [one.id for one in found]
        if marker not in ids:
            raise refusal(400, f"marker [{marker}] not found")
        found = found[ids.index(marker) + 1 :]
    page = found[:limit]
    shown = [life.view(state, request, one) for one in page if not _skipped(state, request, one)]
    if state.doubled > 0:
        state.doubled -= 1
        shown = [*shown, *shown]
    body: Json = {"servers": shown}
    if page and (len(page) == limit or state.looping):  # a page that is full has a next link, even if nothing follows
        last = (marker or page[-1].id) if state.looping else page[-1].id
        href = f"{state.public_url}/compute/v2.1/servers/detail?limit={limit}&marker={last}"
        body["servers_links"] = [{"rel": "next", "href": href}]
    if state.looping and marker is not None:
        body["servers_links"] = [{"rel": "next", "href": f"http://elsewhere/servers/detail?marker={marker}"}]
    return Reply(200, body)


def _skipped(state: State, request: Request, server: Server) -> bool:
    """Before 2.69 the servers of a cell that is down are left out, and nobody is told."""
    return server.id in state.down and request.version < (2, 69)


def _wanted(server: Server, request: Request) -> bool:
    if (name := request.one("name")) is not None and not re.search(name, server.name):
        return False
    if request.version >= (2, 26) and (tags := request.one("tags")) is not None:
        return set(tags.split(",")) <= set(server.tags)
    if (since := request.one("changes-since")) is not None:
        return server.created >= datetime.fromisoformat(since)
    return True


def _own(state: State, request: Request, server_id: str) -> Server:
    server = state.servers.get(server_id)
    if server is None or server.project != request.project:
        raise not_found(f"Instance {server_id} could not be found.")
    return server


@ROUTES.on("GET", "/servers/{}")
def _show(state: State, request: Request, server_id: str) -> Reply:
    return Reply(200, {"server": life.view(state, request, _own(state, request, server_id))})


# --- ending ---------------------------------------------------------------------------------------------------------


@ROUTES.on("DELETE", "/servers/{}")
def _delete(state: State, request: Request, server_id: str) -> Reply:
    server = _own(state, request, server_id)
    if "os_compute_api:servers:delete" in state.forbidden:
        raise forbidden("os_compute_api:servers:delete")
    if server.locked:
        raise refusal(409, f"Instance {server_id} is locked")
    if state.refuse_deletes > 0:
        state.refuse_deletes -= 1
        raise refusal(409, f"Cannot 'delete' instance {server_id} while it is in task_state image_uploading")
    if state.ignore_deletes > 0:
        state.ignore_deletes -= 1
    elif server.deleted_at is None:
        server.deleted_at = now() + state.delete_time
        server.forced = ""
    return Reply(204)


@ROUTES.on("POST", "/servers/{}/action")
def _action(state: State, request: Request, server_id: str) -> Reply:
    server = _own(state, request, server_id)
    if not isinstance(request.body, dict) or list(request.body) != ["os-getConsoleOutput"]:
        raise refusal(400, "There is no such action")
    if life.state_of(server)[0] == "BUILD":
        raise refusal(409, f"Instance {server_id} is not ready")
    lines = server.console.splitlines(keepends=True)
    length = request.body["os-getConsoleOutput"].get("length")
    return Reply(200, {"output": "".join(lines[-int(length) :] if length else lines)})


# --- making ---------------------------------------------------------------------------------------------------------


@ROUTES.on("POST", "/servers")
def _make(state: State, request: Request) -> Reply:
    if "os_compute_api:servers:create" in state.forbidden:
        raise forbidden("os_compute_api:servers:create")
    outer = request.body if isinstance(request.body, dict) else {}
    only(outer, {"server", "os:scheduler_hints"}, _bad)
    body = outer.get("server")
    if not isinstance(body, dict):
        raise refusal(400, "Invalid input for field/attribute server: 'server' is a required property")
    _check(state, request, body)
    flavor = state.flavors.get(str(body["flavorRef"]))
    if flavor is None:
        raise refusal(400, f"Flavor {body['flavorRef']} could not be found.")
    image = _image(state, request, body)
    if flavor.disk == 0 and not body.get("block_device_mapping_v2"):
        raise refusal(403, "Only volume-backed servers are allowed for flavors with zero disk.")
    group = outer.get("os:scheduler_hints", {}).get("group", "")
    if group and group not in state.server_groups:
        raise refusal(400, f"Server group {group} could not be found.")
    _quota(state, request, flavor)
    server = Server(
        new_id(),
        body["name"],
        request.project,
        request.user,
        flavor,
        image,
        now(),
        now() + state.build_time,
        dict(body.get("metadata", {})),
        list(body.get("tags", [])),
        body.get("availability_zone", ""),
        body.get("key_name"),
        bool(body.get("config_drive")),
        body.get("user_data", ""),
        group,
        body.get("block_device_mapping_v2", []),
    )
    ports = _ports(state, request, body)
    if flavor.name in state.full:
        message = "No valid host was found. There are not enough hosts available."
        server.fault = {"code": 500, "created": stamp(now()), "message": message}
        server.built_at = now()
        for port in ports:
            if port.made_by_nova:
                del state.ports[port.id]
    else:
        for port in ports:
            # the compute service binds it some time after the answer
            if port.made_by_nova:
                port.device = server.id
            else:
                port.awaited_by = server.id
    state.servers[server.id] = server
    link = f"{state.public_url}/compute/v2.1/servers/{server.id}"
    answer = {
        "id": server.id,
        "links": [{"rel": "self", "href": link}],
        "OS-DCF:diskConfig": "MANUAL",
        "adminPass": secrets.token_urlsafe(9),
        "security_groups": [{"name": "default"}],
    }
    return Reply(202, {"server": answer}, {"Location": link})


def _check(state: State, request: Request, body: Json) -> None:
    allowed = _KEYS | ({"tags"} if request.version >= (2, 52) else set())
    only(body, allowed, _bad)
    for key in ("name", "flavorRef"):
        if not isinstance(body.get(key), str) or not body[key].strip():
            raise refusal(400, f"Invalid input for field/attribute server. '{key}' is a required property")
    if len(body["name"]) > 255:
        raise refusal(400, f"Invalid input for field/attribute name. {body['name']!r} is too long")
    for key, value in body.get("metadata", {}).items():
        if not re.fullmatch(r"[a-zA-Z0-9-_:. ]{1,255}", key) or not isinstance(value, str) or len(value) > 255:
            raise refusal(400, f"Invalid input for field/attribute {key}. Value: {value!r} is too long")
    tags = body.get("tags", [])
    if len(tags) > 50 or any(not re.fullmatch(r"[^,/]{1,60}", tag) for tag in tags):
        raise refusal(400, f"Invalid input for field/attribute tags: {tags}")
    try:
        user_data = base64.b64decode(body.get("user_data", ""), validate=True)
    except (binascii.Error, ValueError):
        raise refusal(400, "Invalid input for field/attribute user_data. 'base64' is expected") from None
    if len(body.get("user_data", "")) > 65535:
        raise refusal(400, f"Invalid input for field/attribute user_data. {len(user_data)} is too long")
    zone = body.get("availability_zone")
    if zone is not None and zone not in state.zones:
        raise refusal(400, "The requested availability zone is not available")
    if body.get("key_name") is not None and body["key_name"] not in state.keypairs:
        raise refusal(400, "Invalid key_name provided.")
    for volume in body.get("block_device_mapping_v2", []):
        only(volume, _VOLUME_KEYS | ({"volume_type"} if request.version >= (2, 67) else set()), _bad)
        if volume.get("destination_type") == "volume" and not volume.get("volume_size"):
            raise refusal(400, "Block Device Mapping is Invalid: volume size must be given.")
    if request.version >= (2, 37) and "networks" not in body:
        raise refusal(400, "Invalid input for field/attribute server. 'networks' is a required property")


def _image(state: State, request: Request, body: Json) -> str:
    volumes = body.get("block_device_mapping_v2", [])
    ref = body.get("imageRef") or next((one["uuid"] for one in volumes if one.get("source_type") == "image"), "")
    image = state.images.get(ref)
    if image is None or (image.owner != request.project and image.visibility == "private"):
        raise refusal(400, f"Can not find requested image: {ref}")
    if image.status != "active":
        raise refusal(400, f"Image {ref} is not active.")
    return str(body.get("imageRef") or "")


def _quota(state: State, request: Request, flavor: Flavor) -> None:
    project = state.projects[request.project]
    mine = [one for one in state.servers.values() if one.project == project.id]
    for what, wanted, used, limit in (
        ("instances", 1, len(mine), project.instances),
        ("cores", flavor.vcpus, sum(one.flavor.vcpus for one in mine), project.cores),
        ("ram", flavor.ram, sum(one.flavor.ram for one in mine), project.ram),
    ):
        if 0 <= limit < used + wanted:
            raise quota(what, wanted, used, limit)


def _ports(state: State, request: Request, body: Json) -> list[Port]:
    """Return the ports of the new server; those that are wished for are checked before any is made."""
    wished = body.get("networks", "auto")
    if wished == "none":
        return []
    if wished == "auto":
        own = [one for one in state.networks.values() if one.project == request.project and not one.external]
        if len(own) != 1:
            raise refusal(409, "Multiple possible networks found, use a Network ID to be more specific.")
        wished = [{"uuid": own[0].id}]
    groups = _groups(state, request, body.get("security_groups", []))
    existing: list[Port] = []
    for one in wished:
        only(one, {"uuid", "port", "fixed_ip"}, _bad)
        if "port" not in one:
            continue
        port = state.ports.get(one["port"])
        if port is None or port.project != request.project:
            raise refusal(400, f"Port id {one['port']} could not be found.")
        if port.device:
            raise refusal(409, f"Port {port.id} is still in use.")
        existing.append(port)
    return [*existing, *(_nova_port(state, request, one, groups) for one in wished if "port" not in one)]


def _nova_port(state: State, request: Request, one: Json, groups: list[str]) -> Port:
    network = state.networks.get(one.get("uuid", ""))
    if network is None or (network.project != request.project and not network.shared):
        raise refusal(400, f"Network {one.get('uuid')} could not be found.")
    if not neutron.quota_left(state, request.project, "port"):
        raise refusal(403, "Maximum number of ports exceeded")
    try:
        return neutron.make_port(
            state, request.project, network, one.get("fixed_ip", ""), made_by_nova=True, security_groups=groups
        )
    except Refusal as error:
        said: Any = error.reply.body
        raise refusal(400, said["NeutronError"]["message"]) from None


def _groups(state: State, request: Request, wished: list[Json]) -> list[str]:
    """A name comes before an id, as in nova; a name that two groups have is a conflict."""
    mine = [one for one in state.groups.values() if one.project == request.project]
    found = []
    for wish in wished:
        named = [one.id for one in mine if one.name == wish["name"]]
        if len(named) > 1:
            message = f"Multiple security groups found matching '{wish['name']}'. Use an ID to be more specific."
            raise refusal(409, message)
        same = named or [one.id for one in mine if one.id == wish["name"]]
        if not same:
            raise refusal(400, f"Security group {wish['name']} not found for project {request.project}.")
        found.append(same[0])
    return found
