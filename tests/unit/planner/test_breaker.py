"""What failures teach, and what they do not."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

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
from clues.ledger import Commit, open_ledger
from clues.model import Claim, ClaimState, Memory, Pace
from clues.planner import learn_answer, learn_error, learn_failure
from clues.planner.capacity.breaker import learn_success, why_left_alone
from tests.unit.builders import NOW, ago, make_claim, make_offer

CLAIM = make_claim()
BOOTING = make_claim(state=ClaimState.BOOTING)
OFFER = CLAIM.offer
#: what is wrong with the pool's own VMs of it
OWN = f"cpu at {OFFER.key}"
PACE = Pace()


@pytest.mark.parametrize(
    ("error", "key"),
    [
        (NoCapacity("full"), OFFER.key),
        (InvalidRequest("no such flavor"), OWN),
        (QuotaExceeded("8 of 8"), "cesnet"),
        (AuthFailed("401"), "cesnet"),
        (Throttled("slower"), "cesnet"),
        (Transient("503"), "cesnet"),
        (OutcomeUnknown("?"), "cesnet"),
    ],
)
def test_what_is_held_against_whom(error: CloudError, key: str) -> None:
    assert list(learn_error(Memory(), CLAIM, error, NOW, PACE).breakers) == [key]


@pytest.mark.parametrize("code", ["boot", "join", "check", "provider", "launch"])
def test_a_boot_that_fails_is_held_against_its_pool_at_its_offer(code: str) -> None:
    assert list(learn_failure(Memory(), CLAIM, code, "why", NOW, PACE).breakers) == [OWN]


@pytest.mark.parametrize(
    "code", ["vanished", "silent", "stolen", "evicted", "unwanted", "second", "transient", "unknown-outcome", ""]
)
def test_what_passes_by_itself_is_forgiven(code: str) -> None:
    assert learn_failure(Memory(), CLAIM, code, "why", NOW, PACE) == Memory()


def nearly(wait: timedelta, minutes: float) -> bool:
    """Whether a wait is so many minutes, or a little longer by its own hash."""
    return timedelta(minutes=minutes) <= wait <= timedelta(minutes=minutes * 1.25)


def test_it_waits_twice_as_long_each_time_up_to_the_longest() -> None:
    memory, now, waits = Memory(), NOW, []
    for _ in range(7):
        memory = learn_failure(memory, CLAIM, "no-capacity", "full", now, PACE)
        waits.append(memory.breakers[OFFER.key].until - now)
        now = memory.breakers[OFFER.key].until + timedelta(seconds=1)
    assert all(nearly(wait, minutes) for wait, minutes in zip(waits, (2, 4, 8, 16, 30, 30, 30), strict=True))


def test_many_failures_at_once_are_one_lesson() -> None:
    memory = Memory()
    for _ in range(10):
        memory = learn_failure(memory, CLAIM, "no-capacity", "full", NOW, PACE)
    assert memory.breakers[OFFER.key].failures == 1
    assert nearly(memory.breakers[OFFER.key].until - NOW, 2)


def test_offers_that_fail_in_one_second_do_not_come_back_in_one_second() -> None:
    memory = Memory()
    for number in range(30):
        memory = learn_failure(
            memory, make_claim(offer=make_offer(flavor=f"m{number}")), "no-capacity", "full", NOW, PACE
        )
    ends = {int(one.until.timestamp()) for one in memory.breakers.values()}
    assert len(ends) > 15
    assert max(ends) - min(ends) > 20


def test_the_same_failure_always_waits_the_same_time() -> None:
    first, second = (learn_failure(Memory(), CLAIM, "no-capacity", "full", NOW, PACE) for _ in range(2))
    assert first == second


def test_a_failure_of_another_kind_starts_anew() -> None:
    memory = learn_failure(Memory(), CLAIM, "quota", "8 of 8", NOW, PACE)
    memory = learn_failure(memory, CLAIM, "auth", "401", NOW + timedelta(minutes=5), PACE)
    assert memory.breakers["cesnet"].failures == 1


@pytest.mark.parametrize("codes", [("boot", "check"), ("no-capacity", "reclaimed")], ids="-".join)
def test_failures_of_one_kind_are_one_row_whatever_they_are_called(codes: tuple[str, str]) -> None:
    memory = learn_failure(Memory(), CLAIM, codes[0], "dead", NOW, PACE)
    memory = learn_failure(memory, CLAIM, codes[1], "dead", NOW + timedelta(minutes=5), PACE)
    assert [one.failures for one in memory.breakers.values()] == [2]


def test_vms_of_one_burst_that_take_their_time_to_fail_are_one_lesson() -> None:
    claim, memory, now = replace(CLAIM, launched_at=ago(minutes=10)), Memory(), NOW
    for _ in range(10):
        memory = learn_failure(memory, claim, "boot", "dead", now, PACE)
        now += timedelta(minutes=1)
    assert memory.breakers[OWN].failures == 1


def test_another_image_is_not_held_to_what_the_last_one_did() -> None:
    memory = learn_failure(Memory(), CLAIM, "boot", "dead", NOW, PACE)
    mended = replace(OFFER, image="clues-worker-2")
    assert why_left_alone(memory, "cpu", OFFER, NOW)
    assert not why_left_alone(memory, "cpu", mended, NOW)
    assert not why_left_alone(memory, "gpu", OFFER, NOW)


def test_an_invalid_request_rests_for_long() -> None:
    memory = learn_failure(Memory(), CLAIM, "invalid", "no such image", NOW, PACE)
    assert nearly(memory.breakers[OWN].until - NOW, 30)


def test_the_providers_own_waiting_time_is_kept() -> None:
    memory = learn_error(Memory(), CLAIM, Throttled("slower", retry_after=timedelta(seconds=7)), NOW, PACE)
    assert memory.breakers["cesnet"].until == NOW + timedelta(seconds=7)


def test_a_rest_that_the_provider_prolongs_begins_anew() -> None:
    """Launches that were on their way are refused, too. A VM that was made between them says nothing of the last."""
    memory = Memory()
    for seconds in (0, 5):
        at = NOW + timedelta(seconds=seconds)
        memory = learn_error(memory, CLAIM, Throttled("slower", retry_after=timedelta(seconds=60)), at, PACE)
    assert memory.breakers["cesnet"].failed_at == NOW + timedelta(seconds=5)
    between = replace(BOOTING, launched_at=NOW + timedelta(seconds=2))
    assert "cesnet" in comes(memory, between).breakers


# --- what works again ------------------------------------------------------------------------------------------------


def comes(memory: Memory, claim: Claim = BOOTING) -> Memory:
    """Return what is remembered once a VM runs."""
    return learn_success(memory, claim, replace(claim, listed_at=NOW))


def failed(code: str = "no-capacity", times: int = 1) -> Memory:
    """Return what is remembered after so many failures, each when the last one's rest had ended."""
    memory, at = Memory(), ago(days=1)
    for _ in range(times):
        memory = learn_failure(memory, CLAIM, code, "full", at, PACE)
        at = max(one.until for one in memory.breakers.values())
    return memory


def test_a_vm_that_serves_before_its_site_was_listed_shows_that_there_is_room_and_does_so_once() -> None:
    memory = failed("no-capacity")
    joining = replace(CLAIM, state=ClaimState.JOINING, launched_at=NOW + timedelta(minutes=9), listed_at=None)
    ready = replace(joining, state=ClaimState.READY, ready_at=NOW)
    after = learn_success(memory, joining, ready)
    (breaker,) = after.breakers.values()
    assert breaker.allowed == 2
    assert learn_success(after, ready, replace(ready, listed_at=NOW)) == after


def test_each_vm_that_runs_doubles_what_may_be_asked_for_until_the_breaker_is_closed() -> None:
    memory, allowed = failed(times=3), []
    while memory.breakers:
        allowed.append(memory.breakers[OFFER.key].allowed)
        memory = comes(memory)
    assert allowed == [1, 2, 4, 8]


def test_a_failure_after_some_that_worked_begins_with_one_again() -> None:
    memory = comes(comes(failed(times=3)))
    again = learn_failure(memory, replace(CLAIM, launched_at=NOW), "no-capacity", "full", NOW, PACE)
    assert (again.breakers[OFFER.key].allowed, again.breakers[OFFER.key].failures) == (1, 2)


@pytest.mark.parametrize(("code", "left"), [("boot", 1), ("invalid", 0), ("quota", 2), ("auth", 0)])
def test_that_a_vm_runs_proves_capacity_quota_and_request_but_no_boot(code: str, left: int) -> None:
    memory = comes(failed(code))
    assert [one.allowed for one in memory.breakers.values()] == ([left] if left else [])


def test_that_a_node_has_passed_its_checks_proves_boots() -> None:
    running = replace(BOOTING, listed_at=ago(minutes=1))
    after = learn_success(failed("check"), running, replace(running, ready_at=NOW))
    assert after.breakers[OWN].allowed == 2


def test_that_an_image_on_trial_boots_says_nothing_of_the_pools() -> None:
    running = replace(BOOTING, listed_at=ago(minutes=1), probe=True)
    memory = failed("check")
    assert learn_success(memory, running, replace(running, ready_at=NOW)) == memory


def test_what_is_on_its_way_out_proves_nothing() -> None:
    memory = failed()
    assert comes(memory, make_claim(state=ClaimState.STOPPING)) == memory


def test_a_vm_that_was_launched_before_the_last_failure_says_nothing_of_what_came_after() -> None:
    """Else the first of a gang, made each time, would have its mate tried, and refused, without end."""
    memory = learn_failure(Memory(), CLAIM, "no-capacity", "full", NOW, PACE)
    before, after = (replace(BOOTING, launched_at=NOW + timedelta(seconds=seconds)) for seconds in (-1, 1))
    assert comes(memory, before) == memory
    assert comes(memory, after).breakers[OFFER.key].allowed == 2


# --- a site whose calls fail for no reason of its own ---------------------------------------------------------------


def unsteady(times: int, *, answers: bool = False) -> tuple[Memory, datetime]:
    """Return what is remembered when a site's calls have failed so often in a row, and the moment of the last."""
    memory, now = Memory(), NOW
    for _ in range(times):
        if answers:
            memory = learn_answer(memory, "cesnet")
        now = memory.breakers["cesnet"].until if "cesnet" in memory.breakers else now
        memory = learn_error(memory, CLAIM, Transient("503"), now, PACE)
    return memory, now


def test_it_rests_for_seconds_at_first_and_longer_each_time() -> None:
    rests = [(memory.breakers["cesnet"].until - now).total_seconds() for memory, now in map(unsteady, range(1, 12))]
    assert 2 <= rests[0] <= 2.5
    assert all(later > earlier * 1.5 for earlier, later in pairwise(rests[:6]))
    assert max(rests) <= PACE.retry_offer.total_seconds() * 1.25


def test_how_often_it_failed_is_remembered_over_a_restart() -> None:
    ledger = open_ledger(None)
    memory, now = unsteady(5)
    ledger.commit(Commit(memory=memory))
    until = memory.breakers["cesnet"].until
    after = learn_error(ledger.memory(), CLAIM, Transient("503"), until, PACE)
    assert after.breakers["cesnet"].failures == 6
    assert after.breakers["cesnet"].until - until > until - now


def test_one_good_answer_begins_the_row_anew() -> None:
    memory, _ = unsteady(5, answers=True)
    assert memory.breakers["cesnet"].failures == 1


def test_a_good_answer_takes_back_nothing_else() -> None:
    memory = learn_failure(Memory(), CLAIM, "quota", "full", NOW, PACE)
    assert learn_answer(memory, "cesnet") is memory


def test_a_hiccup_sends_no_job_elsewhere_and_a_row_of_failures_does() -> None:
    for times, held in ((1, False), (2, False), (3, True)):
        memory, now = unsteady(times)
        assert bool(why_left_alone(memory, "cpu", OFFER, now)) == held


def test_what_a_site_has_said_of_itself_is_not_forgotten_for_a_failure_without_reason() -> None:
    memory = learn_failure(Memory(), CLAIM, "quota", "8 of 8", NOW, PACE)
    assert learn_error(memory, CLAIM, Transient("503"), NOW, PACE) is memory
