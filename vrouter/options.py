"""The ``overlay:`` part of the configuration for OpenVPN, and what follows from it: the plan of ranges."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Network

from pydantic import BaseModel, ConfigDict, Field, field_validator

from clues.config.fields import Duration
from clues.model import Attach, Settings
from vrouter import addressing
from vrouter.addressing import FIRST, Mistake, Network

DEFAULT = "10.77.0.0/16"
PORT = 1194
#: what the first central point is called
FIRST_HUB = "hub"
#: between two negotiations of a tunnel's keys. VMs begin one themselves after an hour, so that more would not hold.
MOST_SELDOM, MOST_OFTEN = timedelta(hours=1), timedelta(seconds=5)

_SERVICE = re.compile(r"(tcp|udp)/([0-9]{1,5})(?:-([0-9]{1,5}))?")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")
_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")


@dataclass(frozen=True, slots=True)
class CentralPoint:
    """One central point: its name, where it is reached from the internet, and its address in the overlay."""

    name: str
    public: str
    port: int
    address: str


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HubConfig(_Part):
    """A further central point, on another machine or another line of the front-end."""

    name: str = Field(description="A name of its own.")
    public: str = Field(description="The name or address under which routers reach it.")
    port: int = Field(PORT, ge=1, le=65535, description="Its UDP port.")

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        if not _NAME.fullmatch(value) or value == FIRST_HUB:
            raise ValueError(f"{value!r} is no name for it: small letters, digits and -, and not {FIRST_HUB!r}")
        return value

    @field_validator("public")
    @classmethod
    def _is_a_host(cls, value: str) -> str:
        if not _HOST.fullmatch(value):
            raise ValueError(f"{value!r} is not the name or address of a host")
        return value


class OpenVpnConfig(_Part):
    """The keys of ``overlay:`` for OpenVPN."""

    network: str = Field(DEFAULT, description="The range that belongs to this cluster alone, in all its sites.")
    public: str | None = Field(None, description="The name or address under which other sites reach the front-end.")
    port: int = Field(PORT, ge=1, le=65535, description="UDP port of the central point: open it, or forward it.")
    hubs: tuple[HubConfig, ...] = Field(
        (),
        max_length=FIRST - 2,
        description="Further central points, should the first be lost: each a `name`, a `public` and a `port` (1194).",
    )
    transit: str | None = Field(
        None, description="The part of `network` for the ends of tunnels. Without it the last 64th: 10.77.252.0/22."
    )
    address: str | None = Field(
        None,
        description="The front-end's own address in the network that it shares with workers of `attach: local` sites, "
        "which they send through to the other sites. Without it the first address of `network`.",
    )
    front: tuple[str, ...] | None = Field(
        None,
        description="The front-end's own ranges, which workers of other sites may reach; outside `network` only at the "
        "ports of Slurm, enrolment, shares and `services`. Without it the ranges of sites with `attach: local`.",
    )
    services: tuple[str, ...] = Field(
        (), description="Ports of the front-end that workers may reach besides those of Slurm, enrolment and shares: "
        "`tcp/3128`, `udp/5000-5010`."
    )  # fmt: skip
    shortcuts: bool = Field(
        True, description="Routers that can reach each other get tunnels that bypass the central point."
    )
    renegotiate: Duration = Field(
        MOST_SELDOM,
        description="How old a tunnel's keys may become before new ones are agreed upon: `5s` to `1h`. A certificate "
        "that was revoked meanwhile is refused then at the latest.",
    )

    @field_validator("network", mode="before")
    @classmethod
    def _is_cidr(cls, value: object) -> object:
        return DEFAULT if value is None else _checked_range(value)

    @field_validator("transit", mode="before")
    @classmethod
    def _is_cidr_too(cls, value: object) -> object:
        return None if value is None else _checked_range(value)

    @field_validator("front", mode="before")
    @classmethod
    def _are_cidr(cls, value: object) -> object:
        given = [value] if isinstance(value, str) else value
        return tuple(_checked_range(one) for one in given) if isinstance(given, list | tuple) else given

    @field_validator("address")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                ipaddress.IPv4Address(value)
            except ValueError:
                raise ValueError(f"{value!r} is not an IPv4 address") from None
        return value

    @field_validator("services")
    @classmethod
    def _are_services(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            parse_service(one)
        return value

    @field_validator("renegotiate")
    @classmethod
    def _is_neither_often_nor_seldom(cls, value: timedelta) -> timedelta:
        if not MOST_OFTEN <= value <= MOST_SELDOM:
            raise ValueError("write a duration from 5s to 1h")
        return value

    @property
    def whole(self) -> IPv4Network:
        """The cluster's range."""
        return IPv4Network(self.network)

    @property
    def tunnels(self) -> IPv4Network | None:
        """The range for the ends of tunnels; None where there is no room for one and none is given."""
        return addressing.default_transit(self.whole) if self.transit is None else IPv4Network(self.transit)

    @property
    def own_address(self) -> str:
        """The front-end's address in the network of local sites."""
        return self.address or str(self.whole[1])

    def central_points(self) -> tuple[CentralPoint, ...]:
        """Return all central points, the first one first; none where nobody could reach one."""
        if self.public is None or self.tunnels is None:
            return ()
        first = CentralPoint(FIRST_HUB, self.public, self.port, str(self.tunnels[1]))
        more = (
            CentralPoint(one.name, one.public, one.port, str(self.tunnels[at]))
            for at, one in enumerate(self.hubs, start=2)
        )
        return (first, *more)

    def front_ranges(self, settings: Settings) -> tuple[str, ...]:
        """Return the front-end's own ranges that members of other sites may reach."""
        if self.front is not None:
            return self.front
        local = [
            str(network)
            for name, network in addressing.ranges_of(settings).items()
            if settings.sites[name].attach is Attach.LOCAL
        ]
        return (*local, f"{self.own_address}/32") if local else ()


def parse_service(text: str) -> tuple[str, int, int]:
    """Read ``tcp/3128`` or ``udp/5000-5010``.

    :raises ValueError: anything else.
    """
    match = _SERVICE.fullmatch(text)
    first, last = (int(match[2]), int(match[3] or match[2])) if match else (0, 0)
    if match is None or not 1 <= first <= last <= 65535:
        raise ValueError(f"{text!r} is no port: write tcp/3128 or udp/5000-5010")
    return match[1], first, last


def has_remote(settings: Settings) -> bool:
    """Return whether any site needs a central point."""
    return any(site.attach is not Attach.LOCAL for site in settings.sites.values())


def mistakes(config: OpenVpnConfig, settings: Settings) -> Iterator[Mistake]:
    """Yield what is wrong between the overlay's keys and the sites, with the place in the file."""
    yield from addressing.own_clashes(settings, config.whole)
    names = [one.name for one in config.hubs]
    for at, name in enumerate(names):
        if name in names[:at]:
            yield ("overlay", "hubs", at, "name"), f"there are two central points {name}"
    if not has_remote(settings):
        return
    if config.tunnels is None:
        yield ("overlay", "network"), f"{config.whole} is too small: take a /22 or larger, or write overlay.transit"
    else:
        yield from addressing.transit_clashes(settings, config.whole, config.tunnels)
        reached = [one.public for one in config.central_points()]
        given = tuple(ipaddress.ip_network(one) for one in config.front or ())
        own = config.own_address if config.front_ranges(settings) else ""
        yield from addressing.front_clashes(config.whole, settings, config.tunnels, given, own, reached)
    yield from addressing.tenant_clashes(settings, config.whole, front_networks(config, settings))
    ranges = addressing.ranges_of(settings)
    for name, site in settings.sites.items():
        if site.attach is Attach.ROUTER and name not in ranges:
            yield ("sites", name, "network"), "a site behind a router needs a range of the overlay: 10.77.2.0/24"
        if site.attach is Attach.LOCAL and name not in ranges and (config.front is None or config.address is None):
            text = (
                f"site {name} is in the front-end's network, whose range clues does not know: write overlay.front "
                "(that range) and overlay.address (the front-end's address in it), so that other sites find each other"
            )
            yield ("sites", name, "attach"), text


def front_networks(config: OpenVpnConfig, settings: Settings) -> tuple[Network, ...]:
    """Return :meth:`OpenVpnConfig.front_ranges` as networks."""
    return tuple(ipaddress.ip_network(one) for one in config.front_ranges(settings))


def _checked_range(value: object) -> object:
    if not isinstance(value, str):
        return value
    network = addressing.parse_cidr(value)
    if network is None:
        raise ValueError(f"{value!r} is not a network: write one such as '10.77.0.0/16'")
    if network.version == 6:
        raise ValueError(f"{value!r} is IPv6, and this overlay carries IPv4 only: write a network such as 10.77.0.0/16")
    return str(network)
