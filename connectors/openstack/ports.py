"""Ports and floating IPs of our own, and that none of them is left behind.

A VM whose address is reserved gets a port that is made before it, with that address, so that nova gives it to no other.
Nova does not delete such a port with its server. It is deleted by whoever ends the VM, and by the *sweep* around a
listing: what is marked as ours, belongs to no server, and did so some minutes ago, too, is deleted. So it does not
matter which reply was lost, or when a daemon died.

The mark stands in name and description, which are set in the same call that makes the thing (tags need a second one),
and which neutron can search by. What it answers is checked all the same: a filter that it does not know is ignored.
"""

from __future__ import annotations

import ipaddress
import logging
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from clues.errors import InvalidRequest, Transient
from clues.model import Instance, InstanceState, Kind, LaunchRequest
from connectors.common.failures import Refused
from connectors.openstack.api import Cloud, Json, segment
from connectors.openstack.catalogue import Catalogue, Place
from connectors.openstack.config import OpenStackConfig
from connectors.openstack.failures import FAILURES
from connectors.openstack.states import instance_of

log = logging.getLogger(__name__)

#: something of ours that belongs to no VM is left alone for so long: a launch may be under way
GRACE = 300.0
_PREFIX = "clues-"
_TAKEN = frozenset({"IpAddressAlreadyAllocated", "IpAddressInUse"})


class AlreadyThereError(Exception):
    """The VM that is to be made exists."""

    def __init__(self, instance: Instance) -> None:
        super().__init__(instance.id)
        self.instance = instance


@dataclass(frozen=True, slots=True)
class Made:
    """What was made for one VM."""

    port: str
    floating: str = ""


@dataclass(frozen=True, slots=True)
class Belongings:
    """What is ours at neutron."""

    ports: tuple[Json, ...]
    floating: tuple[Json, ...]


#: Finds the VM of a launch key, if there is one.
Find = Callable[[Cloud, str], Instance | None]


class Ports:
    """Makes and deletes them, for one cluster at one site."""

    def __init__(
        self,
        cluster: str,
        site: str,
        config: OpenStackConfig,
        catalogue: Catalogue,
        carried: Sequence[str],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """:param carried: ranges that the router's port lets through beside its own address."""
        self._cluster, self._site, self._config, self._catalogue = cluster, site, config, catalogue
        self._carried, self._monotonic = tuple(carried), monotonic
        #: since when a thing has been seen without a VM, by its id
        self._lonely: dict[str, float] = {}
        #: launch keys of VMs that this process has ended, or could not make: what is left of them needs no grace
        self._ended: set[str] = set()
        #: something could not be deleted, so that a sweep should not wait
        self.unfinished = False
        self._has_l3 = True

    def address_for(self, request: LaunchRequest) -> str:
        """Return the address that the VM's port gets; empty where the cloud chooses. A VM with a tunnel of its own has
        a reserved address that is the tunnel's, and not of this network."""
        whole = self._config.range
        if whole is None or not request.address:
            return ""
        return request.address if ipaddress.ip_address(request.address) in whole else ""

    def make(self, cloud: Cloud, request: LaunchRequest, place: Place, find: Find) -> Made | None:
        """Make the port that a VM needs, with its floating IP; None where nova can do it.

        What was made is gone again where this fails.

        :param find: finds the VM of a launch key.
        :raises AlreadyThereError: the VM exists.
        """
        address = self.address_for(request)
        router = request.kind is Kind.ROUTER
        if not address and not router:
            return None
        body = self._body(cloud, request, place, address)
        self._ended.discard(request.launch_key)
        try:
            port = self._make_port(cloud, body)
        except Refused as refused:
            if not address or refused.said.code not in _TAKEN:
                raise
            self._make_room(cloud, request, place, address, find)
            port = self._make_port(cloud, body)
        if not (router and self._config.floating_ip):
            return Made(port)
        try:
            outside = self._catalogue.outside(cloud, self._config.floating_ip)
            wish = {"floating_network_id": outside, "port_id": port, "description": self._note(request.launch_key)}
            made = cloud.post("network", "/v2.0/floatingips", {"floatingip": wish})["floatingip"]
            return Made(port, str(made["id"]))
        except Exception:
            # the floating IP, too: a reply that was lost may have been a success
            self.discard(cloud, request.launch_key, router=True)
            raise

    def discard(self, cloud: Cloud, launch_key: str, *, router: bool) -> None:
        """Delete what was made for a VM that is not there, or not for long. What cannot be deleted now is left to the
        sweep."""
        self._ended.add(launch_key)
        try:
            for floating in self._floating_of(cloud, launch_key) if router else ():
                cloud.delete("network", f"/v2.0/floatingips/{segment(floating['id'])}")
            for port in self._ports_of(cloud, name=_PREFIX + launch_key):
                cloud.delete("network", f"/v2.0/ports/{segment(port['id'])}")
        except Exception as error:  # noqa: BLE001 - the VM's end, or why it could not be made, is what has to be told
            self.unfinished = True
            failure = FAILURES.classify(error, f"delete the port of {launch_key}", effect=True)
            # neutron 29 lets a member delete no port that a server still has: the usual case, and the sweep's
            log.info("site %s: left for later: %s", self._site, failure)

    # --- making ---------------------------------------------------------------------------------------------------

    def _body(self, cloud: Cloud, request: LaunchRequest, place: Place, address: str) -> Json:
        router = request.kind is Kind.ROUTER
        fixed = {key: value for key, value in (("subnet_id", place.subnet), ("ip_address", address)) if value}
        body: Json = {
            "network_id": place.network,
            "name": _PREFIX + request.launch_key,
            "description": self._mark,
            "admin_state_up": True,
        }
        if fixed:
            body["fixed_ips"] = [fixed]
        groups = self._config.router_security_groups if router else ()
        if ids := self._catalogue.security_groups(cloud, groups or self._config.security_groups):
            body["security_groups"] = list(ids)
        if router:
            if not self._carried:
                raise InvalidRequest(
                    "which packets the router's port shall let through is not known: write overlay.network, or "
                    "`router_carries` of the site"
                )
            # not 0.0.0.0/0: it would open every security group that names this one as a source to everybody
            body["allowed_address_pairs"] = [{"ip_address": one} for one in self._carried]
        return body

    @staticmethod
    def _make_port(cloud: Cloud, body: Json) -> str:
        return str(cloud.post("network", "/v2.0/ports", {"port": body})["port"]["id"])

    def _make_room(self, cloud: Cloud, request: LaunchRequest, place: Place, address: str, find: Find) -> None:
        """Delete the port of ours that holds *address* for a VM that is not there.

        :raises AlreadyThereError: it is the port of the very VM that shall be made.
        :raises Transient: it is the port of another VM of ours that is not gone yet.
        :raises InvalidRequest: it is somebody else's.
        """
        holders = cloud.pages(
            "network", "/v2.0/ports", "ports", network_id=place.network, fixed_ips=f"ip_address={address}"
        )
        for port in holders:
            if all(ip.get("ip_address") != address for ip in port["fixed_ips"]):
                continue
            if port.get("description") != self._mark:
                raise InvalidRequest(
                    f"address {address} is held by port {port['id']}, which is not of this cluster "
                    f"({port.get('device_owner') or 'nobody'}): keep the site's range free of others, and the subnet's "
                    "allocation pool out of it"
                )
            key = str(port["name"]).removeprefix(_PREFIX)
            server = self._server(cloud, str(port.get("device_id") or ""))
            # nova binds a port some time after it has accepted the server
            one = instance_of(server, self._site) if server is not None else find(cloud, key)
            if one is not None and one.state is not InstanceState.GONE:
                if (one.cluster, one.launch_key) == (self._cluster, request.launch_key):
                    raise AlreadyThereError(one)
                raise Transient(f"address {address} is still held by VM {one.id} ({one.node or 'not ours any more'})")
            for floating in self._floating_of(cloud, key):
                cloud.delete("network", f"/v2.0/floatingips/{segment(floating['id'])}")
            cloud.delete("network", f"/v2.0/ports/{segment(port['id'])}")

    @staticmethod
    def _server(cloud: Cloud, server_id: str) -> Json | None:
        if not server_id:
            return None
        try:
            found: Json = cloud.get("compute", f"/servers/{segment(server_id)}")["server"]
        except Refused as refused:
            if refused.said.status == 404:
                return None
            raise
        return found

    # --- finding --------------------------------------------------------------------------------------------------

    @property
    def _mark(self) -> str:
        return f"clues {self._cluster}"

    def _note(self, launch_key: str) -> str:
        """Floating IPs have no name, so their description has to say all."""
        return f"{self._mark} {launch_key}"

    def _ports_of(self, cloud: Cloud, **narrowed: str) -> list[Json]:
        every = cloud.pages("network", "/v2.0/ports", "ports", description=self._mark, **narrowed)
        return [
            one
            for one in every
            if one.get("description") == self._mark and all(one.get(key) == value for key, value in narrowed.items())
        ]

    def _floating_of(self, cloud: Cloud, launch_key: str = "") -> list[Json]:
        """Return the floating IPs of one VM, or of all."""
        if not self._has_l3:
            return []
        note = self._note(launch_key)
        narrowed = {"description": note} if launch_key else {}
        try:
            every = list(cloud.pages("network", "/v2.0/floatingips", "floatingips", **narrowed))
        except Refused as refused:
            if refused.said.status == 404:  # a neutron without routers
                self._has_l3 = False
                return []
            raise
        if launch_key:
            return [one for one in every if one.get("description") == note]
        return [one for one in every if str(one.get("description") or "").startswith(note)]

    # --- the sweep ------------------------------------------------------------------------------------------------

    def look(self, cloud: Cloud) -> Belongings:
        """Return what is ours. It is to be asked for before the VMs are: a port that is made meanwhile is then no port
        without a VM."""
        return Belongings(tuple(self._ports_of(cloud)), tuple(self._floating_of(cloud)))

    def sweep(self, cloud: Cloud, belongings: Belongings, instances: Collection[Instance]) -> int:
        """Delete what belongs to no VM; return how much that was.

        :param instances: all VMs of ours, listed after *belongings*.
        """
        alive = [one for one in instances if one.state is not InstanceState.GONE]
        ids, keys = {one.id for one in alive}, {one.launch_key for one in alive}
        now, lonely, deleted = self._monotonic(), dict(self._lonely), 0
        self._lonely, self.unfinished = {}, False
        for kind, thing, key in self._things(belongings):
            thing_id, device = str(thing["id"]), str(thing.get("device_id") or "")
            if key in keys or device in ids:
                # nova is still at it: what could not be deleted with the VM is to be deleted right after it
                self.unfinished |= key in self._ended
                continue
            self._lonely[thing_id] = since = lonely.get(thing_id, now)
            if (key not in self._ended and now - since < GRACE) or self._server(cloud, device) is not None:
                continue  # a launch may be under way; or somebody uses it, if not a VM of ours
            cloud.delete("network", f"/v2.0/{kind}/{segment(thing_id)}")
            log.info("site %s: deleted %s %s, which %s has left", self._site, kind, thing_id, key)
            deleted += 1
        self._ended &= keys  # what is still ending has to be looked at again
        return deleted

    def _things(self, belongings: Belongings) -> Iterator[tuple[str, Json, str]]:
        """Yield what there is with the launch key that it was made for; floating IPs before their ports."""
        own = {str(one["id"]) for one in belongings.ports}
        for one in belongings.floating:
            if not one.get("port_id") or one["port_id"] in own:
                yield "floatingips", one, str(one["description"]).removeprefix(self._note("")).strip()
        for one in belongings.ports:
            yield "ports", one, str(one["name"]).removeprefix(_PREFIX)
