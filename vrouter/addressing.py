"""Addresses, as pure functions: which range is whose, which address a claim gets, and which ranges clash.

One range belongs to the cluster (``overlay.network``). In it lie the ranges of the sites, and the *transit* range for
the ends of tunnels. A router has one fixed address in its site's range, since its workers' routes name it; everybody
else gets the lowest address that nobody holds. An address rests after its VM is gone: a job, a cached ARP entry or
slurmctld itself may still mean the old one.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Network

from clues.errors import QuotaExceeded
from clues.model import Attach, Claim, Kind, Settings

Network = IPv4Network | IPv6Network

#: addresses at the beginning of a range that are left for gateways, the router and whatever else stands there
FIRST = 10
#: which of them the router of a site has
ROUTER = 9
#: the transit range is this part of the whole: the last 64th
_TRANSIT_BITS = 6

#: A place in the configuration file, and what is wrong there.
Mistake = tuple[tuple[str | int, ...], str]


@dataclass(frozen=True, slots=True)
class HostRoute:
    """A range that the front-end reaches by itself, and through which interface."""

    network: Network
    device: str

    def __str__(self) -> str:
        return f"{self.network} (through {self.device})"


def parse_cidr(text: str) -> Network | None:
    """Return the network that a CIDR names; None for anything else (the name of a network at its cloud)."""
    if "/" not in text:
        return None
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None


def default_transit(whole: IPv4Network) -> IPv4Network | None:
    """Return the last 64th of the cluster's range; None where that is too small for the ends of tunnels."""
    if whole.prefixlen + _TRANSIT_BITS > 28:
        return None
    return IPv4Network((int(whole.broadcast_address) + 1 - (whole.num_addresses >> _TRANSIT_BITS), whole.prefixlen + 6))


def ranges_of(settings: Settings) -> dict[str, Network]:
    """Return the ranges of the sites that have one, by name."""
    found = {name: parse_cidr(site.network) for name, site in settings.sites.items()}
    return {name: network for name, network in found.items() if network is not None}


def router_address(network: Network) -> str:
    """Return the one address that a site's router has in the site's range."""
    return str(network[ROUTER])


def lowest_free(network: Network, taken: Collection[str]) -> str | None:
    """Return the lowest address of *network* that is not in *taken*, or None."""
    # One more than there are addresses taken is enough to find a free one.
    last = network.num_addresses - (2 if network.version == 4 else 1)
    for offset in range(FIRST, min(last, FIRST + len(taken)) + 1):
        address = str(network[offset])
        if address not in taken:
            return address
    return None


def choose(
    network: Network,
    claim: Claim,
    claims: Iterable[Claim],
    now: datetime,
    quarantine: timedelta,
    end: Callable[[Claim], str],
) -> str:
    """Return an address of *network* that no other claim holds or held within *quarantine*.

    Asked again for a claim that has an address, it answers with that one.

    :param end: which of a claim's addresses is meant.
    :raises QuotaExceeded: none is free.
    """
    others = [one for one in claims if one.key != claim.key and end(one)]
    taken = {end(one) for one in others if holds(one, now, quarantine)}
    has = end(claim)
    if has and has not in taken and _lies_in(has, network):
        return has
    address = lowest_free(network, taken)
    if address is None:
        raise QuotaExceeded(f"site {claim.offer.site}: no address of {network} is free")
    return address


def choose_for_router(network: Network, claim: Claim, claims: Iterable[Claim]) -> str:
    """Return the address of a site's router, once the former router has left it.

    It does not rest: the workers' routes name this one address, and each minute of rest is one without a network.

    :raises QuotaExceeded: another claim that may have a VM still holds it.
    """
    address = router_address(network)
    for other in claims:
        if other.key != claim.key and other.live and other.address == address:
            raise QuotaExceeded(
                f"site {claim.offer.site}: the router's address {address} is held by {other.node} ({other.key}), "
                f"which is {other.state}: it is free when that VM is gone"
            )
    return address


def holds(claim: Claim, now: datetime, quarantine: timedelta) -> bool:
    """Return whether a claim keeps its addresses from others."""
    # A clock that was set back makes an end lie in the future: then it is held for as long as it is asked about.
    return claim.live or now - (claim.ended_at or claim.since) < quarantine


def own_clashes(settings: Settings, whole: Network) -> Iterator[Mistake]:
    """Yield what is wrong among the ranges of the sites: outside the whole, too small, or in each other."""
    seen: dict[str, Network] = {}
    for name, network in ranges_of(settings).items():
        place = ("sites", name, "network")
        if not is_part(network, whole):
            yield place, f"{network} is not a part of overlay.network, {whole}"
        if network.num_addresses < FIRST + 3:
            yield place, f"{network} is too small; its first {FIRST} addresses are not used"
        for owner, other in seen.items():
            if overlap(network, other):
                yield place, f"{network} overlaps {other} of site {owner}"
        seen[name] = network


def transit_clashes(settings: Settings, whole: IPv4Network, transit: IPv4Network) -> Iterator[Mistake]:
    """Yield what is wrong with the range for the ends of tunnels."""
    place = ("overlay", "transit")
    if not is_part(transit, whole):
        yield place, f"{transit} is not a part of overlay.network, {whole}"
    if transit.num_addresses < FIRST + 3:
        yield place, f"{transit} is too small: its first {FIRST} addresses are kept for central points"
    for name, network in ranges_of(settings).items():
        if overlap(network, transit):
            text = f"{network} overlaps the range for the ends of tunnels, overlay.transit, {transit}"
            yield ("sites", name, "network"), text


def tenant_clashes(settings: Settings, whole: Network, front: Iterable[Network]) -> Iterator[Mistake]:
    """Yield each network of a site's tenant that the cluster's ranges would hide from the site's workers."""
    ranges = [("overlay.network", whole), *(("overlay.front", one) for one in front if not is_part(one, whole))]
    for name, site in settings.sites.items():
        for tenant in (ipaddress.ip_network(text) for text in site.tenant_networks):
            for what, network in ranges:
                if overlap(tenant, network):
                    text = f"{tenant} of site {name} overlaps {what}, {network}: choose another range for one of them"
                    yield ("sites", name, "tenant_networks"), text


def front_clashes(
    whole: Network,
    settings: Settings,
    transit: Network,
    front: Collection[Network],
    address: str,
    reached: Iterable[str],
) -> Iterator[Mistake]:
    """Yield what is wrong with the front-end's own ranges and addresses.

    :param front: the ranges that members of other sites may reach.
    :param address: the front-end's own, in the network of local sites; empty: there are none.
    :param reached: where VMs of other sites reach the front-end from the internet: a route into the tunnel for it would
        lead the tunnel into itself.
    """
    ranges = ranges_of(settings).items()
    remote = {f"site {name}": one for name, one in ranges if settings.sites[name].attach is not Attach.LOCAL}
    away = {**remote, "overlay.transit": transit}
    for network in front:
        if network.prefixlen < 8:
            yield ("overlay", "front"), f"{network} is most of the internet: write the front-end's own ranges"
        for what, other in away.items():
            if overlap(network, other):
                yield ("overlay", "front"), f"{network} overlaps {other} of {what}: it is not the front-end's own"
    for what, other in away.items():
        if _lies_in(address, other):
            yield ("overlay", "address"), f"{address} lies in {other} of {what}: it is not the front-end's own"
    for public in reached:
        for network in (whole, *front):
            if _lies_in(public, network):
                text = f"{public} lies in {network}, which VMs of other sites reach through the tunnel only"
                yield ("overlay", "public"), text
                break


def host_clashes(
    settings: Settings, whole: Network, transit: Network, routes: Iterable[HostRoute], front: Collection[Network]
) -> Iterator[Mistake]:
    """Yield each route of the front-end itself that leads a range of the overlay elsewhere.

    :param front: the front-end's own ranges, which may lie in the whole.
    """
    ranges = ranges_of(settings)
    remote = {f"site {name}": one for name, one in ranges.items() if settings.sites[name].attach is not Attach.LOCAL}
    local = [one for name, one in ranges.items() if settings.sites[name].attach is Attach.LOCAL]
    for route in routes:
        if route.network.prefixlen == 0 or not overlap(route.network, whole):
            continue
        for what, network in {**remote, "overlay.transit": transit}.items():
            if overlap(route.network, network):
                yield ("overlay", "network"), f"{network} of {what} overlaps the front-end's own route {route}"
                break
        else:
            if not any(overlap(route.network, one) for one in (*local, *front)):
                yield ("overlay", "network"), f"{whole} overlaps the front-end's own route {route}"


def subnets(claim: Claim, ranges: Mapping[str, Network]) -> tuple[str, ...]:
    """Return the ranges that lie behind a claim's tunnel."""
    network = ranges.get(claim.offer.site)
    return (str(network),) if claim.kind is Kind.ROUTER and network is not None else ()


def is_part(network: Network, whole: Network) -> bool:
    """Return whether *network* lies in *whole*."""
    if isinstance(network, IPv4Network):
        return isinstance(whole, IPv4Network) and network.subnet_of(whole)
    return isinstance(whole, IPv6Network) and network.subnet_of(whole)


def overlap(one: Network, other: Network) -> bool:
    """Return whether any address is in both."""
    return one.version == other.version and one.overlaps(other)


def _lies_in(address: str, network: Network) -> bool:
    try:
        return ipaddress.ip_address(address) in network
    except ValueError:
        return False  # a host name
