"""How a VM comes to be: a template, what is put over it, and all that may stand against it, in oned's order.

Restricted attributes and quotas answer with one and the same code (0x200), and differ by their words only. What cannot
be had (an image, an address, a sound CONTEXT) is 0x4000. That no host has room is none of these: it is a success.
"""

from __future__ import annotations

import re

from tests.lab.opennebula.cloud import Cloud
from tests.lab.opennebula.errors import ALLOCATE, AUTHORIZATION, INTERNAL, NO_EXISTS, OneFailure
from tests.lab.opennebula.machine import Machine, at
from tests.lab.opennebula.objects import User, mac_of
from tests.lab.opennebula.quotas import Usage
from tests.lab.opennebula.template import KNOWN, ParseError, Template, Vector, parse

_VARIABLE = re.compile(r"\$([A-Z_]+)(?:\[([A-Z_]+)\])?")
_ERROR = "Error allocating a new virtual machine."


def instantiate(cloud: Cloud, user: User, template_id: int, name: str, hold: bool, extra: str) -> int:
    """Make a VM and return its id.

    :raises OneFailure: it cannot be made.
    """
    original = cloud.templates.get(template_id)
    if original is None:
        raise OneFailure(NO_EXISTS, f"Error getting virtual machine template [{template_id}].")
    try:
        over = parse(extra)
    except ParseError as error:
        raise OneFailure(INTERNAL, f"Parse error: {error}") from error
    if user.group.id != 0 and (attribute := over.forbidden(original.content)):
        raise OneFailure(AUTHORIZATION, f"User Template includes a restricted attribute {attribute}")
    content = original.content.merged(over)
    if not original.usable_by(user):
        raise _denied(user, f"USE TEMPLATE/#{template_id}")
    disks, nics = _disks(cloud, user, content), _nics(cloud, user, content)
    usage = _usage(content, disks, nics)
    for quotas, defaults, whose in cloud.quotas_of(user):
        if refusal := quotas.refusal(usage, defaults):
            raise OneFailure(AUTHORIZATION, f"{whose} {refusal}.")
    vm = cloud.next_id()
    machine = Machine(vm, name or f"{original.name}-{vm}", user, 0o600, usage=usage)
    machine.where = at("HOLD" if hold else "PENDING")
    try:
        _lease(cloud, vm, nics)
        context = [_context(cloud, machine, user, one) for one in content.vectors("CONTEXT")]
    except OneFailure:
        for network in cloud.networks.values():
            network.leases = {address: owner for address, owner in network.leases.items() if owner != vm}
        raise
    own = content.only(frozenset({"DISK", "NIC", "CONTEXT"}), without=True)
    machine.template = Template(
        [
            *own.only(KNOWN),
            *(("DISK", disk) for disk in disks),
            *(("NIC", nic) for nic in nics),
            *(("CONTEXT", _with_nics(one, nics)) for one in context),
            ("TEMPLATE_ID", str(template_id)),
            ("VMID", str(vm)),
        ]
    )
    machine.user_template = own.only(KNOWN, without=True)
    machine.started = int(cloud.now())
    cloud.machines[vm] = machine
    cloud.move(machine, machine.where)
    cloud.charge(machine, +1)
    return vm


def _denied(user: User, what: str) -> OneFailure:
    return OneFailure(AUTHORIZATION, f"User [{user.id}] : Not authorized to perform {what}.")


def _disks(cloud: Cloud, user: User, content: Template) -> list[Vector]:
    disks = []
    for number, disk in enumerate(content.vectors("DISK")):
        disk = {**disk, "DISK_ID": str(number)}
        if "IMAGE_ID" in disk:
            image = cloud.images.get(int(disk["IMAGE_ID"]))
        elif "IMAGE" in disk:
            of = disk.get("IMAGE_UNAME", user.name)
            named = [one for one in cloud.images.values() if one.name == disk["IMAGE"] and one.owner.name == of]
            if not named:
                words = (
                    f"User {user.id} does not own an image with name: {disk['IMAGE']} . Set IMAGE_UNAME or IMAGE_UID"
                )
                raise OneFailure(ALLOCATE, f"{_ERROR} {words} of owner in DISK.")
            (image,) = named
        else:
            disks.append(disk)  # a volatile disk
            continue
        if image is None:
            raise OneFailure(ALLOCATE, f"{_ERROR} Image with ID: {disk['IMAGE_ID']} does not exist")
        if not image.usable_by(user):
            raise _denied(user, f"USE IMAGE/#{image.id}")
        if image.state not in (1, 2):
            raise OneFailure(ALLOCATE, f"{_ERROR} Cannot acquire image {image.id}, it is not ready")
        disks.append({**disk, "IMAGE_ID": str(image.id), "IMAGE": image.name, "SIZE": str(image.size_mb)})
    return disks


def _nics(cloud: Cloud, user: User, content: Template) -> list[Vector]:
    nics = []
    for number, nic in enumerate(content.vectors("NIC")):
        if "NETWORK_ID" in nic:
            network = cloud.networks.get(int(nic["NETWORK_ID"]))
        else:
            names = [one for one in cloud.networks.values() if one.name == nic.get("NETWORK") and one.usable_by(user)]
            network = names[0] if names else None
        if network is None:
            raise OneFailure(ALLOCATE, f"{_ERROR} Virtual network with ID: {nic.get('NETWORK_ID')} does not exist")
        if not network.usable_by(user):
            raise _denied(user, f"USE NET/#{network.id}")
        # of a network's own attributes the NIC has those that it does not say itself
        inherited = {
            key: network.content.text(key)
            for key in ("FILTER_IP_SPOOFING", "FILTER_MAC_SPOOFING", "GATEWAY")
            if network.content.text(key)
        }
        own = {"NETWORK_ID": str(network.id), "NETWORK": network.name, "NIC_ID": str(number)}
        nics.append({**inherited, **nic, **own, "BRIDGE": f"onebr{network.id}"})
    return nics


def _lease(cloud: Cloud, vm: int, nics: list[Vector]) -> None:
    for nic in nics:
        network = cloud.networks[int(nic["NETWORK_ID"])]
        address = None
        if not ("IP" in nic and "MAC" in nic):  # one of them decides the other
            address = network.lease(vm, nic.get("IP", ""))
        if address is None:
            raise OneFailure(ALLOCATE, f"{_ERROR} Cannot get IP/MAC lease from virtual network {network.id}.")
        nic |= {"IP": address, "MAC": nic.get("MAC", mac_of(address)), "AR_ID": "0"}


def _usage(content: Template, disks: list[Vector], nics: list[Vector]) -> Usage:
    usage: dict[tuple[str, str, str], float] = {}
    for metric, amount in (("VMS", 1.0), ("CPU", content.number("CPU")), ("MEMORY", content.number("MEMORY"))):
        usage["VM", "", metric] = usage["VM", "", f"RUNNING_{metric}"] = amount
    usage["VM", "", "SYSTEM_DISK_SIZE"] = sum(float(disk.get("SIZE", 0)) for disk in disks)
    for table, metric, key, vectors in (
        ("NETWORK", "LEASES", "NETWORK_ID", nics),
        ("IMAGE", "RVMS", "IMAGE_ID", disks),
    ):
        for vector in vectors:
            if key in vector:
                usage[table, vector[key], metric] = usage.get((table, vector[key], metric), 0.0) + 1
    return usage


def _context(cloud: Cloud, machine: Machine, user: User, context: Vector) -> Vector:
    """Return the CONTEXT with its variables put in, as oned does it with whatever looks like one."""
    if context.get("TOKEN", "").upper() == "YES" and not cloud.onegate:
        raise OneFailure(ALLOCATE, f"{_ERROR} Error generating context: ONEGATE_ENDPOINT is not set in oned.conf")
    known = {"NAME": machine.name, "VMID": str(machine.id), "UNAME": user.name, "USER": "", "NETWORK": "", "IMAGE": ""}
    seen = {}
    for name, value in context.items():
        rest = _VARIABLE.sub("", value)
        if rest != value and any(sign in rest for sign in '"]'):
            raise OneFailure(ALLOCATE, f"{_ERROR} Parse error: syntax error, unexpected {rest[:20]!r}, expecting end")
        seen[name] = _VARIABLE.sub(lambda match: known.get(match[1], ""), value)
    return seen


def _with_nics(context: Vector, nics: list[Vector]) -> Vector:
    if context.get("NETWORK", "").upper() != "YES":
        return context
    more: dict[str, str] = {}
    for number, nic in enumerate(nics):
        more |= {f"ETH{number}_IP": nic["IP"], f"ETH{number}_MAC": nic["MAC"]}
    return {**context, **more}
