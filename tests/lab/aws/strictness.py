"""Where AWS is stricter than moto, by AWS's documentation: client tokens, launches of several, addresses in use, ends,
routes.

moto (5.2.5) ignores ClientToken, answers a reserved address that is in use with a defect of its own, gives the address
of a terminated instance to nobody else, ends a part of several instances when it refuses one of them, fails to end one
that has ended, and lets CreateRoute replace a route.
"""

from __future__ import annotations

import base64
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping

from tests.lab.aws.answers import refusal
from tests.lab.aws.backend import backend

#: Calls moto with other parameters, and returns status and body.
Ask = Callable[[Mapping[str, str]], tuple[int, bytes]]


class Tokens:
    """What was launched with which client token; one region is all there is."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._known: dict[str, tuple[Mapping[str, str], list[str]]] = {}

    def forget(self) -> None:
        """Begin anew."""
        with self._lock:
            self._known.clear()

    def instances_of(self, token: str) -> list[str]:
        """Return the ids of what was launched with a token."""
        return self._known.get(token, ({}, []))[1]

    def run(self, params: Mapping[str, str], ask: Ask) -> tuple[int, bytes]:
        """Launch, but once for each token. Asked again alike, the same instance is told, as it is now; asked otherwise,
        it is AWS's IdempotentParameterMismatch. What was refused may be asked for again."""
        token = params.get("ClientToken", "")
        if not token or params.get("DryRun") == "true":
            return ask(params)
        with self._lock:
            lock = self._locks[token]
        with lock:
            before = self._known.get(token)
            if before is not None and before[0] != params:
                raise refusal("IdempotentParameterMismatch")
            if before is not None:
                return _told_again(ask, before[1])
            status, body = ask(params)
            if status == 200:
                self._known[token] = (dict(params), ids_in(body))
            return status, body


def ids_in(body: bytes) -> list[str]:
    """Return the ids of the instances that an answer tells."""
    return [part.split(b"<")[0].decode() for part in body.split(b"<instanceId>")[1:]]


def _told_again(ask: Ask, instances: list[str]) -> tuple[int, bytes]:
    """A reservation is told in the same form by both calls."""
    named = {f"InstanceId.{at}": one for at, one in enumerate(instances, 1)}
    status, body = ask({"Action": "DescribeInstances", **named})
    inside = body.split(b"<reservationSet><item>")[1].rsplit(b"</item></reservationSet>")[0]
    head = b'<RunInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15">'
    return status, head + inside + b"</RunInstancesResponse>"


def check_launch(params: Mapping[str, str], room: int | None, quota: int | None) -> dict[str, str]:
    """Return a launch as moto shall carry it out, or raise AWS's refusal of it.

    moto makes as many as the least that were asked for; EC2 as many as it has room for, up to the most.

    :param room: for so many more instances there is room; :param quota: so many more are allowed. None: no bound.
    """
    least, most = int(params["MinCount"]), int(params["MaxCount"])
    tags = sum(name.startswith("TagSpecification.1.Tag.") and name.endswith(".Key") for name in params)
    script = base64.b64decode(params.get("UserData", ""))
    if most > 1 and "NetworkInterface.1.PrivateIpAddress" in params:
        raise refusal("InvalidParameterCombination", words="an address cannot be given to several instances")
    if len(script) > 16384:
        raise refusal("InvalidParameterValue", words="User data is limited to 16384 bytes")
    if tags > 50:
        raise refusal("TagLimitExceeded", words="more than 50 tags")
    if quota is not None and most > quota:
        raise refusal("VcpuLimitExceeded")
    if room is not None and least > room:
        raise refusal("InsufficientInstanceCapacity")
    count = str(most if room is None else min(most, room))
    return {**params, "MinCount": count, "MaxCount": count}


def check_address(params: Mapping[str, str], region: str) -> None:
    """Raise AWS's refusal of an address that a living network card has."""
    address, subnet = params.get("NetworkInterface.1.PrivateIpAddress"), params.get("NetworkInterface.1.SubnetId")
    if address and subnet and address in backend(region).get_subnet(subnet)._subnet_ips:
        raise refusal("InvalidIPAddress.InUse", words=f"Address {address} is in use.")


def check_route(params: Mapping[str, str], region: str) -> None:
    """Raise AWS's refusal of a route that is there already."""
    table, network = params["RouteTableId"], params["DestinationCidrBlock"]
    routes = backend(region).get_route_table(table).routes
    if any(route.destination_cidr_block == network for route in routes):
        raise refusal("RouteAlreadyExists", words=f"The route identified by {network} already exists.")


def still_alive(ids: list[str], region: str) -> list[str]:
    """Return those of *ids* that have not ended yet; unknown ones too, which are for moto to refuse.

    One that is protected is refused, and with it all others of its zone; all of them are in one here.
    """
    known = {instance.id: instance for instance in backend(region).all_instances()}
    if set(ids) <= set(known) and any(known[one].disable_api_termination in (True, "true") for one in ids):
        raise refusal("OperationNotPermitted")
    return [one for one in ids if one not in known or known[one].state != "terminated"]


def free_addresses(ids: list[str], region: str) -> None:
    """Give the addresses of terminated instances back to their subnets."""
    for instance in backend(region).get_multi_instances_by_id(ids):
        for address in list(instance._private_ips):
            backend(region).get_subnet(instance.subnet_id).del_subnet_ip(address)
        instance._private_ips.clear()  # another instance may have it by the time when this object ends
