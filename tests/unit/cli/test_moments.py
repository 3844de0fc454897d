"""A moment as people write it: on their own clocks, which show some times twice a year and some never."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from clues.cli.moments import parse_moment

PRAGUE = ZoneInfo("Europe/Prague")
#: a Monday, 15:00 in Prague
SINCE = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("now", "2026-03-02T14:00"),
        ("+2h", "2026-03-02T16:00"),
        ("+90min", "2026-03-02T15:30"),
        ("16:00", "2026-03-02T15:00"),
        ("15:00", "2026-03-03T14:00"),
        ("08:00", "2026-03-03T07:00"),
        ("today 08:00", "2026-03-02T07:00"),
        ("tomorrow 8:00", "2026-03-03T07:00"),
        ("Sat 22:30", "2026-03-07T21:30"),
        ("monday 23:00", "2026-03-02T22:00"),
        ("2026-03-14", "2026-03-13T23:00"),
        ("2026-03-14T08:00", "2026-03-14T07:00"),
        ("2026-03-14 08:00:30", "2026-03-14T07:00:30"),
        ("2026-07-14T08:00", "2026-07-14T06:00"),
        ("2026-03-14T08:00Z", "2026-03-14T08:00"),
        ("2026-03-14T08:00-05:00", "2026-03-14T13:00"),
    ],
)
def test_it_is_read_on_the_clocks_of_the_place(text: str, moment: str) -> None:
    assert parse_moment(text, SINCE, PRAGUE) == datetime.fromisoformat(moment).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("soon", "is no time: write"),
        ("25:00", "is no time: write"),
        ("Sat", "is no time: write"),
        ("Sat 8", "is no time: write"),
        ("nextweek 08:00", "is no time: write"),
        ("2026-02-30T08:00", "is no time: write"),
        ("", "is no time: write"),
        ("+2", "is not a duration"),
        ("2026-03-29T02:30", "does not exist: the clocks are set forward"),
        ("2026-10-25T02:30", r"comes twice, .*write 2026-10-25T02:30\+0200 or 2026-10-25T02:30\+0100"),
    ],
)
def test_what_names_no_single_moment_is_refused(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse_moment(text, SINCE, PRAGUE)


def test_both_of_the_two_that_may_be_meant_can_be_written() -> None:
    first, second = (parse_moment(f"2026-10-25T02:30{offset}", SINCE, PRAGUE) for offset in ("+0200", "+0100"))
    assert (second - first).total_seconds() == 3600


def test_a_day_on_which_clocks_change_is_not_of_24_hours() -> None:
    evening = datetime(2026, 3, 28, 17, 0, tzinfo=UTC)  # 18:00 in Prague
    assert parse_moment("18:00", evening, PRAGUE) == datetime(2026, 3, 29, 16, 0, tzinfo=UTC)
    assert parse_moment("+24h", evening, PRAGUE) == datetime(2026, 3, 29, 17, 0, tzinfo=UTC)


def test_without_a_zone_it_is_this_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "Europe/Prague")
    time.tzset()
    try:
        assert parse_moment("16:00", SINCE) == datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
        with pytest.raises(ValueError, match="does not exist"):
            parse_moment("2026-03-29T02:30", SINCE)
    finally:
        monkeypatch.undo()
        time.tzset()
