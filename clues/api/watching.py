"""Long polls: a request that waits for the next tick, without ever taking all threads or holding up a stop.

A waiting request sits on a thread. There are more threads than may wait, so that an order always finds one;
who comes when all places are taken is answered at once with what there is. A wait is cut into slices, because
a thread that waits cannot be interrupted when the daemon stops.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import replace
from datetime import datetime, timedelta
from threading import BoundedSemaphore, Event, Lock
from typing import Annotated, TypeVar

from fastapi import Query

from clues.api.codec import encode
from clues.api.lens import Lens
from clues.api.privacy import as_seen_by, viewer
from clues.api.problems import refuse
from clues.model import LoggedNote, Published
from clues.ports import Control

T = TypeVar("T")

#: Requests that may wait at once; the server's thread pool has 40.
MOST_WAITING = 20
LONGEST_WAIT_SECONDS = 60.0
_SLICE_SECONDS = 0.5
#: Ages in an answer may be older than they say by so much.
_ANSWER_KEPT = timedelta(seconds=1)
_MOST_ANSWERS, _MOST_LENSES = 16, 64
#: A daemon that has just started is given so long to end its first tick.
_FIRST_TICK_SECONDS = 5.0

Wait = Annotated[int | None, Query(ge=0, description="answer when there is a tick after this one")]
Timeout = Annotated[
    float, Query(ge=0, le=LONGEST_WAIT_SECONDS, description="seconds after which the present is answered")
]


class Pictures:
    """The daemon's picture, present or next."""

    def __init__(self, control: Control, now: Callable[[], datetime], stopping: Event) -> None:
        self._control = control
        self._now = now
        self._stopping = stopping
        self._places = BoundedSemaphore(MOST_WAITING)
        self._ordering, self._telling = Lock(), Lock()
        self._lenses: dict[str | None, tuple[Published, Lens]] = {}
        self._answers: dict[Hashable, tuple[Published, datetime, bytes]] = {}

    def lens(
        self,
        wait: int | None = None,
        timeout: float = LONGEST_WAIT_SECONDS,
        user: str | None = None,
    ) -> Lens:
        """Return the present picture, or with *wait* the first one after that tick, or after *timeout*
        seconds.

        :param user: what Slurm would not show to them is left out; None: for who may see everything.
        :raises clues.api.problems.Refusal: when no tick has ended yet.
        """
        published = self._control.published()
        if published is None:
            published = self._wait_for(0, _FIRST_TICK_SECONDS)
        elif wait is not None and published.ticks <= wait:
            published = self._wait_for(wait, timeout)
        if published is None:
            raise refuse(503, "Starting", "cluesd has just started and has not seen the cluster yet")
        return self._seen(published, user)

    def present(self, user: str | None) -> Lens | None:
        """Return the present picture as *user* may see it; None before there is one."""
        published = self._control.published()
        return None if published is None else self._seen(published, user)

    def told(self, lens: Lens, what: Hashable, make: Callable[[Lens], object]) -> bytes:
        """Return the encoded answer that *make* gives of a picture: made once a second for all who see the same and ask
        the same, however many they are."""
        with self._telling:
            found = self._answers.get(what)
            if found is not None and found[0] is lens.published and lens.now - found[1] < _ANSWER_KEPT:
                return found[2]
            if found is None or len(self._answers) >= _MOST_ANSWERS:  # nothing holds an old picture for long
                self._answers = {key: one for key, one in self._answers.items() if one[0].ticks == lens.published.ticks}
                if len(self._answers) >= _MOST_ANSWERS:
                    self._answers.clear()
            body = encode(make(lens))
            self._answers[what] = (lens.published, lens.now, body)
            return body

    def _seen(self, published: Published, user: str | None) -> Lens:
        """Return a picture put in order, which is done once for all who see the same."""
        seen, now = viewer(published, user), self._now()
        with self._ordering:
            found = self._lenses.get(seen)
            if found is None or found[0] is not published:
                if len(self._lenses) >= _MOST_LENSES or any(one[0] is not published for one in self._lenses.values()):
                    self._lenses.clear()
                found = self._lenses[seen] = (published, Lens.of(as_seen_by(published, seen), now))
        return replace(found[1], now=now)

    def _wait_for(self, tick: int, timeout: float) -> Published | None:
        return self._waiting(timeout, lambda slice_: self._newer(tick, slice_)) or self._control.published()

    def _newer(self, tick: int, slice_seconds: float) -> Published | None:
        published = self._control.wait(tick, slice_seconds)
        return published if published is not None and published.ticks > tick else None

    def events(self, after: int, before: int, about: str, limit: int, timeout: float) -> list[LoggedNote]:
        """Return events after one and before another (0: any), waiting up to *timeout* seconds for the first one that
        comes."""
        notes = self._control.notes(after=after, before=before, about=about, limit=limit)
        if notes or timeout <= 0 or before:
            return notes
        return self._waiting(timeout, lambda slice_: self._next_events(after, about, limit, slice_)) or []

    def _next_events(self, after: int, about: str, limit: int, slice_seconds: float) -> list[LoggedNote]:
        published = self._control.published()
        self._control.wait(published.ticks if published else 0, slice_seconds)
        return self._control.notes(after=after, about=about, limit=limit)

    def _waiting(self, timeout: float, look: Callable[[float], T | None]) -> T | None:
        """Call *look* with a slice of time until it returns something, the time is over, or the daemon
        stops."""
        if not self._places.acquire(blocking=False):
            return None
        try:
            ends = time.monotonic() + min(timeout, LONGEST_WAIT_SECONDS)
            while not self._stopping.is_set() and (left := ends - time.monotonic()) > 0:
                found = look(min(left, _SLICE_SECONDS))
                if found:
                    return found
            return None
        finally:
            self._places.release()
