"""A moment as people write it, on the clocks of where they are: ``tomorrow 08:00``, ``Sat 22:00``, ``+2h``, ISO 8601.

A wall clock shows some times twice a year and leaves others out. Both are refused, with the two that may be meant: a
maintenance an hour too early is one with jobs on it.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from clues.units import parse_duration

#: What is read with every mistake.
HOW = "write 2026-03-14T08:00, 'tomorrow 08:00', 'Sat 08:00', 08:00, now, or +2h"

_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})")
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def parse_moment(text: str, since: datetime, zone: tzinfo | None = None) -> datetime:
    """Return the moment that *text* names, in UTC.

    :param since: from when ``+2h`` is reckoned, and after which ``08:00`` is looked for; aware.
    :param zone: whose clocks are meant where the text names none; None: this machine's.
    :raises ValueError: it names none, or one that those clocks show twice or never.
    """
    words = text.split()
    if text.startswith("+"):
        return (since + parse_duration(text[1:])).astimezone(UTC)
    if words == ["now"]:
        return since.astimezone(UTC)
    here = since.astimezone(zone)
    try:
        if len(words) == 2 and (day := _day(words[0], here.date())) is not None:
            return _moment(datetime.combine(day, _clock(words[1])), zone)
        if _CLOCK.fullmatch(text):
            clock = _clock(text)
            today = _naive(here)
            day = here.date() if datetime.combine(here.date(), clock) > today else here.date() + timedelta(days=1)
            return _moment(datetime.combine(day, clock), zone)
        written = datetime.fromisoformat(text)
    except _Unclear:
        raise
    except ValueError:
        raise ValueError(f"{text!r} is no time: {HOW}") from None
    return _moment(written, zone) if written.tzinfo is None else written.astimezone(UTC)


class _Unclear(ValueError):
    """The clocks show it twice or never."""


def _day(word: str, today: date) -> date | None:
    word = word.lower()
    if word in ("today", "tomorrow"):
        return today + timedelta(days=word == "tomorrow")
    for number, name in enumerate(_DAYS):
        if word in (name, name[:3]):
            return today + timedelta(days=(number - today.weekday()) % 7)
    return None


def _clock(word: str) -> time:
    match = _CLOCK.fullmatch(word)
    if match is None:
        raise ValueError(word)
    return time(int(match[1]), int(match[2]))


def _naive(moment: datetime) -> datetime:
    return moment.replace(tzinfo=None)


def _moment(naive: datetime, zone: tzinfo | None) -> datetime:
    """Return in UTC when the clocks of *zone* show *naive*."""
    first, second = (_aware(naive.replace(fold=fold), zone) for fold in (0, 1))
    if first == second:
        return first
    if _naive(first.astimezone(zone)) != naive:
        raise _Unclear(f"{naive:%Y-%m-%d %H:%M} does not exist: the clocks are set forward then")
    either = " or ".join(f"{one.astimezone(zone):%Y-%m-%dT%H:%M%z}" for one in (first, second))
    raise _Unclear(f"{naive:%Y-%m-%d %H:%M} comes twice, as the clocks are set back then: write {either}")


def _aware(naive: datetime, zone: tzinfo | None) -> datetime:
    return (naive.astimezone() if zone is None else naive.replace(tzinfo=zone)).astimezone(UTC)
