"""Money and stories out of the ledger as answers: pure functions from its rows to wire values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo

from clues.api import views, wire_records
from clues.api.lens import utc
from clues.model import Claim, LoggedNote, Period, Share
from clues.planner.money.billing import charged
from clues.planner.money.periods import bounds

#: Money is told to so many digits behind the point.
DIGITS = 4

#: Rows by the year would be hundreds of thousands: nobody reads more at once.
LONGEST = timedelta(days=366 * 5)


class NoSuchTime(ValueError):
    """A text is neither a day nor a time; its own text says what would be one."""


def span(since: str, until: str, now: datetime, zone: tzinfo) -> tuple[datetime, datetime]:
    """Return from when to when money is asked for; by default from the first of the month to now.

    A day without a time begins at midnight in *zone*, and so does a time without one of its own.

    :raises NoSuchTime: a text means no time, or the end is not after the beginning.
    """
    begin = moment(since, zone) if since else bounds(Period.MONTH, now, zone)[0]
    end = moment(until, zone) if until else now
    if end <= begin:
        raise NoSuchTime(
            f"the end, {end.astimezone(zone).isoformat()}, is not after the beginning, {begin.isoformat()}"
        )
    if end - begin > LONGEST:
        raise NoSuchTime(f"that is longer than {LONGEST.days} days: ask for a shorter time")
    return begin, end


def moment(text: str, zone: tzinfo) -> datetime:
    """Return the moment that a day (``2026-11-01``), a month (``2026-11``) or a time (``2026-11-01T08:00``) begins at.

    :raises NoSuchTime: it is none of these.
    """
    try:
        if len(text) == len("2026-11"):
            text += "-01"
        at = datetime.fromisoformat(text)
        at = at if at.tzinfo is not None else at.replace(tzinfo=zone)
        at.astimezone(zone)  # the first and last days of the calendar have no other zone
    except (ValueError, OverflowError) as error:
        raise NoSuchTime(f"{text!r} is no time: write 2026-11-01, 2026-11 or 2026-11-01T08:00") from error
    return at


def cost(
    shares: Iterable[Share], by: Sequence[str], since: datetime, until: datetime, zone: tzinfo, currency: str
) -> wire_records.CostList:
    """Return the money told apart *by* these keys: times in order, of each the greatest amount first. Rows add up to
    the total, to the last digit that is told."""
    by = list(dict.fromkeys(by))
    of_jobs = not wire_records.OF_JOBS.isdisjoint(by)
    days: dict[datetime, date] = {}
    amounts: dict[tuple[str, ...], float] = {}
    for share in shares:
        day = days.get(share.hour)
        if day is None:
            day = days[share.hour] = share.hour.astimezone(zone).date()
        parts = {"day": day.isoformat(), "month": day.isoformat()[:7]}
        key = [parts[one] if one in parts else getattr(share, one) for one in by]
        key.append(share.use if of_jobs and share.use != "job" else "")
        amounts[tuple(key)] = amounts.get(tuple(key), 0.0) + share.amount
    times = [at for at, one in enumerate(by) if one in ("day", "month")]
    order = sorted(amounts, key=lambda key: ([key[at] for at in times], -amounts[key], key))
    rounded = in_step([amounts[key] for key in order])
    names = [*by, "use"]
    told = [
        wire_records.CostRow(**dict(zip(names, key, strict=True)), amount=amount)
        for key, amount in zip(order, rounded, strict=True)
    ]
    return wire_records.CostList(
        tuple(told), tuple(by), utc_of(since), utc_of(until), round(sum(amounts.values()), DIGITS), currency
    )


def in_step(amounts: Iterable[float]) -> list[float]:
    """Return *amounts* rounded so that they add up to their rounded sum: each is off by less than its last digit."""
    found, whole, told = [], 0.0, 0.0
    for amount in amounts:
        whole += amount
        part = round(round(whole, DIGITS) - told, DIGITS)
        found.append(part)
        told = round(told + part, DIGITS)
    return found


def utc_of(at: datetime) -> str:
    """Return a moment of any zone as ISO 8601 in UTC."""
    return utc(at.astimezone(UTC))


def history(
    node: str,
    claims: Sequence[Claim],
    notes: Mapping[str, Sequence[LoggedNote]],
    now: datetime,
    currency: str,
    older: str = "",
) -> wire_records.NodeHistory:
    """Return what became of each claim of a node.

    :param notes: what the event log has of each, by launch key.
    :param older: where the claims before these are.
    """
    told = tuple([_story(claim, notes.get(claim.key, ()), now) for claim in claims])
    return wire_records.NodeHistory(node, told, currency, older)


def _story(claim: Claim, notes: Sequence[LoggedNote], now: datetime) -> wire_records.ClaimStory:
    end = claim.ended_at or now
    began = claim.launched_at if claim.instance_id else None
    lived = None if began is None else max(timedelta(0), end - began)
    return wire_records.ClaimStory(
        claim=claim.key,
        generation=claim.generation,
        kind=claim.kind.value,
        state=claim.state.value,
        site=claim.offer.site,
        offer=views.offer_text(claim.offer),
        image=claim.offer.image,
        price_per_hour=claim.offer.price_per_hour,
        instance=claim.instance_id,
        address=claim.address,
        jobs=claim.jobs,
        account=claim.account,
        wanted_at=utc(claim.created_at),
        launched_at=utc(claim.launched_at),
        running_at=utc(claim.listed_at),
        enrolled_at=utc(claim.enrolled_at),
        checked_at=utc(claim.ready_at),
        opened_at=utc(claim.opened_at),
        used_at=utc(claim.used_at),
        gone_at=utc(claim.ended_at),
        reason=claim.reason,
        failure=claim.failure,
        cost=_cost(claim, lived),
        lived_seconds=None if lived is None else round(lived.total_seconds(), 1),
        events=views.events(notes).events,
    )


def _cost(claim: Claim, lived: timedelta | None) -> float | None:
    """Return what its time costs by its price: the ledger books the same by the hour, but to pools and accounts."""
    if claim.offer.price_per_hour is None:
        return None
    hours = charged(claim.offer.billing, lived) / timedelta(hours=1) if lived is not None else 0.0
    return round(claim.offer.price_per_hour * hours, 4)
