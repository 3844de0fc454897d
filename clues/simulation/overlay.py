"""The private network in memory: addresses that rest, and tunnels that go down."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import datetime

from clues.errors import QuotaExceeded, Transient
from clues.model import Attach, Claim, HubStatus, Kind, OverlayStatus, Settings, Tunnel
from clues.ports import Lost, Provision, Reservation, nothing_lost
from clues.simulation.clouds.vms import SimVM
from clues.simulation.timeline import Timeline


class SimOverlay:
    """A :class:`clues.ports.Overlay`: flat sites, and sites behind a router."""

    def __init__(
        self,
        settings: Settings,
        time: Timeline,
        vms: Callable[[str], Iterable[SimVM]],
        chosen: Collection[str] = (),
    ) -> None:
        """:param vms: the VMs that live at a site; :param chosen: sites whose cloud chooses its workers' addresses."""
        self._chosen = chosen
        self._time, self._vms = time, vms
        self._routed = [one.name for one in settings.sites.values() if one.attach is Attach.ROUTER]
        self._third = {name: number for number, name in enumerate(settings.sites, 1)}
        #: sites whose tunnel is cut; the central point is down; nobody can ask it
        self.cut: set[str] = set()
        self.hub_down = self.unread = False

    @property
    def routed(self) -> list[str]:
        """Sites behind a router."""
        return list(self._routed)

    def leads_to(self, site: str) -> bool:
        """Whether the VMs of a site can be reached from the front-end."""
        if site not in self._routed:
            return True
        return not self.hub_down and site not in self.cut and any(map(self._carries, self._vms(site)))

    def _carries(self, vm: SimVM) -> bool:
        up = vm.is_router and vm.alive and not vm.mute and vm.tunnel_at is not None
        return up and (vm.tunnel_at or 0.0) <= self._time.passed

    # --- the port ---

    def reserve(self, claim: Claim, claims: Iterable[Claim], now: datetime) -> Reservation:
        site = claim.offer.site
        place = self._third.get(site, 15)
        others = [one for one in claims if one.key != claim.key]
        if claim.kind is Kind.ROUTER:
            own = f"10.79.{place}.1"
            if any(one.address == own and one.live for one in others):
                raise QuotaExceeded(f"{own} is still held")
            return Reservation(own, self._first_free("10.78", 0, {one.tunnel for one in others}))
        if site in self._chosen:
            return Reservation()
        return Reservation(self._first_free("10.77", place, {one.address for one in others}))

    def _first_free(self, network: str, place: int, taken: set[str]) -> str:
        """Return the lowest free address of a site's range: one that was freed too early is given again at once."""
        for high in range(16):
            for low in range(10, 250):
                address = f"{network}.{16 * place + high}.{low}"
                if address not in taken:
                    return address
        raise QuotaExceeded(f"{network} is full")

    def routes(self, claim: Claim) -> tuple[tuple[str, str], ...]:
        return ()

    def bootstrap(self, claim: Claim) -> Provision:
        return Provision()

    def publish(self, claims: Iterable[Claim], now: datetime, lost: Lost = nothing_lost) -> None:
        """Nobody reads it here."""

    def status(self) -> OverlayStatus | None:
        if not self._routed:
            return None
        if self.unread:
            raise Transient("the broker's word cannot be read")
        now = self._time.now()
        tunnels = {}
        if not self.hub_down:
            for site in self._routed:
                for vm in self._vms(site) if site not in self.cut else ():
                    if self._carries(vm):
                        tunnels[vm.key] = Tunnel(vm.key, "main", "198.51.100.9:1194", vm.address, now)
        return OverlayStatus(now, (HubStatus("main", not self.hub_down, now),), tunnels)

    def heard(self, claim: Claim, kind: str, text: str, now: datetime) -> None:
        """Nothing is displayed here."""
