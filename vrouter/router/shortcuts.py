"""Direct tunnels between routers: which pairs have one, and what each end is told.

Everything follows from the inventory, so both ends are told the same. The ends have the addresses that they have in
the central point's tunnel: those are theirs alone already. The port counts from the one that the listening router's
site forwards, by the address of the other end: each pair has a port and a process of its own, and keeps them whoever
else comes or goes.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from itertools import combinations

from clues.inventory import Inventory, Member
from clues.model import ClaimState, Kind

#: addresses at the beginning of the transit range that no member has
FIRST = 10

_JOINED = frozenset({ClaimState.JOINING, ClaimState.READY, ClaimState.DRAINING})


def shortcut_pairs(members: Iterable[Member]) -> tuple[tuple[str, str], ...]:
    """Return the pairs of routers that shall have a direct tunnel, by launch key; the first of each listens.

    Both have joined and told their certificate's fingerprint, and one can be reached from outside.
    """
    able = sorted((one for one in members if _is_able(one)), key=lambda one: one.key)
    pairs = []
    for one, other in combinations(able, 2):
        if one.site == other.site or not (one.endpoint or other.endpoint):
            continue
        first, second = (one, other) if one.endpoint else (other, one)
        pairs.append((first.key, second.key))
    return tuple(pairs)


def peer_lines(inventory: Inventory, member: Member) -> list[str]:
    """Return a ``peer`` line for each direct tunnel of a router."""
    lines = []
    for listening, connecting in inventory.shortcuts:
        if member.key not in (listening, connecting):
            continue
        listener, connector = inventory.member(listening), inventory.member(connecting)
        if listener is None or connector is None:
            continue
        port = _port(inventory, listener, connector)
        if port is None:
            continue
        here, there = (listener, connector) if member is listener else (connector, listener)
        role, endpoint = ("listen", "-") if member is listener else ("connect", f"{_host(listener)}:{port}")
        subnets = ",".join(there.subnets)
        words = (role, there.key, endpoint, there.fingerprint, subnets, here.tunnel, there.tunnel, str(port))
        lines.append(" ".join(("peer", *words)))
    return lines


def _is_able(member: Member) -> bool:
    return bool(
        member.kind is Kind.ROUTER
        and member.state in _JOINED
        and member.identity
        and member.fingerprint
        and member.tunnel
        and member.subnets
    )


def _host(listener: Member) -> str:
    return listener.endpoint.rpartition(":")[0]


def _port(inventory: Inventory, listener: Member, connector: Member) -> int | None:
    """None where the inventory does not tell, or there is no such port."""
    try:
        transit = ipaddress.IPv4Network(inventory.transit)
        offset = int(ipaddress.IPv4Address(connector.tunnel)) - int(transit.network_address) - FIRST
        ipaddress.IPv4Address(listener.tunnel)
        port = int(listener.endpoint.rpartition(":")[2]) + offset
    except ValueError:
        return None
    return port if offset >= 0 and 0 < port < 65536 else None
