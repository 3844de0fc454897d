"""Time that passes only when there is something to do: a heap of events, and the two clocks that the daemon reads.

Events of one moment happen in the order in which they were put down, so a run is a function of its seed alone.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from heapq import heapify, heappop, heappush

#: A Monday, early; where a world begins unless it is told otherwise.
EPOCH = datetime(2026, 3, 2, 6, tzinfo=UTC)

Deed = Callable[[], None]


class Event:
    """Something that will happen, unless it is cancelled."""

    __slots__ = ("at", "deed")

    def __init__(self, at: float, deed: Deed | None) -> None:
        self.at, self.deed = at, deed

    def cancel(self) -> None:
        """Let it not happen."""
        self.deed = None


class Timeline:
    """The world's own time, in seconds since its beginning."""

    def __init__(self, epoch: datetime = EPOCH) -> None:
        self.passed = 0.0
        #: by how much somebody has set the front-end's wall clock wrong, in seconds
        self.set_by = 0.0
        #: events that have happened
        self.count = 0
        self._epoch = epoch.timestamp()
        #: when, the how manieth, and what
        self._heap: list[tuple[float, int, Event]] = []
        self._number = 0

    def after(self, seconds: float, deed: Deed) -> Event:
        """Have *deed* happen in so many seconds (never in the past)."""
        return self.at(self.passed + seconds, deed)

    def at(self, when: float, deed: Deed) -> Event:
        """Have *deed* happen at a moment of the world's time."""
        self._number += 1
        event = Event(max(when, self.passed), deed)
        heappush(self._heap, (event.at, self._number, event))
        return event

    def next_at(self) -> float | None:
        """Return when the next event happens; None when none is left."""
        while self._heap and self._heap[0][2].deed is None:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def step(self) -> bool:
        """Let the next event happen; return False when there is none."""
        while self._heap:
            at, _, event = heappop(self._heap)
            if event.deed is None:
                continue
            self.passed = at
            self.count += 1
            event.deed()
            return True
        return False

    def tidy(self) -> None:
        """Drop cancelled events, which otherwise stay until their time has come."""
        self._heap = [entry for entry in self._heap if entry[2].deed is not None]
        heapify(self._heap)

    # --- clocks ---

    def monotonic(self) -> float:
        """The machine's monotonic clock, in seconds."""
        return self.passed

    def wall(self) -> float:
        """The front-end's wall clock, as somebody has set it, in seconds since 1970."""
        return self._epoch + self.passed + self.set_by

    def now(self) -> datetime:
        """True time, by which Slurm and the clouds live."""
        return datetime.fromtimestamp(self._epoch + self.passed, UTC)

    def moment(self, seconds: float) -> datetime:
        """Return a moment of the world's time as a date."""
        return datetime.fromtimestamp(self._epoch + seconds, UTC)

    def shown(self, seconds: float) -> datetime:
        """Return a moment of the world's time as the front-end's wall clock would show it, set as it is now."""
        return datetime.fromtimestamp(self._epoch + seconds + self.set_by, UTC)

    def seconds(self, moment: datetime) -> float:
        """Return a date as the world's time."""
        return moment.timestamp() - self._epoch


class PlainClock:
    """A :class:`clues.ports.Clock` that is right: for worlds in which nobody sets the clock."""

    def __init__(self, time: Timeline) -> None:
        self._time = time

    def now(self) -> datetime:
        return self._time.now()

    def monotonic(self) -> float:
        return self._time.passed

    def off_by(self) -> timedelta:
        """Never wrong."""
        return timedelta(0)
