"""A daemon's counter kept in memory, for the API: the picture that a test puts in, and the orders that came
out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from threading import Condition

from clues.errors import CluesError, InvalidRequest, NotFound
from clues.model import LoggedNote, Published, Wish


class MemoryControl:
    """Implements :class:`clues.ports.Control`; thread-safe as the port demands."""

    def __init__(self, published: Published | None = None) -> None:
        self._changed = Condition()
        self._published = published
        self._notes: list[LoggedNote] = []
        self.orders: list[tuple[tuple[str, ...], Wish | None, str]] = []
        self.pauses: list[tuple[bool, str]] = []
        #: calls of :meth:`wait` that are under way
        self.waiters = 0
        #: raised by the next order
        self.failure: CluesError | None = None

    def tick(self, published: Published) -> None:
        with self._changed:
            ticks = self._published.ticks + 1 if self._published else 1
            self._published = replace(published, ticks=ticks)
            self._changed.notify_all()

    def add(self, *notes: LoggedNote) -> None:
        with self._changed:
            self._notes.extend(notes)

    def published(self) -> Published | None:
        with self._changed:
            return self._published

    def wait(self, after_tick: int, timeout: float) -> Published | None:
        with self._changed:
            self.waiters += 1
            try:
                self._changed.wait_for(
                    lambda: self._published is not None and self._published.ticks > after_tick, timeout
                )
            finally:
                self.waiters -= 1
            return self._published

    def notes(self, *, after: int = 0, about: str = "", limit: int = 100) -> list[LoggedNote]:
        with self._changed:
            found = [one for one in self._notes if one.id > after and (not about or about in (one.subject, *one.about))]
        return found[:limit] if after else found[-limit:]

    def wish(self, nodes: Sequence[str], wish: Wish | None, who: str) -> None:
        if self.failure:
            raise self.failure
        known = self._published
        if known and any(known.settings.pool_of(name) is None for name in nodes):
            raise InvalidRequest("no such node")
        self.orders.append((tuple(nodes), wish, who))

    def pause(self, paused: bool, who: str) -> None:
        if self.failure:
            raise self.failure
        self.pauses.append((paused, who))


def explain(published: Published, subject: str, notes: Sequence[LoggedNote]) -> str:
    """Stands where the planner's explanation goes."""
    known = {*published.settings.sites, *(name for pool in published.settings.pools.values() for name in pool.nodes)}
    known |= {job.id for job in published.world.lrms.value.jobs} if published.world.lrms.value else set()
    if subject not in known:
        raise NotFound(f"{subject} is neither a node nor a job nor a site")
    return "\n".join([f"{subject} is in the cluster.", *(note.text for note in notes)])
