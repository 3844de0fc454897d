"""What this process has launched and no listing has shown yet.

A listing may be too old to show a VM that was made a moment ago, and a launch that is repeated then would make a second
one. Once a listing has shown it, listings are enough: the core repeats no launch whose VM it has seen.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Container

#: A VM that no listing ever shows (its tags were taken away) is remembered as one of the last so many.
_MOST = 5000


class Made:
    """Ids by launch key. Safe to use from several threads at once."""

    def __init__(self, most: int = _MOST) -> None:
        self._most, self._lock = most, threading.Lock()
        self._ids: OrderedDict[str, str] = OrderedDict()

    def add(self, key: str, instance_id: str) -> None:
        """Remember what a launch has made."""
        with self._lock:
            self._ids[key] = instance_id
            self._ids.move_to_end(key)
            if len(self._ids) > self._most:
                self._ids.popitem(last=False)

    def get(self, key: str) -> str | None:
        """Return the id of what was launched with this key; None where a listing tells it, or nothing was launched."""
        return self._ids.get(key)

    def seen(self, listed: Container[str]) -> None:
        """Forget those whose ids a listing has shown."""
        with self._lock:
            for key in [key for key, one in self._ids.items() if one in listed]:
                del self._ids[key]

    def __contains__(self, key: str) -> bool:
        return key in self._ids
