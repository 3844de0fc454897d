"""Hours of the week, as the clocks of their place show them."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from clues.config.windows import parse_windows
from clues.model import Warm

PRAGUE = ZoneInfo("Europe/Prague")


def at(text: str, *, fold: int = 0) -> datetime:
    """Return the moment at which Prague's clocks show this for the first (or second) time."""
    return datetime.fromisoformat(text).replace(tzinfo=PRAGUE, fold=fold).astimezone(UTC)


@pytest.mark.parametrize(
    ("written", "moment", "holds"),
    [
        ("Mon-Fri 08:00-18:00", "2026-01-16 07:59", False),
        ("Mon-Fri 08:00-18:00", "2026-01-16 08:00", True),
        ("Mon-Fri 08:00-18:00", "2026-07-17 08:00", True),
        ("Mon-Fri 08:00-18:00", "2026-07-17 17:59", True),
        ("Mon-Fri 08:00-18:00", "2026-07-17 18:00", False),
        ("Mon-Fri 08:00-18:00", "2026-07-18 12:00", False),
        ("Fri 22:00-02:00", "2026-07-18 01:59", True),
        ("Fri 22:00-02:00", "2026-07-17 01:59", False),
        ("Sun 22:00-02:00", "2026-07-20 01:00", True),
        ("00:00-24:00", "2026-07-18 23:59", True),
        ("08:00-08:00", "2026-07-18 07:59", True),
    ],
)
def test_a_window_opens_and_closes_by_the_clocks_of_its_place(written: str, moment: str, holds: bool) -> None:
    assert Warm(1, parse_windows(f"{written} Europe/Prague")).holds(at(moment)) is holds


def test_an_hour_that_comes_twice_counts_twice_and_one_that_is_left_out_not_at_all() -> None:
    (night,) = parse_windows("Sun 02:00-03:00 Europe/Prague")
    assert (night.holds(at("2026-10-25 02:30")), night.holds(at("2026-10-25 02:30", fold=1))) == (True, True)
    day = datetime(2026, 3, 29, tzinfo=UTC)
    assert not any(night.holds(day + timedelta(minutes=minute)) for minute in range(24 * 60))


def test_it_is_told_when_it_closes() -> None:
    warm = Warm(1, parse_windows("Mon-Fri 08:00-18:00, Sat 18:00-20:00 Europe/Prague"))
    assert warm.until(at("2026-07-17 09:30")) == at("2026-07-17 18:00")
    assert Warm(1).until(at("2026-07-17 09:30")) is None
