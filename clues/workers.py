"""Threads behind the core: slow calls go out on lanes, their results come home to the owner's queue.

The owner is the one thread that holds all state.  A lane is a small pool of threads with its own waiting line, so that
a site that hangs delays nobody else; the lane ``lrms`` has one thread, which keeps Slurm's commands in order.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any

Job = tuple[Callable[[], Any], Callable[[Any, BaseException | None], None]]


class Threads:
    """A :class:`clues.ports.Workers` of daemon threads: at the end nobody waits for a call that hangs."""

    def __init__(self, home: queue.SimpleQueue[Callable[[], None]], width: Mapping[str, int] | None = None) -> None:
        """:param home: the owner's queue; :param width: threads for each lane where it is not the default 8."""
        self._home = home
        self._width = dict(width or {}) | {"lrms": 1}
        self._lanes: dict[str, queue.SimpleQueue[Job]] = {}

    def submit(self, lane: str, call: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        """Run *call* on the lane; *done* gets its result or its exception on the owner's thread."""
        if lane not in self._lanes:
            self._lanes[lane] = queue.SimpleQueue()
            for number in range(self._width.get(lane, 8)):
                threading.Thread(
                    target=self._serve, args=(self._lanes[lane],), name=f"{lane}-{number}", daemon=True
                ).start()
        self._lanes[lane].put((call, done))

    def _serve(self, line: queue.SimpleQueue[Job]) -> None:
        while True:
            call, done = line.get()
            result, error = None, None
            try:
                result = call()
            except BaseException as raised:  # noqa: BLE001 - whatever it is, it belongs to the owner, who decides
                error = raised
            self._home.put(lambda done=done, result=result, error=error: done(result, error))  # type: ignore[misc]
