"""What the cloud has, by the names that stand in the configuration: flavors, images, networks, security groups.

Names are not unique in OpenStack. One that two things have is refused with their ids, never guessed at. What was found
is remembered for a short time: long enough for a hundred launches at once, too short for a new image to be missed.
"""

from __future__ import annotations

import ipaddress
import re
import threading
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from clues.errors import InvalidRequest
from clues.model import Resources
from connectors.common.failures import Refused
from connectors.openstack.api import Cloud, Json, segment
from connectors.openstack.config import OpenStackConfig
from connectors.openstack.gpus import gpus_of

T = TypeVar("T")

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_FRESH = 60.0
_MOST_NAMES = 30


class Remembered:
    """Answers of a cloud, for a short time. One thread asks, the others wait for its answer."""

    def __init__(self, fresh: float = _FRESH, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._fresh, self._monotonic = fresh, monotonic
        self._lock = threading.RLock()
        self._known: dict[Hashable, tuple[float, Any]] = {}

    def get(self, key: Hashable, ask: Callable[[], T]) -> T:
        """Return what *ask* returned not long ago, or returns now. Failures are not remembered."""
        with self._lock:
            now = self._monotonic()
            if key in self._known and now - self._known[key][0] < self._fresh:
                known: T = self._known[key][1]
                return known
            answer = ask()
            self._known[key] = now, answer
            return answer

    def forget(self) -> None:
        """Ask for everything anew."""
        with self._lock:
            self._known.clear()


@dataclass(frozen=True, slots=True)
class FlavorInfo:
    """An instance type; its disk in GiB."""

    id: str
    name: str
    resources: Resources
    disk: int


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """An image: what it needs at least, in GiB of disk and MiB of memory."""

    id: str
    name: str
    owner: str
    status: str
    min_disk: int
    min_ram: int


@dataclass(frozen=True, slots=True)
class Place:
    """The network that VMs are put into, and its subnet where addresses are ours to choose."""

    network: str
    name: str
    subnet: str = ""
    cidr: str = ""
    #: what neutron gives to those who do not ask for an address
    pools: tuple[tuple[str, str], ...] = ()
    port_security: bool = True


class Catalogue:
    """Looks things up for one site."""

    def __init__(self, config: OpenStackConfig) -> None:
        self._config = config
        self._known = Remembered()

    def forget(self) -> None:
        """Look again at everything: something that was known is refused now."""
        self._known.forget()

    # --- flavors --------------------------------------------------------------------------------------------------

    def flavors(self, cloud: Cloud) -> list[FlavorInfo]:
        """Return all instance types."""
        return self._known.get("flavors", lambda: [self._flavor(cloud, one) for one in _flavors(cloud)])

    def flavor(self, cloud: Cloud, name: str) -> FlavorInfo:
        """Return the instance type of this name or id."""
        every = self.flavors(cloud)
        found = [one for one in every if one.name == name] or [one for one in every if one.id == name]
        if not found:
            raise InvalidRequest(f"there is no flavor {name!r}; there are: {_some(one.name for one in every)}")
        return found[0]

    def _flavor(self, cloud: Cloud, told: Json) -> FlavorInfo:
        specs = told.get("extra_specs")
        if specs is None:
            specs = _specs(cloud, str(told["id"]))
        gpus = gpus_of(specs, self._config.gpu_types)
        resources = Resources(int(told["vcpus"]), int(told["ram"]), gpus)
        return FlavorInfo(str(told["id"]), str(told["name"]), resources, int(told.get("disk") or 0))

    # --- images ---------------------------------------------------------------------------------------------------

    def image(self, cloud: Cloud, name: str) -> ImageInfo:
        """Return the image of this id, or the one of this name that the configured owner has."""
        return self._known.get(("image", name), lambda: self._image(cloud, name))

    def _image(self, cloud: Cloud, name: str) -> ImageInfo:
        if _UUID.fullmatch(name):
            try:
                return _image_info(cloud.get("image", f"/v2/images/{segment(name)}"))
            except Refused as refused:
                if refused.said.status == 404:
                    raise InvalidRequest(f"there is no image {name}", words=refused.said.words) from refused
                raise
        owner = self._config.image_owner or cloud.project
        listed = cloud.pages("image", "/v2/images", "images", name=name, owner=owner, limit=100)
        every = [_image_info(one) for one in listed]
        found = [one for one in every if (one.name, one.owner) == (name, owner) and one.status == "active"]
        if len(found) == 1:
            return found[0]
        whose = f"owner {owner}" if self._config.image_owner else f"this project ({owner})"
        if not found:
            others = [one for one in every if one.name == name and one.owner == owner]
            state = f"; one that is {others[0].status}" if others else ""
            raise InvalidRequest(f"{whose} has no active image {name!r}{state}: write its id, or `image_owner`")
        ids = ", ".join(sorted(one.id for one in found))
        raise InvalidRequest(f"{whose} has {len(found)} images {name!r}: write the id of one: {ids}")

    # --- networks -------------------------------------------------------------------------------------------------

    def place(self, cloud: Cloud) -> Place:
        """Return the network that VMs are put into."""
        return self._known.get("place", lambda: self._place(cloud))

    def _place(self, cloud: Cloud) -> Place:
        networks = list(cloud.pages("network", "/v2.0/networks", "networks"))
        network = self._network(networks)
        if self._config.range is None and not self._config.subnet:
            return _place_of(network, None) if network is not None else self._own_network(cloud, networks)
        subnet = self._subnet(cloud, network)
        around = next((one for one in networks if one["id"] == subnet["network_id"]), None)
        if around is None:
            raise InvalidRequest(f"subnet {subnet['id']} lies in a network that this project does not see")
        return _place_of(around, subnet)

    def _network(self, networks: Sequence[Json]) -> Json | None:
        """Return the network that is named; None where none is."""
        config = self._config
        wanted = config.network_name or ("" if config.range is not None else config.network)
        return the_one("network", wanted, networks) if wanted else None

    def _own_network(self, cloud: Cloud, networks: Sequence[Json]) -> Place:
        own = [one for one in networks if one.get("project_id") == cloud.project and not one.get("router:external")]
        if len(own) != 1:
            names = _some(one["name"] for one in own)
            raise InvalidRequest(f"write the site's `network`: this project has {len(own)}: {names}")
        return _place_of(own[0], None)

    def _subnet(self, cloud: Cloud, network: Json | None) -> Json:
        config, whole = self._config, self._config.range
        narrowed = {"network_id": network["id"]} if network is not None else {}
        subnets = list(cloud.pages("network", "/v2.0/subnets", "subnets", **narrowed))
        if network is not None:
            subnets = [one for one in subnets if one["network_id"] == network["id"]]
        if config.subnet:
            subnet = the_one("subnet", config.subnet, subnets)
            if whole is not None and not _is_part(str(whole), str(subnet["cidr"])):
                raise InvalidRequest(f"subnet {config.subnet} has the range {subnet['cidr']}, and not {whole}")
            return subnet
        fitting = [one for one in subnets if one["cidr"] == str(whole)]
        if len(fitting) != 1:
            which = ", ".join(f"{one['id']} of network {one['network_id']}" for one in fitting) or "none"
            raise InvalidRequest(f"write `network_name` or `subnet`: subnets with the range {whole}: {which}")
        return fitting[0]

    def outside(self, cloud: Cloud, name: str) -> str:
        """Return the id of the external network of this name or id; of ``*``: of the only one."""
        return self._known.get(("outside", name), lambda: self._outside(cloud, name))

    def _outside(self, cloud: Cloud, name: str) -> str:
        every = [
            one
            for one in cloud.pages("network", "/v2.0/networks", "networks", **{"router:external": "true"})
            if one.get("router:external")
        ]
        if name != "*":
            return str(the_one("external network", name, every)["id"])
        if len(every) != 1:
            names = _some(one["name"] for one in every)
            raise InvalidRequest(f"write the name of one as `floating_ip`: {len(every)} external networks: {names}")
        return str(every[0]["id"])

    # --- security groups ------------------------------------------------------------------------------------------

    def security_groups(self, cloud: Cloud, names: Sequence[str]) -> tuple[str, ...]:
        """Return the ids of these security groups."""
        if not names:
            return ()

        def ask() -> tuple[str, ...]:
            every = list(cloud.pages("network", "/v2.0/security-groups", "security_groups", fields=["id", "name"]))
            return tuple(str(the_one("security group", name, every)["id"]) for name in names)

        return self._known.get(("groups", tuple(names)), ask)


def the_one(kind: str, wanted: str, every: Sequence[Json]) -> Json:
    """Return the only thing with this id or name.

    :raises InvalidRequest: there is none, or there are several.
    """
    found = [one for one in every if one["id"] == wanted] or [one for one in every if one["name"] == wanted]
    if len(found) == 1:
        return found[0]
    if not found:
        raise InvalidRequest(f"there is no {kind} {wanted!r}; there are: {_some(one['name'] for one in every)}")
    ids = ", ".join(sorted(str(one["id"]) for one in found))
    raise InvalidRequest(f"there are {len(found)} of {kind} {wanted!r}: write the id of one: {ids}")


def _some(names: Any) -> str:
    """Return names for a message: all that fit."""
    every = sorted({str(one) for one in names})
    more = f" and {len(every) - _MOST_NAMES} more" if len(every) > _MOST_NAMES else ""
    return (", ".join(every[:_MOST_NAMES]) + more) or "none"


def _flavors(cloud: Cloud) -> list[Json]:
    return list(cloud.pages("compute", "/flavors/detail", "flavors", limit=1000))


def _specs(cloud: Cloud, flavor_id: str) -> Mapping[str, str]:
    """Ask for a flavor's extra specs, where the list does not tell them: nova before 2.61, or its policy."""
    try:
        found: Mapping[str, str] = cloud.get("compute", f"/flavors/{segment(flavor_id)}/os-extra_specs")["extra_specs"]
    except Refused as refused:
        if refused.said.status in (403, 404):
            return {}
        raise
    return found


def _image_info(told: Json) -> ImageInfo:
    return ImageInfo(
        str(told["id"]),
        str(told.get("name") or ""),
        str(told.get("owner") or ""),
        str(told["status"]),
        int(told.get("min_disk") or 0),
        int(told.get("min_ram") or 0),
    )


def _place_of(network: Mapping[str, Any], subnet: Mapping[str, Any] | None) -> Place:
    pools = () if subnet is None else tuple((one["start"], one["end"]) for one in subnet.get("allocation_pools") or ())
    return Place(
        str(network["id"]),
        str(network["name"]),
        "" if subnet is None else str(subnet["id"]),
        "" if subnet is None else str(subnet["cidr"]),
        pools,
        network.get("port_security_enabled") is not False,
    )


def _is_part(inner: str, outer: str) -> bool:
    part, whole = ipaddress.ip_network(inner), ipaddress.ip_network(outer)
    return (
        part.version == whole.version
        and whole.network_address <= part.network_address  # type: ignore[operator]
        and part.broadcast_address <= whole.broadcast_address  # type: ignore[operator]
    )
