"""What a router is told while it lives: whom it forwards for, and which other routers it talks to directly."""

from __future__ import annotations

import ipaddress
import re

from clues.inventory import Inventory, Member
from clues.model import Kind
from vrouter.router.shortcuts import peer_lines

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


def settings_lines(inventory: Inventory, key: str) -> list[str]:
    """Return the lines for the member with this launch key; none for a worker.

    ``forward MAC ADDRESS`` for each member of its site that has both, ``peer ...`` for each shortcut. A member whose
    hardware address is not known is not forwarded for: its provider has to list it first.
    """
    member = inventory.member(key)
    if member is None or member.kind is not Kind.ROUTER:
        return []
    return [*_forward_lines(inventory, member), *peer_lines(inventory, member)]


def _forward_lines(inventory: Inventory, router: Member) -> list[str]:
    ranges = [ipaddress.IPv4Network(one) for one in router.subnets]
    return [
        f"forward {one.mac} {one.address}"
        for one in inventory.members
        # One with a tunnel of its own does not come by the router.
        if one.site == router.site and one.kind is Kind.WORKER and not one.tunnel and _MAC.fullmatch(one.mac)
        if _lies_in(one.address, ranges)
    ]


def _lies_in(address: str, ranges: list[ipaddress.IPv4Network]) -> bool:
    try:
        return any(ipaddress.IPv4Address(address) in one for one in ranges)
    except ValueError:
        return False  # none yet
