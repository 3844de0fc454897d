"""The broker's part of the kernel: the nftables table of its central point, and the routes into its tunnels.

Both are compared with what is there already, so that asking for them again costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from clues.errors import Transient
from clues.inventory import Inventory
from vrouter import firewall
from vrouter.broker import commands
from vrouter.broker.answer import Place, mounters
from vrouter.hub.settings import HubSettings

#: seconds for which packets from an evicted client's last address and port are dropped
BAN = 60.0
#: seconds after which is looked whether the table is still there: somebody may have flushed all rules of the machine
CHECK = 2.0


class Walls:
    """What may pass between the tunnels and this machine."""

    def __init__(self, settings: HubSettings) -> None:
        self._settings = settings
        self._inventory: Inventory | None = None
        self._applied: tuple[tuple[str, int], ...] | None = None
        self._banned: dict[tuple[str, int], float] = {}
        self._look_at = float("-inf")
        #: the table has been there since this process began, so nobody is let in without it
        self.up = False
        #: why the table is not as it should be; empty when it is
        self.trouble = ""

    def ban(self, ends: Iterable[tuple[str, int]], now: float) -> None:
        """Drop what comes from these addresses and ports from the next :meth:`keep` on."""
        self._banned.update(dict.fromkeys(ends, now + BAN))

    def lift(self, end: tuple[str, int]) -> None:
        """Hear this address and port again: somebody who is admitted has it now."""
        self._banned.pop(end, None)

    def keep(self, inventory: Inventory, admitted: Mapping[str, Place], now: float) -> None:
        """Make the table what follows from the inventory, and see to it that it stays."""
        self._banned = {end: until for end, until in self._banned.items() if until > now}
        banned = tuple(sorted(self._banned))
        changed = inventory is not self._inventory or banned != self._applied
        if not changed and now < self._look_at:
            return
        self._look_at = now + CHECK
        try:
            if changed or self.trouble or not commands.has_table(self._settings.table):
                commands.load(firewall.render(self._rules(inventory, admitted, banned)))
                self._applied, self.up = banned, True
            self.trouble = ""
        except (Transient, ValueError) as error:
            self.trouble = f"the firewall of the tunnels cannot be set: {error}"
        self._inventory = inventory

    def _rules(
        self, inventory: Inventory, admitted: Mapping[str, Place], banned: tuple[tuple[str, int], ...]
    ) -> firewall.HubRules:
        settings = self._settings
        return firewall.HubRules(
            table=settings.table,
            interfaces=settings.interfaces,
            port=settings.port,
            address=settings.address,
            members=tuple(sorted(one for place in admitted.values() for one in (place.address, *place.subnets))),
            front=tuple(sorted(inventory.routes)),
            services=settings.services,
            mounters=mounters(inventory) if settings.exports else None,
            network=str(settings.network),
            banned=banned,
        )


def forwards(switch: Path = Path("/proc/sys/net/ipv4/ip_forward")) -> bool:
    """Return whether this machine passes packets on at all; where that cannot be told, it is taken to."""
    try:
        return switch.read_text().strip() != "0"
    except OSError:
        return True


class Routes:
    """The kernel's routes into the tunnels. They follow who is connected, so that with two central points each range
    is sent to the one where its router is now."""

    def __init__(self, interface: str) -> None:
        self._interface = interface
        self._set: set[str] | None = None
        self.trouble = ""

    def forget(self) -> None:
        """Read them again before the next change: the interface may have been made anew."""
        self._set = None

    def follow(self, places: Iterable[Place]) -> None:
        """Have a route for each of those who are connected, and no other."""
        wanted = {one for place in places for one in (f"{place.address}/32", *place.subnets)}
        try:
            if self._set is None:
                self._set = commands.routes(self._interface)
            if wanted != self._set:
                commands.change_routes(self._interface, wanted - self._set, self._set - wanted)
                self._set = wanted
            self.trouble = ""
        except Transient as error:
            self._set = None
            self.trouble = f"the routes into the tunnels cannot be set: {error}"
