"""Nova v2.1: versions, limits, flavors, server groups, zones, key pairs; servers are in :mod:`.servers`."""

from __future__ import annotations

import re

from tests.lab.openstack_fake import keystone, life, servers
from tests.lab.openstack_fake.http import Json, Refusal, Reply, Request, Routes, only
from tests.lab.openstack_fake.nova_words import forbidden, not_found, refusal
from tests.lab.openstack_fake.state import Flavor, ServerGroup, State, new_id

_ROUTES = Routes()


def answer(state: State, request: Request) -> Reply:
    """Answer a request below ``/compute/v2.1``."""
    path = request.path.removeprefix("/compute/v2.1")
    if (request.method, path) == ("GET", "/"):
        version = ".".join(map(str, state.max_version))
        links = [{"rel": "self", "href": f"{state.public_url}/compute/v2.1/"}]
        body = {"id": "v2.1", "status": "CURRENT", "version": version, "min_version": "2.1", "links": links}
        return Reply(200, {"version": body})
    keystone.authenticate(state, request)
    if state.over_limit > 0:
        state.over_limit -= 1
        told = {"code": 413, "message": "This request was rate-limited.", "retryAfter": "7"}
        raise Refusal(413, {"overLimit": told}, {"Retry-After": "7"})
    request.version = _version(state, request)
    life.settle(state)
    found = _ROUTES.find(request.method, path)
    if isinstance(found, int):
        found = servers.ROUTES.find(request.method, path)
    if isinstance(found, int):
        raise Refusal(found, {"message": "The resource could not be found.<br /><br />\n\n\n", "code": f"{found}"})
    handler, arguments = found
    reply = handler(state, request, *arguments)
    reply.headers.setdefault("OpenStack-API-Version", f"compute {request.version[0]}.{request.version[1]}")
    return reply


def _version(state: State, request: Request) -> tuple[int, int]:
    header = request.headers.get("openstack-api-version", "compute 2.1")
    match = re.fullmatch(r"compute (2)\.([0-9]+)", header)
    if match is None:
        raise refusal(400, f"API Version String {header} is of invalid format.")
    version = int(match[1]), int(match[2])
    if not (2, 1) <= version <= state.max_version:
        top = ".".join(map(str, state.max_version))
        message = f"Version {match[1]}.{match[2]} is not supported by the API. Minimum is 2.1 and maximum is {top}."
        raise Refusal(406, {"computeFault": {"code": 406, "message": message}})
    return version


@_ROUTES.on("GET", "/limits")
def _limits(state: State, request: Request) -> Reply:
    project = state.projects[request.project]
    mine = [one for one in state.servers.values() if one.project == project.id]
    absolute = {
        "maxTotalInstances": project.instances,
        "maxTotalCores": project.cores,
        "maxTotalRAMSize": project.ram,
        "maxServerGroups": project.server_groups,
        "totalInstancesUsed": len(mine),
        "totalCoresUsed": sum(one.flavor.vcpus for one in mine),
        "totalRAMUsed": sum(one.flavor.ram for one in mine),
        "totalServerGroupsUsed": sum(one.project == project.id for one in state.server_groups.values()),
    }
    return Reply(200, {"limits": {"rate": [], "absolute": absolute}})


# --- flavors --------------------------------------------------------------------------------------------------------


def _flavor(state: State, request: Request, one: Flavor) -> Json:
    body: Json = {"id": one.id, "name": one.name, "vcpus": one.vcpus, "ram": one.ram, "disk": one.disk, "swap": 0}
    body["links"] = []
    if request.version >= (2, 61) and state.shares_specs:
        body["extra_specs"] = one.extra_specs
    return body


@_ROUTES.on("GET", "/flavors/detail")
def _flavors(state: State, request: Request) -> Reply:
    found = sorted(state.flavors.values(), key=lambda one: one.id)
    marker, limit = request.one("marker"), min(int(request.one("limit") or 1000), state.page)
    if marker is not None:
        ids = [one.id for one in found]
        if marker not in ids:
            raise refusal(400, f"marker [{marker}] not found")
        found = found[ids.index(marker) + 1 :]
    body: Json = {"flavors": [_flavor(state, request, one) for one in found[:limit]]}
    if len(found) >= limit:
        href = f"{state.public_url}/compute/v2.1/flavors/detail?limit={limit}&marker={found[limit - 1].id}"
        body["flavors_links"] = [{"rel": "next", "href": href}]
    return Reply(200, body)


@_ROUTES.on("GET", "/flavors/{}/os-extra_specs")
def _specs(state: State, request: Request, flavor_id: str) -> Reply:
    if flavor_id not in state.flavors:
        raise not_found(f"Flavor {flavor_id} could not be found.")
    return Reply(200, {"extra_specs": state.flavors[flavor_id].extra_specs})


# --- what servers are made with -------------------------------------------------------------------------------------


@_ROUTES.on("GET", "/os-availability-zone")
def _zones(state: State, request: Request) -> Reply:
    found = [{"zoneName": one, "zoneState": {"available": True}, "hosts": None} for one in sorted(state.zones)]
    return Reply(200, {"availabilityZoneInfo": found})


@_ROUTES.on("GET", "/os-keypairs/{}")
def _keypair(state: State, request: Request, name: str) -> Reply:
    if name not in state.keypairs:
        raise not_found(f"Keypair {name} not found for user {request.user}")
    return Reply(200, {"keypair": {"name": name, "fingerprint": "aa:bb"}})


def _group(state: State, request: Request, one: ServerGroup) -> Json:
    body: Json = {
        "id": one.id,
        "name": one.name,
        "members": [server.id for server in state.servers.values() if server.group == one.id],
        "project_id": one.project,
    }
    if request.version >= (2, 64):
        body |= {"policy": one.policy, "rules": {}}
    else:
        body |= {"policies": [one.policy], "metadata": {}}
    return body


@_ROUTES.on("GET", "/os-server-groups")
def _groups(state: State, request: Request) -> Reply:
    found = [one for one in state.server_groups.values() if one.project == request.project]
    offset, limit = int(request.one("offset") or 0), min(int(request.one("limit") or 1000), state.page)
    return Reply(200, {"server_groups": [_group(state, request, one) for one in found[offset : offset + limit]]})


@_ROUTES.on("POST", "/os-server-groups")
def _make_group(state: State, request: Request) -> Reply:
    if "os_compute_api:os-server-groups:create" in state.forbidden:
        raise forbidden("os_compute_api:os-server-groups:create")
    body = request.body["server_group"]
    new = request.version >= (2, 64)
    only(body, {"name", "policy", "rules"} if new else {"name", "policies"}, lambda key: refusal(400, f"what is {key}"))
    policy = body["policy"] if new else body["policies"][0]
    known = {"affinity", "anti-affinity"} | (
        {"soft-affinity", "soft-anti-affinity"} if request.version >= (2, 15) else set()
    )
    if policy not in known:
        raise refusal(
            400, f"Invalid input for field/attribute policy. Value: {policy}. '{policy}' is not one of {known}"
        )
    project = state.projects[request.project]
    if sum(one.project == project.id for one in state.server_groups.values()) >= project.server_groups:
        raise Refusal(403, {"forbidden": {"message": "Quota exceeded, too many server groups.", "code": 403}})
    made = ServerGroup(new_id(), body["name"], request.project, policy)
    state.server_groups[made.id] = made
    return Reply(200, {"server_group": _group(state, request, made)})


@_ROUTES.on("DELETE", "/os-server-groups/{}")
def _delete_group(state: State, request: Request, group_id: str) -> Reply:
    if group_id not in state.server_groups:
        raise not_found(f"Instance group {group_id} could not be found.")
    del state.server_groups[group_id]
    return Reply(204)
