"""Hours of the week as they stand in the file: ``Mon-Fri 08:00-18:00, Sat 10:00-14:00 Europe/Prague``."""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo, available_timezones

from clues.config.mistakes import near, show
from clues.model import Window
from clues.model.windows import DAYS

#: What a sysadmin reads with every mistake.
_HOW = "write days, hours and a time zone, such as Mon-Fri 08:00-18:00 Europe/Prague"

_HOURS = re.compile(r"([0-9]{1,2}):([0-9]{2})-([0-9]{1,2}):([0-9]{2})")
_DAY_OR_DAYS = re.compile(r"([A-Za-z]+)(?:-([A-Za-z]+))?")
_BY_NAME = {name.lower(): number for number, name in enumerate(DAYS)} | {
    name: number
    for number, name in enumerate(("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"))
}


def parse_windows(text: str) -> tuple[Window, ...]:
    """Return the windows of one line. Commas part windows, and days: ``Mon,Wed 08:00-18:00, Sat 10:00-14:00``.

    A window without days is for every day. One without a zone has that of the next one which names one; where none
    does, it is UTC.

    :raises ValueError: with what is wrong, and how it is written.
    """
    days: set[int] = set()
    found: list[tuple[set[int], int, int, ZoneInfo | None]] = []
    for part in text.split(","):
        words = part.split()
        at = next((place for place, word in enumerate(words) if word[0].isdigit()), len(words))
        for word in words[:at]:
            days |= _days(word)
        if not words:
            raise ValueError(f"{show(text)} has a comma too many: {_HOW}")
        if at == len(words):
            continue  # only days: the hours follow behind the next comma
        if len(words) > at + 2:
            raise ValueError(f"{show(' '.join(words[at + 2 :]))} is too much after the time zone: {_HOW}")
        opens, closes = _hours(words[at])
        zone = parse_zone(words[at + 1]) if len(words) > at + 1 else None
        found.append((days or set(range(7)), opens, closes, zone))
        days = set()
    if days or not found:
        raise ValueError(f"{show(text)} names no hours: {_HOW}")
    windows: list[Window] = []
    zone = None
    for days, opens, closes, own in reversed(found):
        zone = own or zone
        windows.append(Window(frozenset(days), opens, closes, zone or ZoneInfo("UTC")))
    return tuple(reversed(windows))


def _days(word: str) -> set[int]:
    match = _DAY_OR_DAYS.fullmatch(word)
    if match is None:
        raise ValueError(f"{show(word)} is no day: {_HOW}")
    first, last = _day(match[1]), _day(match[2] or match[1])
    return {(first + step) % 7 for step in range((last - first) % 7 + 1)}


def _day(word: str) -> int:
    if word.lower() not in _BY_NAME:
        raise ValueError(f"{show(word)} is no day{near(word.capitalize(), DAYS)}: {_HOW}")
    return _BY_NAME[word.lower()]


def _hours(word: str) -> tuple[int, int]:
    match = _HOURS.fullmatch(word)
    if match is None:
        raise ValueError(f"{show(word)} are no hours: write them as 08:00-18:00")
    minutes = []
    for hour, minute in ((match[1], match[2]), (match[3], match[4])):
        at = 60 * int(hour) + int(minute)
        if int(minute) > 59 or at > 24 * 60:
            raise ValueError(f"{hour}:{minute} is no time of day: from 00:00 to 24:00")
        minutes.append(at)
    if minutes[0] == 24 * 60:
        raise ValueError("24:00 is the end of a day: write 00:00 where a window opens")
    return minutes[0], minutes[1]


def parse_zone(word: str) -> ZoneInfo:
    """Return the time zone of a name.

    :raises ValueError: this machine knows none of that name.
    """
    known = available_timezones()
    if word not in known:
        raise ValueError(f"{show(word)} is no time zone{near(word, sorted(known))}: write it as Europe/Prague, or UTC")
    return ZoneInfo(word)
