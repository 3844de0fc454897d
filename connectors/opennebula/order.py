"""What is put over a VM template when it is instantiated.

OpenNebula replaces a vector as a whole: whoever names a CONTEXT drops the template's keys and scripts, whoever names a
NIC drops its model and its filters, and if one of these is a *restricted* attribute, leaving it out is refused as
setting it would be. So what the template has is read first and sent again, with no more changed than has to be.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass

from clues.model import Kind, LaunchRequest
from connectors.common import tags
from connectors.opennebula.config import Guest
from connectors.opennebula.records import Attributes, Image, Network, Template, Vector

#: Where a NIC gets its address from, and its network.
_ADDRESS = frozenset({"IP", "IP6"})
_PLACE = _ADDRESS | frozenset(
    "NETWORK NETWORK_ID NETWORK_UNAME NETWORK_UID NETWORK_MODE SCHED_REQUIREMENTS SCHED_RANK".split()
)
#: What a disk is copied from.
_SOURCE = frozenset("IMAGE IMAGE_ID IMAGE_UNAME IMAGE_UID".split())
#: What would be read instead of ours, or tell how to read ours.
_SCRIPTS: Mapping[Guest, frozenset[str]] = {
    Guest.CLOUD_INIT: frozenset({"USERDATA", "USERDATA_ENCODING", "USER_DATA", "USER_DATA_ENCODING"}),
    Guest.ONE_CONTEXT: frozenset({"START_SCRIPT", "START_SCRIPT_BASE64"}),
}


#: What a VM is known by.
TAGS = (tags.CLUSTER, tags.LAUNCH_KEY, tags.NODE, tags.KIND, tags.POOL, tags.GENERATION, tags.OFFER)


@dataclass(frozen=True, slots=True)
class Choice:
    """What a VM is made from, once names have become objects."""

    template: Template
    image: Image
    #: None: those that the template's own NICs name
    network: Network | None
    guest: Guest = Guest.CLOUD_INIT
    #: the filters are set here, and not by the template or the network
    anti_spoofing: bool = False


def overlay(choice: Choice, request: LaunchRequest) -> Attributes:
    """Return what is put over the template for one VM. The same request gives the same."""
    return (
        *((attribute(tag), value) for tag, value in tags.tags_of(request).items()),
        *(("DISK", disk) for disk in _disks(choice)),
        *(("NIC", nic) for nic in _nics(choice, request)),
        ("CONTEXT", _context(choice, request)),
    )


def attribute(tag: str) -> str:
    """Return the name under which a tag stands in USER_TEMPLATE: names there are upper case, without hyphens."""
    return tag.replace("-", "_").upper()


def _disks(choice: Choice) -> list[Vector]:
    """Return the template's disks, the first that comes from an image changed to come from ours."""
    disks = [dict(one) for one in choice.template.vectors("DISK")]
    ours = next((one for one in disks if _SOURCE & one.keys()), None)
    if ours is None:
        return [{"IMAGE_ID": str(choice.image.id)}, *disks]
    place = disks.index(ours)
    kept = {key: value for key, value in ours.items() if key not in _SOURCE}
    disks[place] = {**kept, "IMAGE_ID": str(choice.image.id)}
    return list(disks)


def _nics(choice: Choice, request: LaunchRequest) -> list[Vector]:
    """Return the template's NICs, the first put where the VM has to be; none where nothing has to be changed."""
    if choice.network is None and not request.address and not choice.anti_spoofing:
        return []
    first, *others = choice.template.vectors("NIC") or [{}]
    dropped = _ADDRESS if choice.network is None else _PLACE
    nic = {key: value for key, value in first.items() if key not in dropped}
    if choice.network is not None:
        nic["NETWORK_ID"] = str(choice.network.id)
    if request.address:
        nic["IP"] = request.address
    if choice.anti_spoofing:
        # a router passes on what others have sent, under their addresses
        nic["FILTER_IP_SPOOFING"] = "NO" if request.kind is Kind.ROUTER else "YES"
        nic["FILTER_MAC_SPOOFING"] = "YES"
    return [nic, *others]


def _context(choice: Choice, request: LaunchRequest) -> Vector:
    own = (choice.template.vectors("CONTEXT") or [{}])[-1]
    kept = {key: value for key, value in own.items() if key not in _SCRIPTS[choice.guest]}
    # plain text is searched for variables, and refused for a bracket too many
    script = base64.b64encode(request.user_data.encode()).decode()
    if choice.guest is Guest.CLOUD_INIT:
        ours = {"USER_DATA": script, "USER_DATA_ENCODING": "base64"}
    else:
        ours = {"START_SCRIPT_BASE64": script}
    return {**kept, "NETWORK": "YES", "SET_HOSTNAME": request.node, **ours}
