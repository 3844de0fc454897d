"""Amounts are read into one unit each, and none whose unit could be guessed wrong."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clues.units import Money, parse_duration, parse_memory, parse_money, show_duration, show_memory


@pytest.mark.parametrize(
    ("text", "mib"),
    [
        ("30GiB", 30 * 1024),
        ("512 MiB", 512),
        ("1TiB", 1024 * 1024),
        ("2048KiB", 2),
        ("32GB", 30517),
        ("1000MB", 953),
        ("1TB", 953674),
        ("1.5GiB", 1536),
    ],
)
def test_memory_becomes_whole_mib_rounded_down(text: str, mib: int) -> None:
    assert parse_memory(text) == mib


@pytest.mark.parametrize("text", ["30", "30 Gb", "30G", "GiB", "", "-1GiB", "1e3MiB", "1.GiB", "30GiB 2", "٣GiB"])
def test_memory_without_a_known_unit_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a memory: write a number and one of .*GiB.* such as '30GiB'"):
        parse_memory(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("90 sec", 90),
        ("10min", 600),
        ("10m", 600),
        ("2h", 7200),
        ("1d", 86400),
        ("250ms", 0.25),
        ("1.5h", 5400),
    ],
)
def test_a_duration_is_read_in_its_unit(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["90", "", "10 minutes", "1h30min", "-5s", "10:30"])
def test_a_duration_without_a_known_unit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


def test_money_keeps_its_currency() -> None:
    assert parse_money("0.49 USD") == Money(0.49, "USD")
    assert str(parse_money("25EUR")) == "25.00 EUR"


@pytest.mark.parametrize("text", ["25", "25 eur", "25 EURO", "€25", "-1 EUR", "EUR 25", ""])
def test_money_without_a_currency_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an amount of money"):
        parse_money(text)


@given(st.integers(0, 10**6))
def test_a_shown_duration_can_be_read_again_with_little_lost(seconds: int) -> None:
    back = parse_duration(show_duration(timedelta(seconds=seconds))).total_seconds()
    # It is told in a unit of which there are at least two, so half of one is at most a quarter.
    assert abs(back - seconds) <= max(0.25 * seconds, 0.5)


@given(st.integers(1, 10**7))
def test_shown_memory_can_be_read_again(mib: int) -> None:
    assert parse_memory(show_memory(mib)) == mib
