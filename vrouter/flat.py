"""The flat overlay: every site lies in a network that the front-end reaches by itself, so there is no tunnel
to keep.

What is left to do is to give each worker an address that nobody else has, where the site lets us choose, and to write
down who belongs to the cluster.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field, field_validator

from clues.errors import ConfigError
from clues.model import Claim, OverlayStatus, Settings
from clues.ports import Lost, PluginContext, Provision, Reservation, nothing_lost
from vrouter import addressing
from vrouter.publishing import Publisher

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
        if isinstance(value, str) and addressing.parse_cidr(value) is None:
            raise ValueError(f"{value!r} is not a network: write one such as '10.77.0.0/16'")
        return value


class FlatOverlay:
    """Addresses for claims; a :class:`clues.ports.Overlay`."""

    def __init__(self, settings: Settings, publisher: Publisher) -> None:
        self._ranges = addressing.ranges_of(settings)
        self._quarantine, self._publisher = settings.pace.quarantine, publisher

    def reserve(self, claim: Claim, claims: Iterable[Claim], now: datetime) -> Reservation:
        """Return an address in the range of the claim's site; empty where the site has none and its cloud
        chooses."""
        network = self._ranges.get(claim.offer.site)
        if network is None:
            return Reservation()
        return Reservation(addressing.choose(network, claim, claims, now, self._quarantine, lambda one: one.address))

    def routes(self, claim: Claim) -> tuple[tuple[str, str], ...]:
        """Return none: everybody is in one network."""
        return ()

    def bootstrap(self, claim: Claim) -> Provision:
        """Return nothing: a worker has no part in the overlay but its address."""
        return Provision()

    def publish(self, claims: Iterable[Claim], now: datetime, lost: Lost = nothing_lost) -> None:
        """Write down who belongs to the cluster, if that has changed.

        :raises OSError: it cannot be written; the old one stands.
        """
        self._publisher.publish(claims, now, lost)

    def status(self) -> OverlayStatus | None:
        """Return None: there is no tunnel that could be down."""
        return None

    def heard(self, claim: Claim, kind: str, text: str, now: datetime) -> None:
        """Do nothing: there are no routers."""


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
        wrong = list(addressing.own_clashes(settings, whole))
        if wrong:
            raise ConfigError("\n".join(f"{'.'.join(map(str, place))}: {text}" for place, text in wrong))
        inventory = context.state / "inventory.json" if context.places is None else context.places.inventory
        return FlatOverlay(settings, Publisher(inventory, context.cluster, settings, network=config.network))


PLUGIN = FlatPlugin()
