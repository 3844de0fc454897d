"""Amounts as people write them in ``clues.yaml``, read into one unit each.

Memory becomes MiB, durations become :class:`~datetime.timedelta`, money keeps its currency until the configuration
converts it.  A number without a unit is refused where the unit could be guessed wrong.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

_MEMORY_MIB = {
    "KiB": 1 / 1024,
    "MiB": 1.0,
    "GiB": 1024.0,
    "TiB": 1024.0 * 1024,
    "MB": 1e6 / 2**20,
    "GB": 1e9 / 2**20,
    "TB": 1e12 / 2**20,
}
_SECONDS = {"ms": 0.001, "s": 1, "sec": 1, "min": 60, "m": 60, "h": 3600, "d": 86400, "day": 86400, "days": 86400}
_AMOUNT = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]+)\s*")


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in one currency (ISO 4217 code)."""

    amount: float
    currency: str

    def __str__(self) -> str:
        return f"{self.amount:.2f} {self.currency}"


def parse_memory(text: str) -> int:
    """Return MiB, rounded down. ``30GiB``, ``512 MiB``, ``32GB``.

    :raises ValueError: without a unit, or with one that is not known.
    """
    number, unit = _split(text, _MEMORY_MIB, "memory", "30GiB")
    return int(number * _MEMORY_MIB[unit])


def parse_duration(text: str) -> timedelta:
    """Return a duration: ``90s``, ``10min``, ``2h``, ``1d``.

    :raises ValueError: without a unit, or with one that is not known.
    """
    number, unit = _split(text, _SECONDS, "duration", "10min")
    return timedelta(seconds=number * _SECONDS[unit])


def parse_money(text: str) -> Money:
    """Return money: ``25 EUR``, ``0.49 USD``.

    :raises ValueError: without a currency of three capital letters.
    """
    match = _AMOUNT.fullmatch(text)
    if not match or not re.fullmatch("[A-Z]{3}", match[2]):
        raise ValueError(f"{text!r} is not an amount of money: write a number and a currency, such as '25 EUR'")
    return Money(float(match[1]), match[2])


def show_duration(value: timedelta) -> str:
    """Return a duration for people, in its largest fitting unit: ``48 s``, ``4 min``, ``2 h``, ``3 d``."""
    seconds = max(0.0, value.total_seconds())
    if seconds < 10:
        return f"{seconds:.1f} s"
    for limit, size, unit in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86400:.0f} d"


def show_range(least: timedelta, most: timedelta) -> str:
    """Return a range of durations for people, in the unit of its end: ``3-5 min``; just ``5 min`` where that is one."""
    high = show_duration(most)
    amount, unit = high.split()
    size = _SECONDS[unit]
    low = f"{max(0.0, least.total_seconds()) / size:.{1 if '.' in amount else 0}f}"
    return high if low == amount else f"{low}-{high}"


def show_memory(mib: int) -> str:
    """Return memory for people: ``30 GiB``, ``512 MiB``."""
    return f"{mib // 1024} GiB" if mib >= 1024 and mib % 1024 == 0 else f"{mib} MiB"


def _split(text: str, units: dict[str, float] | dict[str, int], what: str, example: str) -> tuple[float, str]:
    match = _AMOUNT.fullmatch(text)
    if not match or match[2] not in units:
        raise ValueError(f"{text!r} is not a {what}: write a number and one of {', '.join(units)}, such as '{example}'")
    return float(match[1]), match[2]
