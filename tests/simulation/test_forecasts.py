"""Forecasts come true in a world without faults, and those of a broken forecaster do not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from clues.model import Accuracy
from clues.planner.forecasts import spans
from clues.planner.forecasts.boots import BootTime, boot_time
from clues.simulation.play import play

#: Of the first forecasts that said by when so many come true: boots there are spread widely, and jobs come in between.
BOUND = 0.6


def accuracy() -> Accuracy:
    """Return how good the forecasts of two worlds were together."""
    worlds = [play("kind", seed).daemon.books.memory.accuracy for seed in (0, 1)]
    told, inside, untold = (sum(getattr(one, name) for one in worlds) for name in ("told", "inside", "untold"))
    return Accuracy(told, inside, untold, error_seconds=sum(one.error_seconds for one in worlds))


def test_most_jobs_start_when_they_were_expected_to() -> None:
    found = accuracy()
    assert found.told >= 15
    assert found.untold <= found.told
    assert found.mean_error is not None
    assert found.mean_error < timedelta(seconds=60), "boots take about 40 s there"
    assert found.share_inside is not None
    assert found.share_inside >= BOUND


def test_a_forecaster_that_takes_boots_for_shorter_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def shorter(*args: Any, **more: Any) -> BootTime:
        told = boot_time(*args, **more)
        return BootTime(told.early / 4, told.likely / 4, told.late / 4, told.source, told.seen)

    monkeypatch.setattr(spans, "boot_time", shorter)
    share = accuracy().share_inside
    assert share is not None
    assert share < BOUND
