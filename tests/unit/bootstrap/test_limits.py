"""Counting refused tickets is fair to those who wait, and does not grow."""

from __future__ import annotations

from datetime import timedelta

from clues.bootstrap.limits import FailureBrake, Limits

LIMITS = Limits(failures=3, failure_window=timedelta(seconds=60))


def test_an_address_waits_until_its_oldest_failure_has_left_the_window() -> None:
    brake = FailureBrake(LIMITS)
    for at in (0.0, 10.0):
        brake.failed("10.0.0.1", "k", at)
    assert brake.wait_seconds("10.0.0.1", "k", 20.0) == 0
    brake.failed("10.0.0.1", "k", 20.0)
    assert brake.wait_seconds("10.0.0.1", "k", 21.0) == 39.0
    assert brake.wait_seconds("10.0.0.2", "k", 21.0) == 0
    assert brake.wait_seconds("10.0.0.1", "another", 21.0) == 0
    assert brake.wait_seconds("10.0.0.1", "k", 60.0) == 0


def test_only_so_many_addresses_are_remembered() -> None:
    brake = FailureBrake(LIMITS, addresses=100)
    for number in range(1000):
        brake.failed(f"10.0.{number // 256}.{number % 256}", "", 0.0)
    assert len(brake._failures) == 100
