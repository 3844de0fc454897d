"""The overlay over OpenVPN, as cluesd sees it: addresses, routes, what a router is given, and the inventory.

The tunnels themselves are other processes' (the central point, its broker, the agents on the VMs). They go by the
inventory that is written here, and by nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from ipaddress import ip_network

from clues.errors import QuotaExceeded
from clues.model import Attach, Claim, Kind, OverlayStatus, Settings
from clues.places import Places
from clues.ports import Lost, Provision, Reservation, nothing_lost
from vrouter import addressing
from vrouter.options import OpenVpnConfig, has_remote
from vrouter.publishing import Publisher
from vrouter.reports import Reports
from vrouter.router import Hub, provision, shortcut_pairs
from vrouter.statuses import merged_status


class OpenVpnOverlay:
    """A :class:`clues.ports.Overlay`; only :meth:`status` is called on another thread than the rest."""

    def __init__(
        self,
        config: OpenVpnConfig,
        settings: Settings,
        places: Places,
        cluster: str,
        services: tuple[tuple[str, int, int], ...],
    ) -> None:
        """:param services: ports of the front-end that members may reach."""
        self._config, self._settings, self._places, self._services = config, settings, places, services
        self._ranges = addressing.ranges_of(settings)
        self._remote = has_remote(settings)
        front = config.front_ranges(settings) if self._remote else ()
        #: the front-end's own ranges that do not lie in the overlay's: each of them needs a route of its own
        self._outside = tuple(one for one in front if not addressing.is_part(ip_network(one), config.whole))
        self._pairs: tuple[tuple[str, str], ...] = ()
        self._reports = Reports()
        self._publisher = Publisher(
            places.inventory,
            cluster,
            settings,
            network=config.network,
            transit="" if config.tunnels is None else str(config.tunnels),
            routes=front,
            pairs=shortcut_pairs if config.shortcuts else lambda _: (),
        )

    def reserve(self, claim: Claim, claims: Iterable[Claim], now: datetime) -> Reservation:
        """Return addresses for a claim: one in its site's range, one for its end of a tunnel, or both.

        A directly attached worker is reached at the end of its tunnel.

        :raises QuotaExceeded: a range is full, or the router's one address is held by a VM that is not gone yet.
        """
        attach, network = self._attach(claim), self._ranges.get(claim.offer.site)
        every, rest = list(claims), self._settings.pace.quarantine
        tunnel = ""
        if claim.kind is Kind.ROUTER or attach is Attach.DIRECT:
            if self._config.tunnels is None:
                raise QuotaExceeded(f"site {claim.offer.site}: there is no range for the ends of tunnels")
            tunnel = addressing.choose(self._config.tunnels, claim, every, now, rest, lambda one: one.tunnel)
        if claim.kind is Kind.ROUTER:
            if network is None:
                raise QuotaExceeded(f"site {claim.offer.site}: it has no range of the overlay any more")
            return Reservation(addressing.choose_for_router(network, claim, every), tunnel)
        if attach is Attach.DIRECT:
            return Reservation(tunnel, tunnel)
        if network is None:
            return Reservation()
        return Reservation(addressing.choose(network, claim, every, now, rest, lambda one: one.address))

    def routes(self, claim: Claim) -> tuple[tuple[str, str], ...]:
        """Return the way to the other sites: through the router, or through the front-end. Who has a tunnel of its own
        learns it from the central point."""
        attach, network = self._attach(claim), self._ranges.get(claim.offer.site)
        if claim.kind is Kind.ROUTER or not self._remote or attach is Attach.DIRECT:
            return ()
        if attach is Attach.ROUTER:
            ranges = (self._config.network, *self._outside)
            return () if network is None else tuple((one, addressing.router_address(network)) for one in ranges)
        return ((self._config.network, self._config.own_address),)

    def bootstrap(self, claim: Claim) -> Provision:
        """Return a tunnel's configuration for whoever has one, nothing for others."""
        direct = claim.kind is Kind.WORKER and self._attach(claim) is Attach.DIRECT
        if claim.kind is not Kind.ROUTER and not direct:
            return Provision()
        points = self._config.central_points()
        network = self._ranges.get(claim.offer.site)
        own = (*(one.address for one in points), self._config.own_address, *self._outside)
        return provision(
            hubs=[Hub(one.name, one.public, one.port) for one in points],
            network=self._config.network,
            lan="" if direct or network is None else str(network),
            front=tuple(dict.fromkeys(own)),
            services=self._services,
        )

    def publish(self, claims: Iterable[Claim], now: datetime, lost: Lost = nothing_lost) -> None:
        """Write the inventory that follows from the claims, if it differs from what is written.

        :raises OSError: it cannot be written; the old one stands.
        """
        written = self._publisher.publish(claims, now, lost)
        self._pairs = written.shortcuts
        self._reports.keep(member.key for member in written.members)

    def status(self) -> OverlayStatus | None:
        """Return what the central points tell, and what routers told; None where all sites are local.

        :raises Transient: no central point's broker tells anything.
        """
        if not self._remote:
            return None
        names = [one.name for one in self._config.central_points()]
        shortcuts, strangers = self._reports.shortcuts(self._pairs), self._reports.strangers()
        return merged_status(self._places, names, shortcuts, strangers, datetime.now(UTC))

    def heard(self, claim: Claim, kind: str, text: str, now: datetime) -> None:
        """Take what a router tells; it is for people's eyes only."""
        if claim.kind is Kind.ROUTER:
            self._reports.heard(claim.key, claim.offer.site, kind, text, now)

    def _attach(self, claim: Claim) -> Attach | None:
        """How a claim's site is attached; None for a site that the configuration has no longer."""
        site = self._settings.sites.get(claim.offer.site)
        return None if site is None else site.attach
