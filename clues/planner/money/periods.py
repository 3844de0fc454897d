"""When an hour, a day and a month begin and end, where the sysadmin's calendar hangs.

A day is what the time zone makes of it: 23 or 25 hours twice a year. An hour begins when the minutes there are zero,
which in some zones is half past by UTC.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from clues.model import Period


@lru_cache(maxsize=64)
def zone_named(name: str) -> tzinfo:
    """Return a time zone; UTC is there on every machine.

    :raises ValueError: there is none of that name.
    """
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError) as error:  # ZoneInfoNotFoundError is a KeyError
        raise ValueError(f"there is no time zone {name!r} on this machine") from error


def bounds(period: Period, at: datetime, zone: tzinfo) -> tuple[datetime, datetime]:
    """Return when the period that *at* lies in began and when it ends, in UTC."""
    there = at.astimezone(zone)
    if period is Period.HOUR:
        begin = at.astimezone(UTC) - timedelta(
            minutes=there.minute, seconds=there.second, microseconds=there.microsecond
        )
        return begin, begin + timedelta(hours=1)
    first = there.date() if period is Period.DAY else there.date().replace(day=1)
    after = first + timedelta(days=1) if period is Period.DAY else (first + timedelta(days=32)).replace(day=1)
    return _midnight(first, zone), _midnight(after, zone)


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
