"""What went through the tunnels, added up from what is told of them now and then: their counters end with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Meter:
    """Adds up a counter that may begin again."""

    total: int = 0
    _last: int = 0

    def read(self, value: int) -> None:
        """Take the counter's present value."""
        self.total += value - self._last if value >= self._last else value
        self._last = value


@dataclass
class Traffic:
    """Tunnels that were up at once at most, and bytes through them, both ways."""

    tunnels: int = 0
    shortcuts: int = 0
    _hub: dict[str, Meter] = field(default_factory=dict)
    _shortcut: dict[str, Meter] = field(default_factory=dict)

    def look(self, vrouter: Mapping[str, Any]) -> None:
        """Take what `clues vrouter status` tells; nothing of a cluster without tunnels."""
        up = [one for one in vrouter.get("tunnels", ()) if one["hub"]]
        self.tunnels = max(self.tunnels, len(up))
        for one in up:
            self._hub.setdefault(one["claim"], Meter()).read(one["received"] + one["sent"])
        direct = [one for one in vrouter.get("shortcuts", ()) if one["state"] == "up"]
        self.shortcuts = max(self.shortcuts, len(direct))
        for one in direct:
            self._shortcut.setdefault("/".join(one["claims"]), Meter()).read(one["received"] + one["sent"])

    @property
    def hub_bytes(self) -> int:
        """Bytes between routers and the central point."""
        return sum(meter.total for meter in self._hub.values())

    @property
    def shortcut_bytes(self) -> int:
        """Bytes between routers, past the central point."""
        return sum(meter.total for meter in self._shortcut.values())


def in_bytes(count: int) -> str:
    """Return a number of bytes as people read it."""
    amount, units = float(count), ["B", "kB", "MB", "GB"]
    while amount >= 1000 and len(units) > 1:
        amount /= 1000
        units.pop(0)
    return f"{amount:.0f} {units[0]}" if units[0] == "B" else f"{amount:.1f} {units[0]}"
