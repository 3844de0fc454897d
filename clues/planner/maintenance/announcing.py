"""Announcing that a site is to be empty, and taking that back: an operator's orders, which the ledger keeps."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from clues.errors import InvalidRequest, NotFound
from clues.model import Maintenance, Operator
from clues.units import show_duration

#: What is announced for later, or for longer, is a slip of the hand.
FARTHEST, LONGEST = timedelta(days=400), timedelta(days=90)


def announce(
    operator: Operator, site: str, begin: datetime, end: datetime, ahead: timedelta | None, who: str, now: datetime
) -> Operator:
    """Return the standing orders with one more maintenance, the last of them, and without those that are over.

    :raises InvalidRequest: it is over already, ends before it begins, or overlaps another one of its site.
    """
    begin, end = begin.astimezone(UTC), end.astimezone(UTC)
    if end <= begin:
        raise InvalidRequest(f"it would end ({end:%Y-%m-%d %H:%M} UTC) before it begins ({begin:%Y-%m-%d %H:%M} UTC)")
    if end <= now:
        raise InvalidRequest(
            f"it is over already: it ends at {end:%Y-%m-%d %H:%M} UTC, and it is {now:%Y-%m-%d %H:%M} UTC"
        )
    if begin > now + FARTHEST or end - begin > LONGEST:
        raise InvalidRequest(
            f"at most {show_duration(LONGEST)} long, and {show_duration(FARTHEST)} ahead: for a site that is out of "
            "use for longer, write `disabled: true` in clues.yaml"
        )
    kept = tuple(one for one in operator.maintenance if one.end > now)
    for other in kept:
        if other.site == site and other.begin < end and begin < other.end:
            raise InvalidRequest(
                f"it overlaps {other} of {site}: `clues maintenance cancel {other.number}` first, then announce all"
            )
    number = max((operator.announced, *(one.number for one in operator.maintenance))) + 1
    added = Maintenance(number, site, begin, end, ahead, who)
    return replace(operator, maintenance=(*kept, added), announced=number)


def cancel(operator: Operator, number: int, now: datetime) -> tuple[Operator, Maintenance]:
    """Return the standing orders without one maintenance, and that one.

    :raises NotFound: there is none of this number, or it is over.
    """
    for one in operator.maintenance:
        if one.number == number and one.end > now:
            kept = tuple(other for other in operator.maintenance if other is not one)
            return replace(operator, maintenance=kept), one
    raise NotFound(f"no maintenance has the number {number}, or it is over: see `clues maintenance list`")


def upcoming(operator: Operator, now: datetime) -> dict[str, Maintenance]:
    """Return by site the maintenance that is on, or else the next one; those that are over are not in it."""
    later = sorted((one for one in operator.maintenance if one.end > now), key=lambda one: one.begin, reverse=True)
    return {one.site: one for one in later}
