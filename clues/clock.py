"""Time that does not jump.

Wall time may be set while the daemon runs: by an admin, by NTP after a wrong start, by a resumed laptop.  If deadlines
were reckoned with it, an hour's jump would fail every booting VM at once.  So the clock is anchored at start and goes
on with the monotonic clock; towards wall time it only drifts, one part in a hundred, and a jump is told.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

#: Differences below this are ordinary drift and not worth a word.
JUMP = timedelta(seconds=5)


class SteadyClock:
    """A :class:`clues.ports.Clock` for the real world; any thread may ask it."""

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wall, self._monotonic = wall, monotonic
        self._now = wall()
        self._last = monotonic()
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """Return the time, never less than the time before, and never more ahead of it than really passed (+1 %)."""
        with self._lock:  # two threads at once would count the same time twice
            last = self._monotonic()
            passed = max(0.0, last - self._last)
            self._last = last
            self._now += passed
            gap = self._wall() - self._now
            self._now += max(-passed / 100, min(passed / 100, gap))
            return datetime.fromtimestamp(self._now, UTC)

    def monotonic(self) -> float:
        """Return seconds that never jump."""
        return self._monotonic()

    def off_by(self) -> timedelta:
        """Return how far wall time is from this clock; more than :data:`JUMP` means that it was set."""
        return timedelta(seconds=self._wall() - self._now)
