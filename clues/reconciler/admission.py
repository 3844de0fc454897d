"""Whether a ticket is still good, and whether it comes from where its VM must be. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address

from clues.model import Attach, Claim, Kind, Settings

#: An address of these tells nothing of where its packets come out in the internet.
_PRIVATE = tuple(
    ipaddress.ip_network(one)
    for one in (
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",
        "169.254.0.0/16",
        "fc00::/7",
        "fe80::/10",
    )
)


def ticket_ends(claim: Claim, settings: Settings) -> datetime:
    """Return until when the claim's ticket is good: its time runs from the moment the provider first lists the VM as
    running, and until then the VM has the time of its boot."""
    if claim.listed_at is not None:
        return claim.listed_at + settings.pace.ticket
    if claim.launched_at is None:
        return claim.created_at  # nothing was sent yet: nobody can have the ticket
    if claim.kind is Kind.ROUTER:
        site = settings.sites.get(claim.offer.site)
        boot = site.router.boot_deadline if site is not None and site.router is not None else settings.pace.ticket
    else:
        pool = settings.pools.get(claim.pool)
        boot = pool.boot_deadline if pool is not None else settings.pace.ticket
    return claim.launched_at + boot


def is_known(claim: Claim) -> bool:
    """Return whether it is known which VM a claim has, as far as a caller has to be held against it.

    VMs that were asked for in one call can read each other's tickets, so nobody is let in as one of them before its
    instance is known, and where that is.
    """
    return not claim.batch or bool(claim.instance_id and _parse(claim.address))


def refused_address(claim: Claim, address: str, settings: Settings, claims: Iterable[Claim]) -> str:
    """Return why a caller at *address* cannot be the claim's VM; empty when it may be.

    A worker in the front-end's network or behind a router calls from the claim's own address. A router or a worker that
    is attached directly calls from the internet: from an address that its provider lists for it, or from one of the
    site's ``egress`` ranges. Where neither is known (private addresses behind the provider's NAT, and no ``egress`` in
    the configuration) its address is not checked. Nobody calls from an address of another claim.
    """
    caller = _parse(address)
    if caller is None:
        return f"the ticket came from {address}, which is no address"
    for one in claims:
        if one.key != claim.key and caller in {_parse(one.address), _parse(one.tunnel)}:
            return f"the ticket came from {address}, the address of {one.node}"
    site = settings.sites.get(claim.offer.site)
    if claim.kind is Kind.WORKER and (site is None or site.attach is not Attach.DIRECT):
        own = _parse(claim.address)
        return "" if own in (None, caller) else f"the ticket belongs to address {own}, not to {address}"
    listed = {parsed for one in claim.listed_addresses if (parsed := _parse(one)) is not None}
    egress = tuple(ipaddress.ip_network(one) for one in site.egress) if site is not None else ()
    if caller in listed or any(caller in network for network in egress):
        return ""
    if egress or any(not _is_private(one) for one in listed):
        return f"the ticket came from {address}, where no VM of site {claim.offer.site} can be"
    return ""


@lru_cache(maxsize=4096)  # each caller is held against all claims
def _parse(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None  # none yet, or a host name


def _is_private(address: IPv4Address | IPv6Address) -> bool:
    return any(address in network for network in _PRIVATE)
