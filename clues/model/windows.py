"""Hours of the week, as people write them: ``Mon-Fri 08:00-18:00`` on the clocks of some place.

A window is held against the wall clock of its time zone, so it opens at 08:00 there in summer and in winter. What the
clock leaves out in spring is in no window, and what it shows twice in autumn counts twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

#: Days by their place in the week, as ``datetime.weekday`` counts them.
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_WHOLE_DAY = 24 * 60


@dataclass(frozen=True, slots=True)
class Window:
    """Hours of some days. One that closes no later than it opens goes on over midnight, into the next day."""

    #: days on which it opens, 0 is Monday
    days: frozenset[int]
    #: minutes after midnight; ``closes`` may be 1440
    opens: int
    closes: int
    zone: ZoneInfo

    def holds(self, at: datetime) -> bool:
        """Return whether the wall clock of its zone shows a time in this window at an (aware) moment."""
        local = at.astimezone(self.zone)
        minute, today = local.hour * 60 + local.minute, local.weekday() in self.days
        if self.opens < self.closes:
            return today and self.opens <= minute < self.closes
        yesterday = (local.weekday() - 1) % 7 in self.days
        return (today and minute >= self.opens) or (yesterday and minute < self.closes)

    def __str__(self) -> str:
        days = ",".join(DAYS[day] for day in sorted(self.days))
        return f"{days} {_clock(self.opens)}-{_clock(self.closes)} {self.zone}"


@dataclass(frozen=True, slots=True)
class Warm:
    """So many nodes of a pool stay up although no job needs them: in these windows; without any, always."""

    nodes: int
    windows: tuple[Window, ...] = ()

    def holds(self, at: datetime) -> bool:
        """Return whether the nodes are to be there at a moment."""
        return not self.windows or any(window.holds(at) for window in self.windows)

    def until(self, at: datetime) -> datetime | None:
        """Return when the windows that hold now close, to the minute; None when that is not within a week."""
        at = at.replace(second=0, microsecond=0)
        steps = (at + timedelta(minutes=passed) for passed in range(1, 7 * _WHOLE_DAY + 1))
        return next((moment for moment in steps if not self.holds(moment)), None) if self.windows else None


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"
