"""The way from the toy front-end to the site behind a router: there while a router and the central point work."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from clues.errors import Transient
from clues.model import HubStatus, OverlayStatus, Tunnel
from tests.unit.planner.toy_cloud import ToyCloud
from tests.unit.planner.toy_daemon import ToyOverlay, ToyTime


class Landscape(Protocol):
    """What there is besides the tunnels."""

    time: ToyTime
    clouds: Mapping[str, ToyCloud]


class ToyTunnels(ToyOverlay):
    """An overlay with at most one site behind a router."""

    def __init__(self, world: Landscape, site: str) -> None:
        """:param site: which one; empty: none."""
        super().__init__(self._told)
        self.site, self._world = site, world
        self.down = self.hub_down = self.unread = False

    def leads_to(self, site: str) -> bool:
        """Whether the VMs of a site can be reached."""
        return site != self.site or not site or bool(self._tunnels(self._world.time.now()))

    def _tunnels(self, now: datetime) -> dict[str, Tunnel]:
        if self.hub_down or self.down:
            return {}
        return {
            vm.request.launch_key: Tunnel(vm.request.launch_key, "main", "198.51.100.9:1194", "10.77.252.10", now)
            for vm in self._world.clouds[self.site].vms.values()
            if vm.is_router and vm.alive and not vm.mute and vm.tunnel_at is not None and vm.tunnel_at <= now
        }

    def _told(self) -> OverlayStatus | None:
        if not self.site:
            return None
        if self.unread:
            raise Transient("the broker's word cannot be read")
        now = self._world.time.now()
        return OverlayStatus(now, (HubStatus("main", not self.hub_down, now),), self._tunnels(now))
