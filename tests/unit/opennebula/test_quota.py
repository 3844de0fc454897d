"""User's and group's quotas, -1 and -2, as one."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import pytest

from clues.model import Limits, Quota, Resources
from connectors.opennebula.quota import read_quota

METRICS = ("VMS", "RUNNING_VMS", "CPU", "RUNNING_CPU", "MEMORY", "RUNNING_MEMORY", "SYSTEM_DISK_SIZE")


def owner(tag: str = "USER", number: int = 2, implicit: float = -1, leases: str = "", **told: Any) -> ET.Element:
    """Return a user or group; a metric is its limit, or (limit, used)."""
    if not told and not leases:
        quota = "<VM_QUOTA></VM_QUOTA>"
    else:
        rows = ""
        for metric in METRICS:
            limit, used = told[metric] if isinstance(told.get(metric), tuple) else (told.get(metric, implicit), 0)
            rows += f"<{metric}>{limit}</{metric}><{metric}_USED>{used}</{metric}_USED>"
        quota = f"<VM_QUOTA><VM>{rows}</VM></VM_QUOTA>"
    network = f"<NETWORK_QUOTA>{leases}</NETWORK_QUOTA>"
    return ET.fromstring(f"<{tag}><ID>{number}</ID>{quota}{network}</{tag}>")  # noqa: S314


def quota(
    user: ET.Element | None = None,
    group: ET.Element | None = None,
    users: ET.Element | None = None,
    groups: ET.Element | None = None,
    network: int | None = None,
) -> Quota:
    """Return what is read."""
    nothing = owner("DEFAULTS")
    return read_quota(
        owner() if user is None else user,
        owner("GROUP", 100) if group is None else group,
        nothing if users is None else users,
        nothing if groups is None else groups,
        network,
    )


def test_nothing_said_is_nothing_limited_and_nothing_used() -> None:
    assert quota() == Quota(Limits(), Resources(), 0)


def test_an_empty_quota_is_what_the_defaults_say() -> None:
    assert quota(users=owner("D", implicit=-2, VMS=7)).limits == Limits(vms=7)
    assert quota(groups=owner("D", implicit=-2, CPU=12.5)).limits == Limits(cpus=12)


def test_minus_1_is_the_default_and_minus_2_is_none() -> None:
    defaults = owner("D", implicit=-2, VMS=7, MEMORY=4096)
    told = quota(owner(VMS=-1, MEMORY=-2), users=defaults)
    assert told.limits == Limits(vms=7)
    assert quota(owner(VMS=-1)).limits == Limits()
    assert quota(owner(VMS=-2), users=owner("D", implicit=-2, VMS=0)).limits == Limits()


def test_nought_is_a_limit() -> None:
    assert quota(owner(VMS=0)).limits.vms == 0
    assert quota(users=owner("D", implicit=-2, VMS=0)).limits.vms == 0


@pytest.mark.parametrize("user_first", [True, False])
def test_who_has_least_left_counts_with_its_own_use(user_first: bool) -> None:
    user, group = ((10, 9), (5, 1)) if user_first else ((5, 1), (10, 9))
    told = quota(owner(VMS=user), owner("GROUP", 100, VMS=group))
    assert (told.limits.vms, told.vms_used) == (10, 9)


def test_the_running_ones_are_charged_for_every_vm_and_count_as_well() -> None:
    told = quota(owner(VMS=(50, 2), RUNNING_VMS=(3, 2), CPU=(-2, 4), RUNNING_CPU=(8, 4)))
    assert (told.limits.vms, told.vms_used) == (3, 2)
    assert (told.limits.cpus, told.used.cpus) == (8, 4)


def test_cpus_may_be_fractions_and_are_rounded_to_the_safe_side() -> None:
    told = quota(owner(CPU=(12.5, 3.25), MEMORY=(1000.5, 10.5)))
    assert (told.limits.cpus, told.used.cpus) == (12, 4)
    assert (told.limits.memory_mib, told.used.memory_mib) == (1000, 11)


def test_without_limits_the_use_is_the_user_s_own() -> None:
    told = quota(owner(VMS=(-1, 3), CPU=(-1, 6), MEMORY=(-1, 512)), owner("GROUP", 100, VMS=(-1, 40)))
    assert told == Quota(Limits(), Resources(6, 512), 3)


def test_oneadmin_and_its_group_are_beyond_quotas() -> None:
    told = quota(owner(number=0, VMS=(1, 1)), owner("GROUP", 0, VMS=(1, 1)), users=owner("D", implicit=-2, VMS=1))
    assert told.limits == Limits()
    told = quota(owner(number=2, VMS=(4, 1)), owner("GROUP", 0, VMS=(1, 1)))
    assert (told.limits.vms, told.vms_used) == (4, 1)


def test_leases_of_the_vms_network_bound_their_number() -> None:
    leases = "".join(
        f"<NETWORK><ID>{n}</ID><LEASES>{limit}</LEASES><LEASES_USED>1</LEASES_USED></NETWORK>"
        for n, limit in ((1, 3), (2, 2))
    )
    user = owner(leases=leases, VMS=(10, 1))
    assert (quota(user, network=1).limits.vms, quota(user, network=1).vms_used) == (3, 1)
    assert quota(user, network=9).limits.vms == 10
    assert quota(user).limits.vms == 10


@pytest.mark.parametrize("odd", ["", "x", "nan", "inf", "-3"])
def test_a_limit_that_is_none_does_not_become_one(odd: str) -> None:
    assert quota(owner(VMS=odd, CPU=(4, 1))).limits == Limits(cpus=4)
