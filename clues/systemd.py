"""A few lines of systemd's notification protocol (sd_notify(3)): a datagram to the socket that it names."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence

#: So much of a trouble is told in the one line that there is.
_MOST = 200


def notify(state: str) -> bool:
    """Send *state* (``READY=1``, ``WATCHDOG=1``, ``STATUS=…``); return False when nobody asked for it."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        try:
            channel.connect(address)
            channel.sendall(state.encode())
        except OSError:
            return False
    return True


def summary(text: str, troubles: Sequence[str]) -> str:
    """Return what `systemctl status` shows: one line, with the first of the *troubles*, and how many more there are."""
    if not troubles:
        return text
    first = " ".join(troubles[0].split())
    told = first if len(first) <= _MOST else f"{first[:_MOST]}…"
    more = f" (and {len(troubles) - 1} more: clues status)" if len(troubles) > 1 else ""
    return f"{text}; trouble: {told}{more}"
