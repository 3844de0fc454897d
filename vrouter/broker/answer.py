"""Who may connect, and with which addresses: pure, from the inventory and a common name.

A certificate that is valid is not enough: its claim has to be a member now. That the certificate was issued to the
key that the member enrolled with cannot be told here, since OpenVPN shows the certificate's digest and not its key's;
the revocation list, which OpenVPN checks before it asks, has all certificates of other keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from clues.inventory import Inventory, Member
from clues.model import ClaimState, Kind

_SERVED = frozenset({ClaimState.JOINING, ClaimState.READY, ClaimState.DRAINING})
#: a VM may be ahead of what is committed about it, once it has enrolled
_ON_THE_WAY = frozenset({ClaimState.LAUNCHING, ClaimState.BOOTING})


@dataclass(frozen=True, slots=True)
class Place:
    """The part of the overlay that one member has."""

    address: str
    #: ranges behind it
    subnets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Denial:
    """Why not, in a few words for the client's log."""

    reason: str


def is_served(member: Member) -> bool:
    """Return whether a member's VM has enrolled, as far as is committed, and is not on its way out."""
    return member.state in _SERVED or (member.state in _ON_THE_WAY and bool(member.identity))


def mounters(inventory: Inventory) -> tuple[str, ...]:
    """Return the addresses of all workers that may mount file systems now, however they are attached."""
    found = set()
    for member in inventory.members:
        if member.kind is Kind.WORKER and is_served(member):
            try:
                found.add(str(IPv4Address(member.address)))
            except ValueError:
                continue  # it has none in our network
    return tuple(sorted(found))


def place_of(member: Member) -> Place | None:
    """Return what a member may have now; None: it has no business with a central point.

    :raises ValueError: an address or a range of it is none.
    """
    if not is_served(member) or not member.tunnel:
        return None
    return Place(str(IPv4Address(member.tunnel)), tuple(str(IPv4Network(one)) for one in member.subnets))


def places(inventory: Inventory) -> dict[str, Place]:
    """Return all who may be connected now, by launch key; one whose addresses are damaged may not."""
    found: dict[str, Place] = {}
    for member in inventory.members:
        try:
            place = place_of(member)
        except ValueError:
            continue
        if place is not None:
            found[member.key] = place
    return found


def answer(admitted: dict[str, Place] | None, name: str) -> Place | Denial:
    """Return what a client with this common name gets; *admitted* is None while nothing is known."""
    if admitted is None:
        return Denial("try again: the central point does not know its members yet")
    return admitted.get(name) or Denial("not a member")


def reach(inventory: Inventory) -> tuple[str, ...]:
    """Return the ranges that every client shall send into its tunnel; a damaged one is left out."""
    found = []
    for text in (inventory.network, *inventory.routes):
        try:
            found.append(str(IPv4Network(text)))
        except ValueError:
            continue
    return tuple(found)


def directives(place: Place, transit: IPv4Network, ranges: tuple[str, ...]) -> list[str]:
    """Return the settings of one client for OpenVPN.

    :param ranges: what it shall send into its tunnel.
    :raises ValueError: a range of these is none.
    """
    lines = [f"ifconfig-push {place.address} {transit.netmask}"]
    for subnet in map(IPv4Network, place.subnets):
        lines.append(f"iroute {subnet.network_address} {subnet.netmask}")
    for range_ in map(IPv4Network, ranges):
        lines.append(f'push "route {range_.network_address} {range_.netmask}"')
    return lines
