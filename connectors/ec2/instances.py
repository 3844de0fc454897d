"""EC2's instances, as they are listed, in the words of the core."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from clues.model import Instance, InstanceState
from connectors.common.tags import tagged
from connectors.ec2 import mates
from connectors.ec2.api import Odd, text

#: An instance that is stopping will be stopped: it exists, runs nothing more, and has to be ended.
STATES: Mapping[str, InstanceState] = {
    "pending": InstanceState.PENDING,
    "running": InstanceState.RUNNING,
    "shutting-down": InstanceState.STOPPING,
    "stopping": InstanceState.STOPPED,
    "stopped": InstanceState.STOPPED,
    "terminated": InstanceState.GONE,
}

#: Why EC2 itself ended an instance (its state reason), and what that amounts to. A spot VM that was called back tells
#: that its offer has no room any more.
FAULTS: Mapping[str, str] = {
    "Server.InsufficientInstanceCapacity": "no-capacity",
    "Server.SpotInstanceTermination": "no-capacity",
    "Server.SpotInstanceShutdown": "no-capacity",
    "Client.VolumeLimitExceeded": "quota",
    "Client.InstanceLimitExceeded": "quota",
    "Client.InvalidSnapshot.NotFound": "invalid",
    # a key of KMS that may not be used, most often
    "Client.InternalError": "invalid",
    "Server.InternalError": "transient",
    "Server.ScheduledStop": "transient",
}

#: Somebody wanted this end, or it has not come: nothing to be told.
_NO_FAULT = ("", "pending", "Client.UserInitiatedShutdown", "Client.InstanceInitiatedShutdown")
_ENDED = (InstanceState.STOPPING, InstanceState.STOPPED, InstanceState.GONE)


@dataclass(frozen=True, slots=True)
class Seen:
    """An instance, with what only this connector needs to know of it."""

    instance: Instance
    #: its placement group
    group: str
    #: its first network interface, and whether that passes on nothing that is not for itself
    interface: str
    checked: bool


def read_all(reply: ET.Element, site: str) -> list[Seen]:
    """Return the instances of one page of DescribeInstances.

    :raises Odd: it is no such page.
    """
    reservations = reply.find("reservationSet")
    if reservations is None:
        raise Odd("a listing without a reservationSet")
    return [read(item, site) for item in reservations.findall("item/instancesSet/item")]


def read(item: ET.Element, site: str) -> Seen:
    """Return one instance as EC2 describes it.

    :raises Odd: it has no id.
    """
    instance_id = text(item, "instanceId")
    if not instance_id:
        raise Odd("an instance without an id")
    state = STATES.get(text(item, "instanceState/name"), InstanceState.UNKNOWN)
    fault, code = _fault(item) if state in _ENDED else ("", "")
    cards = item.findall("networkInterfaceSet/item")
    addresses = (text(item, "privateIpAddress"), text(item, "ipAddress"))
    tags = {text(tag, "key"): text(tag, "value") for tag in item.findall("tagSet/item")}
    instance = tagged(
        mates.own(tags, text(item, "amiLaunchIndex")),
        instance_id=instance_id,
        site=site,
        state=state,
        addresses=tuple(filter(None, addresses)),
        macs=tuple(filter(None, (text(card, "macAddress") for card in cards))),
        created_at=_moment(text(item, "launchTime")),
        fault=fault,
        fault_code=code,
    )
    first = min(cards, key=lambda card: text(card, "attachment/deviceIndex") or "9", default=None)
    return Seen(
        instance,
        group=text(item, "placement/groupName"),
        interface="" if first is None else text(first, "networkInterfaceId"),
        checked=text(item, "sourceDestCheck") != "false",
    )


def _fault(item: ET.Element) -> tuple[str, str]:
    """Return why EC2 ended an instance, in its own words, and what that amounts to."""
    code, message = text(item, "stateReason/code"), text(item, "stateReason/message")
    if code in _NO_FAULT:
        return "", ""
    return (message if message.startswith(code) else f"{code}: {message}"), FAULTS.get(code, "")


def _moment(told: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(told)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
