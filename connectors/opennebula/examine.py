"""What ``clues doctor`` finds at an OpenNebula site. Nothing is changed there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from ipaddress import ip_address
from typing import Any, TypeVar

from clues.errors import AuthFailed, CloudError, InvalidRequest
from clues.model import Finding, Limits, Offer, Soundness
from connectors.common.failures import shown
from connectors.opennebula.catalogue import Catalogue
from connectors.opennebula.config import OpenNebulaConfig, split
from connectors.opennebula.driver import OpenNebulaNodeDriver
from connectors.opennebula.prices import resources_of
from connectors.opennebula.quota import read_quota
from connectors.opennebula.records import Image, Network, Template, User

Call = Callable[[str, Callable[[OpenNebulaNodeDriver], Any]], Any]
T = TypeVar("T")

#: Images in these states can be started from: READY, USED.
_READY = (1, 2)
_CLOCK = timedelta(seconds=30)
#: Addresses before this one in a site's range are not given to workers.
_FIRST = 10
_FILTERS = ("FILTER_IP_SPOOFING", "FILTER_MAC_SPOOFING")


def examine(config: OpenNebulaConfig, catalogue: Catalogue, call: Call, offers: Sequence[Offer]) -> list[Finding]:
    """Return what was found, the account first; where that is closed nothing else can be seen."""
    try:
        version = str(call("ask for the version", lambda driver: driver.ex_version()))
        user: User = call("look at our user", lambda driver: driver.ex_get_user())
    except CloudError as error:
        return [Finding("account", Soundness.BAD, str(error), _cure(error))]
    found = [
        Finding("account", Soundness.GOOD, shown(f"OpenNebula {version} lets us in as {user.name} of {user.group}"))
    ]
    examiner = _Examiner(config, catalogue, call, user)
    found += examiner.way()
    found += examiner.guarded("clock", examiner.clock)
    found += examiner.guarded("quota", examiner.quota)
    if topic := config.vnet or config.network:
        found += examiner.guarded(f"network {topic}", lambda: examiner.network(f"network {topic}"))
    for flavor in dict.fromkeys(offer.flavor for offer in offers):
        found += examiner.guarded(f"flavor {flavor}", lambda flavor=flavor: examiner.template(flavor))  # type: ignore[misc]
    for image in dict.fromkeys(offer.image for offer in offers):
        found += examiner.guarded(f"image {image}", lambda image=image: examiner.image(image))  # type: ignore[misc]
    return found


def _cure(error: CloudError) -> str:
    if isinstance(error, AuthFailed):
        return "put a valid `user:password` or `user:token` into the file of the site's `credentials`"
    return "see whether `endpoint` is right, and whether oned runs and can be reached from here"


class _Examiner:
    """Looks at one thing after the other."""

    def __init__(self, config: OpenNebulaConfig, catalogue: Catalogue, call: Call, user: User) -> None:
        self._config, self._catalogue, self._call, self._user = config, catalogue, call, user

    def guarded(self, topic: str, look: Callable[[], list[Finding]]) -> list[Finding]:
        """Return what *look* finds; what it cannot look at is a finding, too."""
        try:
            return look()
        except InvalidRequest as error:
            return [
                Finding(shown(topic), Soundness.BAD, str(error), "correct its name in clues.yaml, or let us use it")
            ]
        except CloudError as error:
            return [Finding(shown(topic), Soundness.UNKNOWN, str(error), "try again")]

    def way(self) -> list[Finding]:
        """Look how the password travels."""
        secure, host, _, _ = split(self._config.endpoint)
        if secure or not self._config.plain_http:
            return []
        text = f"the password crosses the network to {host} readable for everybody on the way"
        return [Finding("endpoint", Soundness.BAD, text, "put TLS before oned, and write https:// in `endpoint`")]

    def clock(self) -> list[Finding]:
        """Compare clocks."""
        skew = self._call("compare clocks", _skew)
        if skew is None:
            found = [Finding("clock", Soundness.UNKNOWN, "the front-end does not tell the time")]
        elif abs(skew) > _CLOCK.total_seconds():
            found = [Finding("clock", Soundness.BAD, f"the site's differs by {skew:.0f} s", "let both follow NTP")]
        else:
            found = [Finding("clock", Soundness.GOOD, "agrees with the site's")]
        return found

    def quota(self) -> list[Finding]:
        """Look what is left."""
        quota = self._call("read the quota", lambda driver: read_quota(*driver.ex_get_quotas(), None))
        if quota.limits == Limits():
            return [Finding("quota", Soundness.GOOD, "no limit is set")]
        full = quota.limits.vms is not None and quota.vms_used >= quota.limits.vms
        used = [
            f"{amount} of {limit} {what}"
            for amount, limit, what in (
                (quota.vms_used, quota.limits.vms, "VMs"),
                (quota.used.cpus, quota.limits.cpus, "CPUs"),
                (quota.used.memory_mib, quota.limits.memory_mib, "MiB of memory"),
            )
            if limit is not None
        ]
        text = f"{', '.join(used)} in use"
        return [
            Finding("quota", Soundness.BAD, text, "end VMs there, or ask for more") if full else _good("quota", text)
        ]

    def network(self, topic: str) -> list[Finding]:
        """Look at the virtual network of the VMs."""
        network = self._network()
        if network is None:
            return []
        free = network.size - network.used
        found = [_good(topic, f"is {network.id}, with {free} of {network.size} addresses free")]
        if not network.size or not free:
            text = f"{free} of its {network.size} addresses are free"
            found = [Finding(topic, Soundness.BAD, text, "add an address range to it")]
        elif (wanted := self._config.range) is not None:
            outside = [one for one, _ in network.ranges if ip_address(one) not in wanted]
            if outside:
                text = f"its addresses from {', '.join(outside)} are outside {wanted}, the site's `network`"
                return [Finding(topic, Soundness.BAD, text, "name the right network, or the right range")]
            needed = [wanted[offset] for offset in (_FIRST, -2) if wanted.num_addresses > _FIRST + 3]
            if lacking := [str(one) for one in needed if not network.holds(str(one))]:
                text = f"it does not hold {' and '.join(lacking)}, which clues gives to VMs as a part of {wanted}"
                cure = "add an address range to it, or name a smaller `network`"
                found.append(Finding(topic, Soundness.BAD, text, cure))
        return found

    def template(self, name: str) -> list[Finding]:
        """Look at the template of an offer."""
        topic = shown(f"flavor {name}")
        template: Template = self._call("look at the templates", lambda d: self._catalogue.templates.find(d, name))
        found = [_good(topic, f"is template {template.id}: {resources_of(template)}")]
        for nic in template.vectors("NIC")[:1]:
            if "MAC" in nic:
                text = "its first NIC has a fixed MAC: a second VM of it cannot be made, nor one with a fixed address"
                found.append(Finding(topic, Soundness.BAD, text, "take MAC out of the template's NIC"))
        if missing := self._unfiltered(template):
            text = f"its VMs could take the addresses of others: {' and '.join(missing)} not set"
            cure = "have oneadmin set them on the template's NIC or on the network (a router's NIC: only the second)"
            found.append(Finding(topic, Soundness.UNKNOWN, text, cure))
        for context in template.vectors("CONTEXT"):
            if context.get("TOKEN", "").upper() == "YES":
                text = "its CONTEXT has TOKEN=YES: no VM can be made unless the site runs OneGate"
                found.append(Finding(topic, Soundness.UNKNOWN, text, "take TOKEN out, if launches fail"))
        if self._config.anti_spoofing and self._user.group_id != 0:
            text = f"anti_spoofing is on, and {self._user.name} is not in oneadmin's group: launches will be refused"
            cure = "switch `anti_spoofing` off, and have the filters in the template or the network"
            found.append(Finding(topic, Soundness.UNKNOWN, shown(text), cure))
        return found

    def _network(self) -> Network | None:
        config = self._config
        look: Callable[[OpenNebulaNodeDriver], Network | None] = lambda driver: self._catalogue.network(  # noqa: E731
            driver, config.virtual_network, config.range
        )
        found: Network | None = self._call("look at the networks", look)
        return found

    def _unfiltered(self, template: Template) -> list[str]:
        """Return which filters neither the first NIC nor its network nor we ourselves switch on."""
        if self._config.anti_spoofing:
            return []
        nic = (template.vectors("NIC") or [{}])[0]
        network = self._network()
        if network is None:
            name = nic.get("NETWORK_ID") or nic.get("NETWORK", "")
            networks = self._call("look at the networks", lambda driver: self._catalogue.networks.all(driver))
            network = next((one for one in networks if name in (str(one.id), one.name)), None)
        return [
            one
            for one in _FILTERS
            if (nic.get(one) or (network.text(one) if network is not None else "")).upper() != "YES"
        ]

    def image(self, name: str) -> list[Finding]:
        """Look at the image of an offer."""
        topic = shown(f"image {name}")
        image: Image = self._call("look at the images", lambda d: self._catalogue.images.find(d, name))
        if image.state not in _READY:
            text = f"is {image.id}, and not ready (its state is {image.state})"
            return [Finding(topic, Soundness.BAD, text, "see `oneimage show` what is wrong with it")]
        return [_good(topic, f"is {image.id}, {image.size_mb} MiB")]


def _good(topic: str, text: str) -> Finding:
    return Finding(topic, Soundness.GOOD, text)


def _skew(driver: OpenNebulaNodeDriver) -> float | None:
    driver.ex_version()
    return driver.connection.skew_seconds
