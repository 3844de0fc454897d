"""Words from outside, between two decisions: a provider's answer, a worker's enrolment, its last word."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from clues.errors import NoCapacity, OutcomeUnknown, Throttled, Transient
from clues.model import (
    Claim,
    ClaimState,
    Instance,
    LaunchOutcome,
)
from clues.planner import after_last_word, after_launch
from tests.unit.builders import (
    IDLE,
    NOW,
    ago,
    make_instance,
)
from tests.unit.planner.claims import (
    BOOTING,
    FAILED,
    JOINING,
    LAUNCHING,
    READY,
    S,
    after,
    one,
)
from tests.unit.planner.deciding import drained, listed, plan


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (NoCapacity("full"), S.FAILED),
        (OutcomeUnknown("time-out"), S.LAUNCHING),
        (Transient("503"), S.LAUNCHING),
        (Throttled("slower"), S.LAUNCHING),
    ],
)
def test_what_a_refused_launch_makes_of_a_claim(error: Any, state: ClaimState) -> None:
    assert after_launch(LAUNCHING, LaunchOutcome(LAUNCHING.key, error=error), NOW).state is state


def test_an_answer_without_anything_fails_the_claim() -> None:
    assert after_launch(LAUNCHING, LaunchOutcome(LAUNCHING.key), NOW).state is S.FAILED


def test_a_vm_is_not_missed_in_listings_from_before_it_was_made() -> None:
    # the call waited for minutes at a slow site, whose listings rightly did not show the VM meanwhile
    waited = replace(LAUNCHING, launched_at=ago(minutes=9), missing_since=ago(minutes=8))
    made = after_launch(waited, LaunchOutcome(waited.key, make_instance(waited, id="i-9")), NOW)
    assert (made.state, made.instance_id) == (S.BOOTING, "i-9")
    assert after(listed(one(made)), made.node) is S.BOOTING


@pytest.mark.parametrize("state", [S.FAILED, S.STOPPING, S.JOINING])
def test_a_late_answer_only_adds_the_vm_so_that_it_can_be_ended(state: ClaimState) -> None:
    late = replace(LAUNCHING, state=state)
    instance: Instance = make_instance(LAUNCHING, id="i-9")
    told = after_launch(late, LaunchOutcome(late.key, instance), NOW)
    assert (told.state, told.instance_id) == (state, "i-9")


@pytest.mark.parametrize(
    ("claim", "state"), [(LAUNCHING, S.FAILED), (BOOTING, S.FAILED), (JOINING, S.FAILED), (READY, S.READY)]
)
def test_the_last_word_of_a_failing_boot(claim: Claim, state: ClaimState) -> None:
    told = after_last_word(claim, "no space", NOW)
    assert told.state is state
    assert ("no space" in told.reason) is (state is S.FAILED)


def test_a_failed_worker_is_closed_at_once_where_slurm_has_it_open() -> None:
    assert drained(plan(one(FAILED, IDLE, reason=""))) == {"cpu-1": "clues:stopping"}
