"""The flat overlay: every site lies in a network that the front-end reaches by itself, so there is no tunnel
to keep.

What is left to do is to give each worker an address that nobody else has, where the site lets us choose.  An
address rests after its VM is gone: a job, a cached ARP entry or slurmctld itself may still mean the old one.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Network

from pydantic import BaseModel, ConfigDict, Field, field_validator

from clues.errors import ConfigError, QuotaExceeded
from clues.model import Claim, Settings
from clues.ports import PluginContext

Network = IPv4Network | IPv6Network

#: addresses at the beginning of a site's range that are left for gateways and whatever else stands there
FIRST = 10
DEFAULT = "10.77.0.0/16"


class FlatConfig(BaseModel):
    """The ``overlay`` part of the configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    network: str = Field(default=DEFAULT, description="the whole private network, all sites together, as a CIDR")
    public: str | None = Field(default=None, description="name or address by which workers reach the front-end")

    @field_validator("network", mode="before")
    @classmethod
    def _is_cidr(cls, value: object) -> object:
        if value is None:
            return DEFAULT
        if isinstance(value, str) and parse_cidr(value) is None:
            raise ValueError(f"{value!r} is not a network: write one such as '10.77.0.0/16'")
        return value


def parse_cidr(text: str) -> Network | None:
    """Return the network that a CIDR names; None for anything else (the name of a network at its cloud)."""
    if "/" not in text:
        return None
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None


def choose_address(
    network: Network, claim: Claim, claims: Iterable[Claim], now: datetime, quarantine: timedelta
) -> str | None:
    """Return the lowest address of *network* that no other claim holds or held within *quarantine*, or None.

    Asked again for a claim that has an address, it answers with that one.
    """
    others = [one for one in claims if one.key != claim.key and one.address]
    taken = {one.address for one in others if _holds(one, now, quarantine)}
    if claim.address not in taken and _lies_in(claim.address, network):
        return claim.address
    # One more than there are addresses taken is enough to find a free one.
    last = network.num_addresses - (2 if network.version == 4 else 1)
    for offset in range(FIRST, min(last, FIRST + len(taken)) + 1):
        address = str(network[offset])
        if address not in taken:
            return address
    return None


def _holds(claim: Claim, now: datetime, quarantine: timedelta) -> bool:
    # A clock that jumped back makes an end lie in the future: then it is held, as it should be.
    return claim.live or now - (claim.ended_at or claim.since) < quarantine


def _lies_in(address: str, network: Network) -> bool:
    try:
        return ipaddress.ip_address(address) in network
    except ValueError:
        return False  # none yet, or a host name


def _is_part(network: Network, whole: Network) -> bool:
    if isinstance(network, IPv4Network):
        return isinstance(whole, IPv4Network) and network.subnet_of(whole)
    return isinstance(whole, IPv6Network) and network.subnet_of(whole)


class FlatOverlay:
    """Addresses for claims; a :class:`clues.ports.Overlay`."""

    def __init__(self, settings: Settings) -> None:
        self._sites = {name: parse_cidr(site.network) for name, site in settings.sites.items()}
        self._quarantine = settings.pace.quarantine

    def reserve(self, claim: Claim, claims: Iterable[Claim], now: datetime) -> str:
        """Return an address in the range of the claim's site; empty where the site has none and its cloud
        chooses."""
        network = self._sites.get(claim.offer.site)
        if network is None:
            return ""
        address = choose_address(network, claim, claims, now, self._quarantine)
        if address is None:
            raise QuotaExceeded(f"site {claim.offer.site}: no address of {network} is free")
        return address

    def status(self) -> Mapping[str, str]:
        """Return ``flat`` for every site: there is no tunnel that could be down."""
        return dict.fromkeys(self._sites, "flat")


class FlatPlugin:
    """What the entry point names."""

    Config = FlatConfig
    #: a site behind a router or with a tunnel of its own needs another overlay
    attaches = frozenset({"local"})

    def build(self, config: FlatConfig, context: PluginContext, settings: Settings) -> FlatOverlay:
        """Return the overlay.

        :raises ConfigError: a site's range lies outside the cluster's network, overlaps another's or is too
            small.
        """
        whole = ipaddress.ip_network(config.network)
        mistakes: list[str] = []
        seen: dict[str, Network] = {}
        for name, site in settings.sites.items():
            network = parse_cidr(site.network)
            if network is None:
                continue
            if not _is_part(network, whole):
                mistakes.append(f"sites.{name}.network: {network} is not a part of overlay.network, {whole}")
            if network.num_addresses < FIRST + 3:
                mistakes.append(
                    f"sites.{name}.network: {network} is too small; its first {FIRST} addresses are not used"
                )
            mistakes += [
                f"sites.{name}.network: {network} overlaps {other} of site {owner}"
                for owner, other in seen.items()
                if network.version == other.version and network.overlaps(other)
            ]
            seen[name] = network
        if mistakes:
            raise ConfigError("\n".join(mistakes))
        return FlatOverlay(settings)


PLUGIN = FlatPlugin()
