"""A forecast in a sentence, with the times of day in UTC and how far ahead they are."""

from __future__ import annotations

from datetime import datetime, timedelta

from clues.model import Forecast
from clues.units import show_duration, show_range

#: What is no farther ahead than this is as good as now.
SOON = timedelta(seconds=60)


def tell(forecast: Forecast, now: datetime) -> str:
    """Return when a job is expected to start, or that nobody can tell and why."""
    early, late = forecast.early, forecast.late
    why = f" It waits for {forecast.waits_for}." if forecast.waits_for else ""
    if late is None:
        if early is None or early - now <= SOON:
            return f"When it starts cannot be told.{why}"
        return f"Expected start not before {_clock(early, now)} (in {show_duration(early - now)}).{why}"
    if late - now <= SOON:
        return f"Expected start within {show_duration(late - now)}.{why}"
    if early is None or early - now <= SOON:
        return f"Expected start by {_clock(late, now)} (within {show_duration(late - now)}).{why}"
    when = f"between {_clock(early, now)} and {_clock(late, now)}"
    return f"Expected start {when} (in {show_range(early - now, late - now)}).{why}"


def _clock(at: datetime, now: datetime) -> str:
    return f"{at:%H:%M} UTC" if at.date() == now.date() else f"{at:%Y-%m-%d %H:%M} UTC"
