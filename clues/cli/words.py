"""Amounts, ages and lists as they stand on screens: short, and the same everywhere."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from clues import hostlist
from clues.units import show_duration, show_memory, show_range

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


def memory(mib: int) -> str:
    """Return ``30 GiB``, ``512 MiB``, rounded down to what is worth telling."""
    return f"{mib // 1024} GiB" if mib >= 10 * 1024 else show_memory(mib)


def size(amount: int) -> str:
    """Return an amount of bytes: ``0 B``, ``640 B``, ``1.2 MB``, ``38 GB``."""
    value, unit = float(amount), "B"
    for bigger in ("kB", "MB", "GB", "TB", "PB"):
        if value < 999.5:
            break
        value, unit = value / 1000, bigger
    return f"{value:.1f} {unit}" if unit != "B" and value < 9.95 else f"{value:.0f} {unit}"


def left(seconds: float | None) -> str:
    """Return how long something is still good: ``29 d``, ``ended``; a dash for None."""
    return "ended" if seconds is not None and seconds <= 0 else age(seconds)


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


#: What is no farther ahead is as good as now.
_SOON = 60.0


def expected(early: float | None, late: float | None) -> str:
    """Return when something is expected that may come so many seconds from now at the earliest and at the latest.

    ``in 3-5 min``, ``within 35 min``, ``not before 14:30``, ``unknown``.
    """
    if late is None:
        if early is None or early <= _SOON:
            return "unknown"
        at = datetime.now().astimezone() + timedelta(seconds=early)
        return f"not before {at:%H:%M}" if early < 12 * 3600 else f"not before {at:%Y-%m-%d %H:%M}"
    if early is None or early <= min(_SOON, late / 10):
        return f"within {show_duration(timedelta(seconds=max(1.0, late)))}"
    return f"in {show_range(timedelta(seconds=early), timedelta(seconds=late))}"


def local_time(iso: str) -> str:
    """Return a time of the API in the time zone of whoever looks."""
    try:
        return datetime.fromisoformat(iso).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return iso or NOTHING
