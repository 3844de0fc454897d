"""What the overlay's central points tell of their tunnels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Tunnel:
    """One client of a central point: a router, or a worker that is attached directly."""

    #: launch key of the claim, which is the common name of its certificate
    claim: str
    #: name of the central point that it is connected to
    hub: str
    #: where its packets come from, ``address:port``
    real: str
    #: its own end's address in the overlay
    address: str
    since: datetime
    #: bytes since then, as the central point counts them
    received: int = 0
    sent: int = 0


@dataclass(frozen=True, slots=True)
class ShortcutStatus:
    """A tunnel between two routers that bypasses the central point; told by the routers, believed for display only."""

    claims: tuple[str, str]
    up: bool
    since: datetime
    received: int = 0
    sent: int = 0


@dataclass(frozen=True, slots=True)
class HubStatus:
    """One central point."""

    name: str
    up: bool
    taken_at: datetime
    #: revision of the inventory that it goes by
    revision: int = 0
    crl_ends: datetime | None = None
    certificate_ends: datetime | None = None
    #: what a sysadmin has to see to, in words
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class OverlayStatus:
    """All central points at one moment. ``tunnels`` by launch key: one that is not in here is down, provided that a
    central point is up."""

    taken_at: datetime
    hubs: tuple[HubStatus, ...] = ()
    tunnels: Mapping[str, Tunnel] = field(default_factory=dict)
    shortcuts: tuple[ShortcutStatus, ...] = ()
    #: hosts seen in a cluster's own network that are no VM of ours: ``site: address (hardware address)``
    strangers: tuple[str, ...] = ()

    @property
    def known(self) -> bool:
        """Whether anything may be concluded from a tunnel that is missing."""
        return any(hub.up for hub in self.hubs)
