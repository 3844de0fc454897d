"""What a user and a group may use, as one quota.

Each has limits by metric: a number, -1 for what the site's defaults say, or -2 for none. What is not there is -1.
OpenNebula holds a new VM against both owners, and against two metrics each (VMS and RUNNING_VMS, ...; both are charged
at once), so of all of them the one with least room left is the one that counts.

Its CPUs are shares of a physical CPU, and may be fractions; a template may give a VM more virtual ones than that.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass

from clues.model import Limits, Quota, Resources

DEFAULT, UNLIMITED = -1.0, -2.0
#: of users and groups with these ids nothing is limited
_ONEADMIN = "0"


@dataclass(frozen=True, slots=True)
class Bound:
    """One limit that holds; None is none."""

    limit: float | None
    used: float

    @property
    def left(self) -> float:
        """How much is left; without end where there is no limit."""
        return math.inf if self.limit is None else self.limit - self.used


def read_quota(
    user: ET.Element, group: ET.Element, user_defaults: ET.Element, group_defaults: ET.Element, network: int | None
) -> Quota:
    """Return what both may use together.

    :param network: id of the network that VMs get an address of, where that is known: leases have quotas, too.
    """
    owners = [
        (owner, defaults)
        for owner, defaults in ((user, user_defaults), (group, group_defaults))
        if owner.findtext("ID") != _ONEADMIN
    ]
    vms = _tightest(owners, "VM_QUOTA/VM", "VMS", "RUNNING_VMS")
    if network is not None:
        leases = _tightest(owners, f"NETWORK_QUOTA/NETWORK[ID='{network}']", "LEASES")
        vms = min(vms, leases, key=lambda bound: bound.left)
    cpus = _tightest(owners, "VM_QUOTA/VM", "CPU", "RUNNING_CPU")
    memory = _tightest(owners, "VM_QUOTA/VM", "MEMORY", "RUNNING_MEMORY")
    limits = Limits(vms=_whole(vms), cpus=_whole(cpus), memory_mib=_whole(memory))
    return Quota(limits, Resources(math.ceil(cpus.used), math.ceil(memory.used)), math.ceil(vms.used))


def _tightest(owners: Iterable[tuple[ET.Element, ET.Element]], path: str, *metrics: str) -> Bound:
    bounds = [_bound(owner.find(path), defaults.find(path), one) for owner, defaults in owners for one in metrics]
    return min(bounds, key=lambda bound: bound.left, default=Bound(None, 0.0))


def _bound(own: ET.Element | None, default: ET.Element | None, metric: str) -> Bound:
    limit, used = _number(own, metric, DEFAULT), _number(own, f"{metric}_USED", 0.0)
    if limit == DEFAULT:
        limit = _number(default, metric, UNLIMITED)
    return Bound(limit if limit >= 0 else None, used)


def _number(element: ET.Element | None, name: str, missing: float) -> float:
    text = element.findtext(name, "") if element is not None else ""
    try:
        value = float(text)
    except ValueError:
        return missing
    return value if math.isfinite(value) else missing


def _whole(bound: Bound) -> int | None:
    return None if bound.limit is None else math.floor(bound.limit)
