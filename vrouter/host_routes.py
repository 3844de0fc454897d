"""The front-end's own routes, as the kernel lists them."""

from __future__ import annotations

import ipaddress
import struct
from pathlib import Path

from vrouter.addressing import HostRoute

_TABLE = Path("/proc/self/net/route")
#: interfaces that lead nowhere else: loopback, and `*` for routes that refuse
_NOWHERE = frozenset({"lo", "*"})


def read_routes(without: str, table: Path = _TABLE) -> tuple[HostRoute, ...]:
    """Return the IPv4 routes of the main table. Where it cannot be read there are none to compare with.

    :param without: what the names of the interfaces begin with that are left out; empty: none.
    """
    try:
        text = table.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ()
    return tuple(one for one in parse_routes(text) if not (without and one.device.startswith(without)))


def parse_routes(text: str) -> tuple[HostRoute, ...]:
    """Return what ``/proc/net/route`` says; a line of another form is left out."""
    found: dict[HostRoute, None] = {}
    for line in text.splitlines()[1:]:
        words = line.split()
        if len(words) < 8 or words[0] in _NOWHERE:
            continue
        try:
            address, mask = _address(words[1]), _address(words[7])
            found[HostRoute(ipaddress.ip_network(f"{address}/{mask}"), words[0])] = None
        except (ValueError, struct.error):
            continue
    return tuple(found)


def _address(word: str) -> ipaddress.IPv4Address:
    """Read an address as the kernel prints it: in hexadecimal, in the byte order of the machine."""
    return ipaddress.IPv4Address(struct.pack("=I", int(word, 16)))
