"""How a forecast reads: with the time of day and how far ahead it is, and honestly where nobody knows."""

from __future__ import annotations

from datetime import timedelta

import pytest

from clues.cli import words
from clues.model import Forecast
from clues.planner.explain import explain
from clues.planner.forecasts.telling import tell
from clues.units import show_range
from tests.unit.builders import NOW, ahead, hybrid


@pytest.mark.parametrize(
    ("forecast", "text"),
    [
        pytest.param(
            Forecast(ahead(minutes=38), ahead(minutes=50), ahead(minutes=75), "nodes"),
            "Expected start between 14:38 UTC and 15:15 UTC (in 38-75 min). It waits for nodes.",
            id="between",
        ),
        pytest.param(Forecast(NOW, None, ahead(minutes=75)), "Expected start by 15:15 UTC (within 75 min).", id="by"),
        pytest.param(Forecast(NOW, NOW, ahead(seconds=30)), "Expected start within 30 s.", id="soon"),
        pytest.param(
            Forecast(ahead(hours=10), waits_for="its begin time"),
            "Expected start not before 2026-03-03 00:00 UTC (in 10 h). It waits for its begin time.",
            id="not before",
        ),
        pytest.param(Forecast(NOW, waits_for="x"), "When it starts cannot be told. It waits for x.", id="unknown"),
    ],
)
def test_a_forecast_reads_so(forecast: Forecast, text: str) -> None:
    assert tell(forecast, NOW) == text


def test_explain_ends_with_it() -> None:
    assert explain(hybrid(), "4242", []).endswith("(in 38-75 min). It waits for running jobs of gpu.")


@pytest.mark.parametrize(
    ("early", "late", "text"),
    [
        (180.0, 300.0, "in 3-5 min"),
        (290.0, 310.0, "in 5 min"),
        (0.0, 2100.0, "within 35 min"),
        (0.0, 30.0, "within 30 s"),
        (50.0, 70.0, "in 50-70 s"),
        (None, None, "unknown"),
        (10.0, None, "unknown"),
    ],
)
def test_a_table_says_it_shortly(early: float | None, late: float | None, text: str) -> None:
    assert words.expected(early, late) == text


def test_what_is_only_known_not_to_come_before_says_so() -> None:
    assert words.expected(3600.0, None).startswith("not before ")


def test_a_range_is_told_in_the_unit_of_its_end() -> None:
    assert show_range(timedelta(seconds=30), timedelta(minutes=30)) == "0-30 min"
    assert show_range(timedelta(seconds=1), timedelta(seconds=4)) == "1.0-4.0 s"
