"""What routers tell of themselves, read strictly: tunnels to other routers, and strangers in their networks.

A router may be in an intruder's hands, so this is for people's eyes only: nothing is decided from it. Lines of another
form are left out, and there is a limit to all of it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from clues.model import ShortcutStatus

#: longest report that is read, in characters; a site has fewer neighbours than that
LONGEST = 16_384
_MOST_STRANGERS = 50
_SHORTCUT = re.compile(r"([A-Za-z0-9_.-]{1,64}) (up|down) ([0-9]{1,18}) ([0-9]{1,18})")
_STRANGER = re.compile(r"([0-9a-fA-F.:]{2,45}) ((?:[0-9a-f]{2}:){5}[0-9a-f]{2})")


@dataclass(frozen=True, slots=True)
class Word:
    """What one router said last."""

    site: str
    shortcuts: Mapping[str, ShortcutStatus]
    strangers: tuple[str, ...] = ()


class Reports:
    """The last word of each router. One thread tells, another one reads."""

    def __init__(self) -> None:
        self._words: dict[str, Word] = {}

    def heard(self, key: str, site: str, kind: str, text: str, now: datetime) -> None:
        """Take a report of the kind ``shortcut`` or ``strangers``; it replaces what that router told before."""
        word = self._words.get(key, Word(site, {}))
        lines = text[:LONGEST].splitlines()
        if kind == "shortcut":
            self._words[key] = replace(word, shortcuts=read_shortcuts(key, lines, word.shortcuts, now))
        elif kind == "strangers":
            self._words[key] = replace(word, strangers=read_strangers(lines))

    def keep(self, keys: Iterable[str]) -> None:
        """Forget the routers that are not among *keys*."""
        known = set(keys)
        for key in [key for key in self._words if key not in known]:
            del self._words[key]

    def shortcuts(self, wanted: Iterable[tuple[str, str]]) -> tuple[ShortcutStatus, ...]:
        """Return what is known of the *wanted* pairs: the word of the one that listens, else of the other."""
        words = dict(self._words)
        found = []
        for listening, connecting in wanted:
            told = words[listening].shortcuts.get(connecting) if listening in words else None
            if told is None and connecting in words:
                told = words[connecting].shortcuts.get(listening)
            if told is not None:
                found.append(replace(told, claims=(listening, connecting)))
        return tuple(found)

    def strangers(self) -> tuple[str, ...]:
        """Return who is in a cluster's own network and no VM of ours: ``site: address (hardware address)``."""
        return tuple(f"{word.site}: {one}" for word in list(self._words.values()) for one in word.strangers)


def read_shortcuts(
    key: str, lines: Iterable[str], before: Mapping[str, ShortcutStatus], now: datetime
) -> dict[str, ShortcutStatus]:
    """Return by the other router's launch key what lines such as ``KEY up 1234 5678`` (bytes in, bytes out) say.

    :param before: what was told before, since when each one is as it is.
    """
    found: dict[str, ShortcutStatus] = {}
    for line in lines:
        if match := _SHORTCUT.fullmatch(line):
            other, up = match[1], match[2] == "up"
            old = before.get(other)
            since = old.since if old is not None and old.up == up else now
            found[other] = ShortcutStatus((key, other), up, since, int(match[3]), int(match[4]))
    return found


def read_strangers(lines: Iterable[str]) -> tuple[str, ...]:
    """Return ``address (hardware address)`` for each line ``ADDRESS MAC``."""
    found: list[str] = []
    for line in lines:
        match = _STRANGER.fullmatch(line)
        if match is None or len(found) == _MOST_STRANGERS:
            continue
        try:
            found.append(f"{ipaddress.ip_address(match[1])} ({match[2]})")
        except ValueError:
            continue
    return tuple(found)
