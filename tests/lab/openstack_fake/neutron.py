"""Neutron v2.0: networks, subnets, security groups, ports, floating IPs, quotas."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Callable, Iterable
from typing import Any

from tests.lab.openstack_fake import keystone
from tests.lab.openstack_fake.http import Json, Refusal, Reply, Request, Routes, only
from tests.lab.openstack_fake.state import FloatingIp, Network, Port, State, Subnet, new_id, stamp

_ROUTES = Routes()
_ASIDE = {"fields", "limit", "marker", "sort_key", "sort_dir", "page_reverse"}
_PORT_KEYS = {
    *("network_id", "name", "description", "fixed_ips", "security_groups", "allowed_address_pairs", "admin_state_up"),
    *("port_security_enabled", "binding:vnic_type", "tags"),
}


def answer(state: State, request: Request) -> Reply:
    """Answer a request below ``/networking``."""
    keystone.authenticate(state, request)
    path = request.path.removeprefix("/networking")
    found = _ROUTES.find(request.method, path)
    if isinstance(found, int):
        raise Refusal(found, {"message": "The resource could not be found.", "code": f"{found}", "title": "Not Found"})
    key = (request.method, path.split("/")[2])
    if state.neutron_fails.get(key, 0) > 0:
        state.neutron_fails[key] -= 1
        raise refusal(500, "HTTPInternalServerError", "Request Failed: internal server error while processing.")
    handler, arguments = found
    return handler(state, request, *arguments)


def refusal(status: int, kind: str, message: str) -> Refusal:
    """Return an error in neutron's form."""
    return Refusal(status, {"NeutronError": {"type": kind, "message": message, "detail": ""}})


def _listing(state: State, request: Request, key: str, items: Iterable[Json], filters: set[str]) -> Reply:
    only(request.query, filters | _ASIDE, lambda name: refusal(400, "HTTPBadRequest", f"[{name!r}] is invalid"))
    found = list(items)
    for name in set() if state.deaf else filters & set(request.query):
        wanted = request.query[name]
        found = [one for one in found if _matches(one, name, wanted)]
    found.sort(key=lambda one: str(one["id"]))
    marker, limit = request.one("marker"), request.one("limit")
    if marker is not None:
        ids = [one["id"] for one in found]
        found = found[ids.index(marker) + 1 :] if marker in ids else []
    body: Json = {}
    if limit is not None and len(found) > int(limit):
        found = found[: int(limit)]
        href = f"{state.public_url}{request.path}?limit={limit}&marker={found[-1]['id']}"
        body[f"{key}_links"] = [{"rel": "next", "href": href}]
    if "fields" in request.query:
        found = [{name: one[name] for name in request.query["fields"] if name in one} for one in found]
    return Reply(200, {key: found, **body})


def _matches(item: Json, name: str, wanted: list[str]) -> bool:
    if name == "fixed_ips":
        for one in wanted:
            key, _, value = one.partition("=")
            if not any(ip.get(key) == value for ip in item["fixed_ips"]):
                return False
        return True
    told = item.get(name)
    if isinstance(told, bool):
        return str(told).lower() in [one.lower() for one in wanted]
    return told in wanted


# --- networks, subnets, security groups -----------------------------------------------------------------------------


def _sees(network: Network, project: str) -> bool:
    return network.project == project or network.shared or network.external


def _network(state: State, network: Network) -> Json:
    return {
        "id": network.id,
        "name": network.name,
        "project_id": network.project,
        "tenant_id": network.project,
        "router:external": network.external,
        "shared": network.shared,
        "port_security_enabled": network.port_security,
        "admin_state_up": True,
        "status": "ACTIVE",
        "mtu": 1450,
        "subnets": [one.id for one in state.subnets.values() if one.network == network.id],
    }


def _subnet(subnet: Subnet) -> Json:
    net = ipaddress.ip_network(subnet.cidr)
    return {
        "id": subnet.id,
        "name": subnet.name,
        "project_id": subnet.project,
        "network_id": subnet.network,
        "cidr": subnet.cidr,
        "ip_version": 4,
        "enable_dhcp": False,
        "gateway_ip": str(net[1]),
        "allocation_pools": [{"start": subnet.pool[0], "end": subnet.pool[1]}],
    }


@_ROUTES.on("GET", "/v2.0/networks")
def _networks(state: State, request: Request) -> Reply:
    seen = [_network(state, one) for one in state.networks.values() if _sees(one, request.project)]
    return _listing(state, request, "networks", seen, {"id", "name", "router:external", "project_id", "shared"})


@_ROUTES.on("GET", "/v2.0/subnets")
def _subnets(state: State, request: Request) -> Reply:
    seen = [_subnet(one) for one in state.subnets.values() if _sees(state.networks[one.network], request.project)]
    return _listing(state, request, "subnets", seen, {"id", "name", "network_id", "cidr", "ip_version", "project_id"})


@_ROUTES.on("GET", "/v2.0/security-groups")
def _groups(state: State, request: Request) -> Reply:
    seen = [
        {"id": one.id, "name": one.name, "project_id": one.project, "security_group_rules": []}
        for one in state.groups.values()
        if one.project == request.project
    ]
    return _listing(state, request, "security_groups", seen, {"id", "name", "project_id"})


# --- ports ----------------------------------------------------------------------------------------------------------


def _port(port: Port) -> Json:
    return {
        "id": port.id,
        "name": port.name,
        "description": port.description,
        "project_id": port.project,
        "tenant_id": port.project,
        "network_id": port.network,
        "mac_address": port.mac,
        "fixed_ips": [{"subnet_id": port.subnet, "ip_address": port.address}],
        "device_id": port.device,
        "device_owner": port.owner,
        "security_groups": port.security_groups,
        "allowed_address_pairs": port.pairs,
        "port_security_enabled": True,
        "admin_state_up": True,
        "status": "ACTIVE" if port.device else "DOWN",
        "created_at": stamp(port.created),
        "tags": [],
    }


@_ROUTES.on("GET", "/v2.0/ports")
def _ports(state: State, request: Request) -> Reply:
    filters = {"id", "name", "description", "network_id", "device_id", "device_owner", "fixed_ips", "project_id"}
    seen = [_port(one) for one in state.ports.values() if one.project == request.project]
    return _listing(state, request, "ports", seen, filters)


def quota_left(state: State, project: str, what: str) -> bool:
    """Return whether one more port or floating IP is allowed."""
    records, limit = {
        "port": (state.ports.values(), state.projects[project].ports),
        "floatingip": (state.floating.values(), state.projects[project].floating_ips),
    }[what]
    used = sum(one.project == project for one in records)  # type: ignore[attr-defined]
    return limit < 0 or used < limit


def make_port(state: State, project: str, network: Network, address: str = "", **more: Any) -> Port:
    """Make a port with the wished or the next free address.

    :raises Refusal: as neutron does.
    """
    if not quota_left(state, project, "port"):
        raise refusal(409, "OverQuota", "Quota exceeded for resources: ['port'].")
    subnets = [one for one in state.subnets.values() if one.network == network.id]
    if not subnets:
        raise refusal(400, "InvalidInput", f"Network {network.id} requires a subnet in order to boot instances on.")
    taken = {one.address for one in state.ports.values() if one.network == network.id}
    if address:
        subnet = next((one for one in subnets if one.holds(address)), None)
        if subnet is None:
            message = f"IP address {address} is not a valid IP for any of the subnets on the specified network."
            raise refusal(400, "InvalidIpForNetwork", message)
        if address in taken:
            message = f"IP address {address} already allocated in subnet {subnet.id}"
            raise refusal(409, "IpAddressAlreadyAllocated", message)
    else:
        subnet = subnets[0]
        first, last = (ipaddress.IPv4Address(one) for one in subnet.pool)
        free = (str(ipaddress.IPv4Address(one)) for one in range(int(first), int(last) + 1))
        address = next((one for one in free if one not in taken), "")
        if not address:
            message = f"No more IP addresses available on network {network.id}."
            raise refusal(409, "IpAddressGenerationFailure", message)
    mac = "fa:16:3e:" + ":".join(f"{byte:02x}" for byte in secrets.token_bytes(3))
    port = Port(new_id(), project, network.id, subnet.id, address, mac, **more)
    state.ports[port.id] = port
    return port


@_ROUTES.on("POST", "/v2.0/ports")
def _make_port(state: State, request: Request) -> Reply:
    body = request.body.get("port") if isinstance(request.body, dict) else None
    if not isinstance(body, dict) or "network_id" not in body:
        raise refusal(400, "HTTPBadRequest", "Failed to parse request. Required attribute 'network_id' not specified")
    only(body, _PORT_KEYS, lambda key: refusal(400, "HTTPBadRequest", f"Unrecognized attribute(s) '{key}'"))
    network = state.networks.get(body["network_id"])
    if network is None or not _sees(network, request.project):
        raise refusal(404, "NetworkNotFound", f"Network {body['network_id']} could not be found.")
    fixed = body.get("fixed_ips", [])
    if network.project != request.project and (
        "allowed_address_pairs" in body or any("ip_address" in x for x in fixed)
    ):
        message = "((rule:create_port and rule:create_port:fixed_ips)) is disallowed by policy"
        raise refusal(403, "PolicyNotAuthorized", message)
    groups = body.get("security_groups")
    if groups is None:
        groups = [one.id for one in state.groups.values() if (one.project, one.name) == (request.project, "default")]
    for one in groups:
        if one not in state.groups or state.groups[one].project != request.project:
            raise refusal(404, "SecurityGroupNotFound", f"Security group {one} does not exist")
    for pair in body.get("allowed_address_pairs", []):
        try:
            ipaddress.ip_network(pair["ip_address"])
        except (ValueError, KeyError):
            raise refusal(400, "HTTPBadRequest", f"Invalid input for allowed_address_pairs: {pair}") from None
    port = make_port(
        state,
        request.project,
        network,
        fixed[0].get("ip_address", "") if fixed else "",
        name=body.get("name", ""),
        description=body.get("description", ""),
        security_groups=list(groups),
        pairs=list(body.get("allowed_address_pairs", [])),
    )
    return Reply(201, {"port": _port(port)})


@_ROUTES.on("GET", "/v2.0/ports/{}")
def _show_port(state: State, request: Request, port_id: str) -> Reply:
    return Reply(200, {"port": _port(_own(state.ports, request, port_id, "Port"))})


@_ROUTES.on("DELETE", "/v2.0/ports/{}")
def _delete_port(state: State, request: Request, port_id: str) -> Reply:
    port = _own(state.ports, request, port_id, "Port")
    del state.ports[port.id]
    for one in state.floating.values():
        if one.port == port.id:
            one.port = ""
    return Reply(204)


def _own(records: dict[str, Any], request: Request, one_id: str, kind: str) -> Any:
    record = records.get(one_id)
    if record is None or record.project != request.project:
        raise refusal(404, f"{kind}NotFound", f"{kind} {one_id} could not be found.")
    return record


# --- floating IPs ---------------------------------------------------------------------------------------------------


def _with_l3(handler: Callable[..., Reply]) -> Callable[..., Reply]:
    def guarded(state: State, request: Request, *arguments: str) -> Reply:
        if not state.l3:
            raise Refusal(404, {"message": "The resource could not be found.", "code": "404", "title": "Not Found"})
        return handler(state, request, *arguments)

    return guarded


def _floating(state: State, one: FloatingIp) -> Json:
    port = state.ports.get(one.port)
    return {
        "id": one.id,
        "floating_ip_address": one.address,
        "floating_network_id": one.network,
        "port_id": one.port or None,
        "fixed_ip_address": port.address if port else None,
        "description": one.description,
        "project_id": one.project,
        "status": "ACTIVE" if one.port else "DOWN",
        "created_at": stamp(one.created),
    }


@_ROUTES.on("GET", "/v2.0/floatingips")
@_with_l3
def _floatings(state: State, request: Request) -> Reply:
    seen = [_floating(state, one) for one in state.floating.values() if one.project == request.project]
    filters = {"id", "port_id", "description", "floating_network_id", "floating_ip_address", "project_id"}
    return _listing(state, request, "floatingips", seen, filters)


@_ROUTES.on("POST", "/v2.0/floatingips")
@_with_l3
def _make_floating(state: State, request: Request) -> Reply:
    body = request.body["floatingip"]
    only(
        body,
        {"floating_network_id", "port_id", "description", "tags"},
        lambda key: refusal(400, "HTTPBadRequest", f"Unrecognized attribute(s) '{key}'"),
    )
    network = state.networks.get(body.get("floating_network_id", ""))
    if network is None or not network.external:
        message = f"Network {body.get('floating_network_id')} is not a valid external network"
        raise refusal(400, "BadRequest", f"Bad floatingip request: {message}.")
    if not quota_left(state, request.project, "floatingip"):
        raise refusal(409, "OverQuota", "Quota exceeded for resources: ['floatingip'].")
    if body.get("port_id"):
        _own(state.ports, request, body["port_id"], "Port")
    subnet = next(one for one in state.subnets.values() if one.network == network.id)
    first = ipaddress.IPv4Address(subnet.pool[0])
    taken = {one.address for one in state.floating.values()}
    address = next(text for text in (str(first + n) for n in range(90)) if text not in taken)
    made = FloatingIp(
        new_id(), request.project, network.id, address, body.get("port_id") or "", body.get("description", "")
    )
    state.floating[made.id] = made
    return Reply(201, {"floatingip": _floating(state, made)})


@_ROUTES.on("DELETE", "/v2.0/floatingips/{}")
@_with_l3
def _delete_floating(state: State, request: Request, one_id: str) -> Reply:
    del state.floating[_own(state.floating, request, one_id, "FloatingIP").id]
    return Reply(204)


# --- quotas ---------------------------------------------------------------------------------------------------------


@_ROUTES.on("GET", "/v2.0/quotas/{}/details.json")
def _quotas(state: State, request: Request, project_id: str) -> Reply:
    if project_id != request.project:
        raise refusal(403, "AdminRequired", "User does not have admin privileges: Only admin can view quotas.")
    project = state.projects[project_id]

    def item(limit: int, records: dict[str, Any]) -> Json:
        return {"limit": limit, "reserved": 0, "used": sum(one.project == project_id for one in records.values())}

    quota = {"port": item(project.ports, state.ports), "network": item(100, state.networks)}
    if state.l3:
        quota["floatingip"] = item(project.floating_ips, state.floating)
    return Reply(200, {"quota": quota})
