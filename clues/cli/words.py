"""Amounts, ages and lists as they stand on screens: short, and the same everywhere."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from clues import hostlist
from clues.units import show_duration

#: An empty cell.
NOTHING = "-"


def age(seconds: float | None) -> str:
    """Return ``48 s``, ``2 h``; a dash for None."""
    return NOTHING if seconds is None else show_duration(timedelta(seconds=seconds))


def money(amount: float | None) -> str:
    """Return ``0.49``, ``200``; a dash for an unknown price. Small amounts keep two digits that mean
    something."""
    if amount is None:
        return NOTHING
    if amount == int(amount):
        return str(int(amount))
    return f"{amount:.2f}" if amount >= 0.1 else f"{amount:.2g}"


def of_limit(used: int, limit: int | None) -> str:
    """Return ``3 of 40``, or ``3`` where there is no limit."""
    return str(used) if limit is None else f"{used} of {limit}"


def jobs(ids: Iterable[str], most: int = 2) -> str:
    """Return the jobs on a node: an array's tasks together, and how many more there are than *most*."""
    arrays: dict[str, list[str]] = {}
    for one in ids:
        base, _, task = one.partition("_")
        arrays.setdefault(base if task.isdecimal() else one, []).append(one)
    shown = [tasks[0] if len(tasks) == 1 else hostlist.compress(tasks) for tasks in arrays.values()]
    more = f" +{len(shown) - most}" if len(shown) > most else ""
    return ",".join(shown[:most]) + more or NOTHING


def nodes(names: Iterable[str]) -> str:
    """Return a hostlist, or the names as they are where one is none."""
    names = list(names)
    try:
        return hostlist.compress(names) or NOTHING
    except hostlist.HostlistError:
        return ",".join(names)


def local_time(iso: str) -> str:
    """Return a time of the API in the time zone of whoever looks."""
    try:
        return datetime.fromisoformat(iso).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return iso or NOTHING
