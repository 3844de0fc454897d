"""What failures teach, and what they do not."""

from __future__ import annotations

from datetime import timedelta

import pytest

from clues.errors import (
    AuthFailed,
    CloudError,
    InvalidRequest,
    NoCapacity,
    OutcomeUnknown,
    QuotaExceeded,
    Throttled,
    Transient,
)
from clues.model import Memory, Pace
from clues.planner import learn_error, learn_failure
from clues.planner.breaker import learn_success
from tests.unit.builders import NOW, make_claim, make_offer

OFFER = make_offer()
PACE = Pace()


@pytest.mark.parametrize(
    ("error", "key"),
    [
        (NoCapacity("full"), OFFER.key),
        (InvalidRequest("no such flavor"), OFFER.key),
        (QuotaExceeded("8 of 8"), "cesnet"),
        (AuthFailed("401"), "cesnet"),
        (Throttled("slower"), "cesnet"),
        (Transient("503"), None),
        (OutcomeUnknown("?"), None),
    ],
)
def test_what_is_held_against_whom(error: CloudError, key: str | None) -> None:
    assert list(learn_error(Memory(), OFFER, error, NOW, PACE).breakers) == ([key] if key else [])


@pytest.mark.parametrize("code", ["boot", "join", "check", "provider", "launch"])
def test_a_boot_that_fails_is_held_against_its_offer(code: str) -> None:
    assert list(learn_failure(Memory(), OFFER, code, "why", NOW, PACE).breakers) == [OFFER.key]


@pytest.mark.parametrize("code", ["vanished", "unwanted", "second", "transient", "unknown-outcome", ""])
def test_what_passes_by_itself_is_forgiven(code: str) -> None:
    assert learn_failure(Memory(), OFFER, code, "why", NOW, PACE) == Memory()


def test_it_waits_twice_as_long_each_time_up_to_the_longest() -> None:
    memory, now, waits = Memory(), NOW, []
    for _ in range(7):
        memory = learn_failure(memory, OFFER, "no-capacity", "full", now, PACE)
        waits.append(memory.breakers[OFFER.key].until - now)
        now = memory.breakers[OFFER.key].until + timedelta(seconds=1)
    assert waits == [timedelta(minutes=m) for m in (2, 4, 8, 16, 30, 30, 30)]


def test_many_failures_at_once_are_one_lesson() -> None:
    memory = Memory()
    for _ in range(10):
        memory = learn_failure(memory, OFFER, "no-capacity", "full", NOW, PACE)
    assert memory.breakers[OFFER.key].until == NOW + PACE.retry_offer


def test_a_failure_of_another_kind_starts_anew() -> None:
    memory = learn_failure(Memory(), OFFER, "no-capacity", "full", NOW, PACE)
    memory = learn_failure(memory, OFFER, "boot", "dead", NOW + timedelta(minutes=5), PACE)
    assert memory.breakers[OFFER.key].failures == 1


def test_the_providers_own_waiting_time_is_kept() -> None:
    memory = learn_error(Memory(), OFFER, Throttled("slower", retry_after=timedelta(seconds=7)), NOW, PACE)
    assert memory.breakers["cesnet"].until == NOW + timedelta(seconds=7)


def test_what_works_is_forgiven_at_once() -> None:
    memory = learn_failure(Memory(), OFFER, "no-capacity", "full", NOW, PACE)
    memory = learn_failure(memory, OFFER, "quota", "full", NOW, PACE)
    other = make_offer("upv")
    memory = learn_failure(memory, other, "no-capacity", "full", NOW, PACE)
    assert list(learn_success(memory, make_claim()).breakers) == [other.key]
