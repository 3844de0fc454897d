"""A time in which a site is not to be counted on: its provider, or its sysadmin, works on it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Maintenance:
    """What a sysadmin announced of a site. Times are aware UTC."""

    #: under which it is cancelled
    number: int
    site: str
    begin: datetime
    end: datetime
    #: so long before its begin the site's nodes take no new jobs; None: as long as jobs that could start there may run
    ahead: timedelta | None = None
    who: str = ""

    def __str__(self) -> str:
        day = "%H:%M" if self.begin.date() == self.end.date() else "%Y-%m-%d %H:%M"
        return f"maintenance from {self.begin:%Y-%m-%d %H:%M} to {self.end:{day}} UTC"
