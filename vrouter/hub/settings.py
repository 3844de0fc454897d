"""What a central point and its broker are told: names, ranges, ports and paths, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

from clues.places import Places


@dataclass(frozen=True, slots=True)
class HubSettings:
    """One central point of one cluster."""

    #: UUID of the cluster
    cluster: str
    places: Places
    #: as the configuration calls it
    name: str
    #: UDP port that it listens on
    port: int
    #: the cluster's range, and the part of it for the ends of tunnels
    network: IPv4Network
    transit: IPv4Network
    #: ports of the front-end that members may reach, as (protocol, first, last)
    services: tuple[tuple[str, int, int], ...] = ()
    #: the front-end exports file systems to workers
    exports: bool = False
    #: 0 for the first central point, 1 for the second
    number: int = 0
    #: seconds after which a tunnel's keys are negotiated again
    renegotiate: int = 3600

    @property
    def address(self) -> str:
        """Its own address in the overlay: the range for tunnel ends begins with those of central points."""
        return str(self.transit[1 + self.number])

    @property
    def interface(self) -> str:
        """Name of its network interface; no other cluster on this machine has it."""
        return f"ovpn-{self.cluster[:8]}{self.number or ''}"

    @property
    def interfaces(self) -> str:
        """Pattern (nftables) of the interfaces of all central points of this cluster."""
        return f"ovpn-{self.cluster[:8]}*"

    @property
    def table(self) -> str:
        """Name of its nftables table."""
        return f"clues_{self.cluster[:8]}{f'_{self.number}' if self.number else ''}"

    @property
    def folder(self) -> Path:
        """Where its key, certificate and OpenVPN's configuration lie."""
        return self.places.hub / f"run{self.number or ''}"

    @property
    def certificate(self) -> Path:
        """Its certificate: public."""
        return self.folder / "cert.pem"

    @property
    def management(self) -> Path:
        """Socket of OpenVPN's management interface."""
        path = self.places.management_socket
        return path.with_name(f"{path.stem}{self.number}.sock") if self.number else path

    @property
    def status(self) -> Path:
        """What its broker tells."""
        return status_path(self.places, self.number)


def status_path(places: Places, number: int) -> Path:
    """Return where the broker of a central point tells of its tunnels."""
    path = places.hub_status
    return path.with_name(f"{path.stem}{number}{path.suffix}") if number else path
