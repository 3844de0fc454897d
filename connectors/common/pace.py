"""How fast a site is spoken to: so many calls in a second on average, so many at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from clues.errors import Throttled


class Gate:
    """Lets calls through: at most *at_once* together, and *per_second* of them after a burst of one second's worth.

    A thread waits its turn, but not for ever: a queue that is longer than *patience* is told as
    :class:`clues.errors.Throttled`, with nothing sent.
    """

    def __init__(
        self,
        per_second: float,
        at_once: int,
        *,
        patience: float = 60.0,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._per_second, self._patience = per_second, patience
        self._monotonic, self._sleep = monotonic, sleep
        self._room = threading.BoundedSemaphore(at_once)
        self._lock = threading.Lock()
        self._tokens, self._at = max(1.0, per_second), monotonic()

    @contextmanager
    def call(self) -> Iterator[None]:
        """Run the body when it may run.

        :raises Throttled: it would have had to wait too long.
        """
        wait = self._take()
        if wait > 0:
            self._sleep(wait)
        if not self._room.acquire(timeout=self._patience):
            raise Throttled(f"no call could be sent for {self._patience:g} s: too many are under way")
        try:
            yield
        finally:
            self._room.release()

    def _take(self) -> float:
        """Take one token, and return for how long its taker has to wait; tokens may be owed."""
        with self._lock:
            now = self._monotonic()
            burst = max(1.0, self._per_second)
            self._tokens = min(burst, self._tokens + (now - self._at) * self._per_second)
            self._at = now
            wait = (1.0 - self._tokens) / self._per_second
            if wait > self._patience:
                raise Throttled(f"the site's calls_per_second ({self._per_second:g}) leave no room for {wait:.0f} s")
            self._tokens -= 1.0
            return wait
