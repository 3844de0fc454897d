"""Looks whether a site can do what its configuration promises, for ``clues doctor``. Changes nothing."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from clues.errors import AuthFailed, CloudError, InvalidRequest, NotFound
from clues.model import Finding, Market, Offer, Soundness
from connectors.openstack.api import TAGS_AT_CREATE, Cloud, segment
from connectors.openstack.catalogue import Catalogue, FlavorInfo, ImageInfo, Place
from connectors.openstack.config import OpenStackConfig
from connectors.openstack.identity import Session
from connectors.openstack.limits import left, network_quota, quota_of

#: what :meth:`connectors.common.cloud.CloudConnector.call` is
Call = Callable[[str, Callable[[Cloud], Any]], Any]

_SKEW = timedelta(seconds=60)
_SOON = timedelta(days=7)
#: addresses at a range's beginning that the overlay leaves to others, and its router's among them
_OTHERS = 10
_WRONG = (AuthFailed, InvalidRequest, NotFound)


class Examiner:
    """One examination."""

    def __init__(self, config: OpenStackConfig, catalogue: Catalogue, session: Session, call: Call) -> None:
        self._config, self._catalogue, self._session, self._call = config, catalogue, session, call

    def examine(self, offers: Sequence[Offer]) -> list[Finding]:
        """Return what was found. It raises nothing."""
        self._catalogue.forget()
        found = list(self._credentials())
        if found[0].soundness is not Soundness.GOOD:
            return found  # nobody answers us
        for name in dict.fromkeys(one.flavor for one in offers):
            found.append(self._look(f"flavor {name}", partial(self._flavor, name)))
        for flavor, image in dict.fromkeys((one.flavor, one.image) for one in offers):
            found.append(self._look(f"image {image}", partial(self._image, flavor, image)))
        for zone in dict.fromkeys(one.zone for one in offers if one.zone):
            found.append(self._look(f"zone {zone}", partial(_zone, zone)))
        if any(one.market is not Market.ON_DEMAND for one in offers):
            found.append(
                Finding("market", Soundness.BAD, "OpenStack has no spot market", "take `market` out of the offers")
            )
        found.append(self._look("network", self._network))
        found.append(self._look("security groups", self._groups))
        if self._config.floating_ip:
            found.append(self._look("floating IP", self._floating))
        if self._config.key_pair:
            found.append(self._look("key pair", self._key_pair))
        found.append(self._look("quota", _quota))
        found.append(self._look("nova", _nova))
        return list(dict.fromkeys(found))

    def _look(self, topic: str, work: Callable[[Cloud], Finding]) -> Finding:
        try:
            finding: Finding = self._call(f"look at {topic}", work)
        except CloudError as error:
            if isinstance(error, _WRONG):
                return Finding(topic, Soundness.BAD, str(error), _CURES.get(topic.split(" ")[0], "mend what it says"))
            return Finding(topic, Soundness.UNKNOWN, str(error), "try again later")
        return finding

    # --- credentials and clock ------------------------------------------------------------------------------------

    def _credentials(self) -> Iterator[Finding]:
        topic = "credentials"
        try:
            token = self._session.token()
            until = self._session.until()
        except CloudError as error:
            wrong = isinstance(error, _WRONG)
            yield Finding(
                topic,
                Soundness.BAD if wrong else Soundness.UNKNOWN,
                str(error),
                _CURES[topic] if wrong else "try again",
            )
            return
        text = "accepted by keystone"
        soundness, cure = Soundness.GOOD, ""
        if until is not None:
            text += f"; they end at {until:%Y-%m-%d %H:%M} UTC"
            if until - datetime.now(UTC) < _SOON:
                cure = "make new ones in time, and put them into clouds.yaml; they are read again at each login"
        yield Finding(topic, soundness, text, cure)
        if token.skew is None:
            return
        seconds = token.skew.total_seconds()
        if abs(token.skew) > _SKEW:
            yield Finding(
                "clock", Soundness.BAD, f"differs from keystone's by {seconds:.0f} s", "have NTP set the clock"
            )
        else:
            yield Finding("clock", Soundness.GOOD, f"within {abs(seconds):.0f} s of keystone's")

    # --- offers ---------------------------------------------------------------------------------------------------

    def _flavor(self, name: str, cloud: Cloud) -> Finding:
        one = self._catalogue.flavor(cloud, name)
        topic = f"flavor {name}"
        if one.disk == 0 and self._config.boot_volume is None:
            text = f"has {one.resources}, and no disk"
            return Finding(topic, Soundness.BAD, text, "write the site's `boot_volume`, or take another flavor")
        return Finding(topic, Soundness.GOOD, f"has {one.resources}")

    def _image(self, flavor_name: str, name: str, cloud: Cloud) -> Finding:
        image = self._catalogue.image(cloud, name)
        topic = f"image {name}"
        try:
            flavor: FlavorInfo | None = self._catalogue.flavor(cloud, flavor_name)
        except InvalidRequest:
            flavor = None  # told by itself
        if flavor is not None and (wrong := self._misfit(flavor, image)):
            return Finding(topic, Soundness.BAD, wrong, "take a larger flavor or volume, or another image")
        return Finding(topic, Soundness.GOOD, f"is {image.id} of project {image.owner}")

    def _misfit(self, flavor: FlavorInfo, image: ImageInfo) -> str:
        if flavor.resources.memory_mib < image.min_ram:
            return f"needs {image.min_ram} MiB of memory, and {flavor.name} has {flavor.resources.memory_mib}"
        volume = self._config.boot_volume
        disk = flavor.disk if volume is None else volume.size // 1024
        if 0 < disk < image.min_disk:
            return f"needs a disk of {image.min_disk} GiB, and would get one of {disk}"
        return ""

    # --- network --------------------------------------------------------------------------------------------------

    def _network(self, cloud: Cloud) -> Finding:
        place = self._catalogue.place(cloud)
        topic, whole = "network", self._config.range
        if not place.port_security and self._config.security_groups:
            text = f"port security is off in network {place.name}, so security groups do nothing there"
            return Finding(
                topic, Soundness.BAD, text, f"`openstack network set --enable-port-security {place.network}`"
            )
        if whole is None:
            return Finding(topic, Soundness.GOOD, f"is {place.name}; the cloud chooses addresses")
        held, strangers = _holders(cloud, place, whole)
        if strangers:
            return Finding(
                topic,
                Soundness.BAD,
                f"addresses of {whole} are held by others: {', '.join(strangers[:5])}",
                f"have neutron give others no address above {whole[_OTHERS - 2]}: {_narrow(whole, place)}",
            )
        free = whole.num_addresses - _OTHERS - 2 - held
        text = f"is {place.name}, subnet {place.cidr}; {max(0, free)} addresses of {whole} are free"
        if free <= 0:
            return Finding(topic, Soundness.BAD, text, "give the site a larger range")
        if any(_reaches(whole, first, last) for first, last in place.pools):
            text += "; neutron may give some of them to others, since they lie in its allocation pool"
            return Finding(topic, Soundness.GOOD, text, _narrow(whole, place))
        return Finding(topic, Soundness.GOOD, text)

    def _groups(self, cloud: Cloud) -> Finding:
        every = (*self._config.security_groups, *self._config.router_security_groups)
        ids = self._catalogue.security_groups(cloud, tuple(dict.fromkeys(every)))
        return Finding("security groups", Soundness.GOOD, ", ".join(ids) or "the project's `default`")

    def _floating(self, cloud: Cloud) -> Finding:
        network = self._catalogue.outside(cloud, self._config.floating_ip)
        free = left(network_quota(cloud), "floatingip")
        text = f"of network {network}" + ("" if free is None else f"; {free} more may be made")
        if free == 0:
            return Finding("floating IP", Soundness.BAD, text, "release one, or ask for more quota")
        return Finding("floating IP", Soundness.GOOD, text)

    def _key_pair(self, cloud: Cloud) -> Finding:
        cloud.get("compute", f"/os-keypairs/{segment(self._config.key_pair)}")
        return Finding("key pair", Soundness.GOOD, self._config.key_pair)


def _reaches(whole: ipaddress.IPv4Network | ipaddress.IPv6Network, first: str, last: str) -> bool:
    """Whether a pool reaches the addresses that the overlay gives to workers and routers."""
    begin, end = int(ipaddress.ip_address(first)), int(ipaddress.ip_address(last))
    return begin <= int(whole[-1]) and end >= int(whole[_OTHERS - 1])


def _narrow(whole: ipaddress.IPv4Network | ipaddress.IPv6Network, place: Place) -> str:
    pool = f"start={whole[2]},end={whole[_OTHERS - 2]}"
    return f"`openstack subnet set --no-allocation-pool --allocation-pool {pool} {place.subnet}`"


def _holders(cloud: Cloud, place: Place, whole: ipaddress.IPv4Network | ipaddress.IPv6Network) -> tuple[int, list[str]]:
    """Return how many addresses that are for VMs are held, and which of them by others."""
    held, strangers = 0, []
    narrowed = {"network_id": place.network, "fixed_ips": f"subnet_id={place.subnet}"}
    for port in cloud.pages("network", "/v2.0/ports", "ports", **narrowed):
        for ip in port["fixed_ips"]:
            address = ipaddress.ip_address(ip["ip_address"])
            if address not in whole or int(address) < int(whole[_OTHERS - 1]):
                continue
            held += 1
            if not str(port.get("description") or "").startswith("clues "):
                strangers.append(f"{address} ({port.get('device_owner') or 'port ' + str(port['id'])})")
    return held, strangers


def _zone(zone: str, cloud: Cloud) -> Finding:
    every = cloud.get("compute", "/os-availability-zone")["availabilityZoneInfo"]
    names = sorted(str(one["zoneName"]) for one in every if one["zoneState"]["available"])
    if zone in names:
        return Finding(f"zone {zone}", Soundness.GOOD, "is there")
    return Finding(f"zone {zone}", Soundness.BAD, f"is not among {', '.join(names)}", "write one of these in the offer")


def _quota(cloud: Cloud) -> Finding:
    quota = quota_of(cloud)
    parts = [
        f"{used} of {'any number' if limit is None else limit} {what}"
        for what, used, limit in (
            ("VMs", quota.vms_used, quota.limits.vms),
            ("CPUs", quota.used.cpus, quota.limits.cpus),
            ("MiB of memory", quota.used.memory_mib, quota.limits.memory_mib),
        )
    ]
    full = quota.limits.vms is not None and quota.vms_used >= quota.limits.vms
    cure = "end what is not needed there, or ask for more" if full else ""
    return Finding("quota", Soundness.BAD if full else Soundness.GOOD, f"used: {', '.join(parts)}", cure)


def _nova(cloud: Cloud) -> Finding:
    version = ".".join(map(str, cloud.version))
    if cloud.version < TAGS_AT_CREATE:
        text = f"microversion {version}: it cannot search for a VM by tag, so each launch lists all of them"
        return Finding("nova", Soundness.GOOD, text)
    return Finding("nova", Soundness.GOOD, f"microversion {version}")


#: what to do about what is wrong, by the first word of the topic
_CURES = {
    "credentials": "look at the entry of clouds.yaml, and at `openstack --os-cloud NAME token issue`",
    "flavor": "write one of the site's flavors in the offer",
    "image": "write the image's id in the offer, or the site's `image_owner`",
    "zone": "take `zone` out of the offer",
    "network": "look at the site's `network`, `network_name` and `subnet`",
    "security": "look at the site's `security_groups`",
    "floating": "look at the site's `floating_ip`",
    "key": "make the key pair as the user that the credentials are of, or take `key_pair` out",
    "quota": "the credentials' role has to allow it to be read",
    "nova": "look whether the endpoint in the catalog is right",
}
