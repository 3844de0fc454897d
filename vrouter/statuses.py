"""What all central points tell, put together to one status.

A broker that tells nothing (any more) is no proof that a tunnel is down: its last word on its tunnels stands, until
another central point has the same client.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from clues.errors import Transient
from clues.model import HubStatus, OverlayStatus, ShortcutStatus, Tunnel
from clues.places import Places
from vrouter.broker.status import read
from vrouter.hub.settings import status_path

#: a broker that is so far behind another one does not tell any more
_BEHIND = timedelta(seconds=30)


def merged_status(
    places: Places,
    names: Sequence[str],
    shortcuts: tuple[ShortcutStatus, ...],
    strangers: tuple[str, ...],
    now: datetime,
) -> OverlayStatus:
    """Return the status of the central points called *names*, in this order, with what routers told.

    :param now: by the clock that the brokers go by. What one has told in the future it has told before that was set
        back, and nothing since: it must not make those that go on telling look as if they were behind.
    :raises Transient: none of their brokers has told anything.
    """
    told: dict[str, OverlayStatus] = {}
    for number, name in enumerate(names):
        word = read(status_path(places, number))
        if word is not None:
            tunnels = word.tunnels if word.hub.up else ()
            told_at = word.hub.taken_at if word.hub.taken_at <= now + _BEHIND else now - 2 * _BEHIND
            told[name] = OverlayStatus(told_at, (word.hub,), {one.claim: one for one in tunnels})
    if not told:
        raise Transient("no broker of a central point tells anything: is clues-broker running?")
    return merge(names, told, shortcuts, strangers)


def merge(
    names: Sequence[str],
    told: dict[str, OverlayStatus],
    shortcuts: tuple[ShortcutStatus, ...] = (),
    strangers: tuple[str, ...] = (),
) -> OverlayStatus:
    """Put the words of several brokers together.

    :param told: by name of the central point, at least one.
    """
    newest = max(status.taken_at for status in told.values())
    hubs: list[HubStatus] = []
    tunnels: dict[str, Tunnel] = {}
    fresh: dict[str, Tunnel] = {}
    for name in names:
        status = told.get(name)
        if status is None:
            hubs.append(HubStatus(name, False, newest, trouble="its broker tells nothing: start clues-broker"))
        elif newest - status.taken_at > _BEHIND:
            since = f"its broker has told nothing since {status.taken_at:%H:%M:%S} UTC: start clues-broker"
            hubs += [replace(hub, up=False, trouble=since) for hub in status.hubs]
            tunnels |= status.tunnels
        else:
            hubs += status.hubs
            for key, tunnel in status.tunnels.items():
                if key not in fresh or fresh[key].since < tunnel.since:
                    fresh[key] = tunnel
    return OverlayStatus(newest, tuple(hubs), {**tunnels, **fresh}, shortcuts, strangers)
