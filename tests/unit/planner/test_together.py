"""VMs that are asked for in one call: who is in it is committed first, and it is sent again as it was or not at all."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from clues.errors import NoCapacity, OutcomeUnknown, QuotaExceeded, Throttled
from clues.model import Claim, ClaimState, InstanceState, Kind, Launch, LaunchOutcome, LaunchTogether, Open, Plan
from clues.planner import after_launch, decide
from clues.planner.claims.batches import in_batches
from tests.unit.builders import NOW, OFF, ago, make_claim, make_instance, make_offer, make_pool, make_settings
from tests.unit.planner.deciding import cluster, listed

S = ClaimState
SIZES = {"cesnet": 4}
SETTINGS = make_settings([make_pool(count=12)])
NAMES = SETTINGS.pools["cpu"].nodes
#: far enough apart that a VM which two listings lack is taken for gone
LONG_AGO = NOW - SETTINGS.pace.vanished_after - timedelta(minutes=1)


def new(count: int, **more: Any) -> list[Claim]:
    """Return claims whose first launch is in the plan."""
    return [make_claim(name, S.LAUNCHING, launches=1, **more) for name in NAMES[:count]]


def planned(claims: list[Claim], sizes: dict[str, int] | None = None) -> Plan:
    plan = Plan(claims=tuple(claims), actions=(Open(("x",)), *(Launch(claim.key) for claim in claims)))
    return in_batches(plan, SIZES if sizes is None else sizes)


def calls(plan: Plan) -> list[int]:
    """Return how many VMs each call of a plan is for."""
    return [
        len(one.keys) if isinstance(one, LaunchTogether) else 1 for one in plan.actions if not isinstance(one, Open)
    ]


def sent(keys: tuple[str, ...], **more: Any) -> list[Claim]:
    """Return claims that were sent in one call some minutes ago, and nobody knows what became of it."""
    when = {"since": ago(minutes=5), "launched_at": ago(minutes=5), "launches": 1, **more}
    return [make_claim(key[:-2], S.LAUNCHING, batch=keys, **when) for key in keys]


def world_of(*claims: Claim, **more: Any) -> Any:
    return cluster([], list(claims), SETTINGS, dict.fromkeys(NAMES, OFF), **more)


def test_launches_of_one_offer_are_put_together_and_each_claim_says_with_whom() -> None:
    plan = planned(new(10))
    assert calls(plan) == [4, 4, 2]
    for action in plan.actions:
        if isinstance(action, LaunchTogether):
            assert {one.batch for one in plan.claims if one.key in action.keys} == {action.keys}
    assert sum(bool(one.batch) for one in plan.claims) == 10
    assert plan.actions[0] == Open(("x",))


def test_a_site_that_makes_one_at_a_time_is_asked_so() -> None:
    for sizes in ({}, {"cesnet": 1}):
        plan = planned(new(3), sizes)
        assert calls(plan) == [1, 1, 1]
        assert not any(one.batch for one in plan.claims)


APART = {
    "another offer": {"offer": make_offer("cesnet", "large")},
    "another pool": {"pool": "gpu"},
    "a gang": {"gang": "77"},
    "another CA": {"created_at": NOW},
    "a router": {"kind": Kind.ROUTER},
    "an address of its own": {"address": "10.77.1.10"},
    "a tunnel of its own": {"tunnel": "10.77.252.10"},
    "a trial of an image": {"probe": True},
    "one that was sent before": {"launches": 2},
}


@pytest.mark.parametrize("name", APART)
def test_what_is_not_alike_is_not_asked_for_in_one_call(name: str) -> None:
    *others, last = new(3)
    plan = planned([*others, replace(last, **APART[name])])  # type: ignore[arg-type]
    assert calls(plan) == [2, 1]


def test_a_gang_is_in_one_call_where_it_fits() -> None:
    gang = [replace(one, gang="77") for one in new(8)[4:]]
    plan = planned([*new(3), *gang])
    assert calls(plan) == [3, 4]


def test_a_call_is_sent_again_as_it_was_and_never_with_others() -> None:
    claims = sent(("cpu-01-1", "cpu-02-1"))
    world = listed(world_of(*claims))
    plan = in_batches(decide(world, SETTINGS, NOW), SIZES)
    assert [one for one in plan.actions if isinstance(one, Launch | LaunchTogether)] == [
        LaunchTogether(("cpu-01-1", "cpu-02-1"))
    ]
    assert {one.launches for one in plan.claims} == {2}


def test_a_call_waits_until_it_is_due_for_all_of_them() -> None:
    first, second = sent(("cpu-01-1", "cpu-02-1"))
    for claims, more in (
        ([first, replace(second, launched_at=NOW)], {}),
        ([first, second], {"in_flight": frozenset({second.key})}),
    ):
        plan = decide(listed(replace(world_of(*claims), **more)), SETTINGS, NOW)
        assert [one for one in plan.actions if isinstance(one, Launch)] == []


@pytest.mark.parametrize(
    ("mate", "code"),
    [
        ({"state": S.BOOTING, "instance_id": "i-1"}, "no-capacity"),
        ({"state": S.FAILED}, "unknown-outcome"),
        ({"batch": ()}, "unknown-outcome"),
    ],
    ids=["was made", "was given up", "was refused"],
)
def test_a_call_that_is_not_whole_any_more_is_not_sent_and_who_is_left_over_is_given_up(
    mate: dict[str, Any], code: str
) -> None:
    first, second = sent(("cpu-01-1", "cpu-02-1"))
    second = replace(second, **mate)
    seen = [make_instance(second, state=InstanceState.PENDING)] if second.instance_id else []
    plan = decide(listed(world_of(first, second), *seen), SETTINGS, NOW)
    assert not [one for one in plan.actions if isinstance(one, Launch) and one.key == first.key]
    assert not [one for one in plan.claims if one.key == first.key and one.failure]  # a listing may be old
    missing = replace(first, launched_at=LONG_AGO, missing_since=LONG_AGO)
    plan = decide(listed(world_of(missing, second), *seen), SETTINGS, NOW)
    (after,) = [one for one in plan.claims if one.key == first.key]
    assert (after.state, after.failure) == (S.FAILED, code)


def answer(claim: Claim, error: Any) -> Claim:
    return after_launch(claim, LaunchOutcome(claim.key, error=error), NOW)


def test_a_call_that_is_more_than_the_quota_holds_is_halved_and_new_calls_are_made_of_it() -> None:
    keys = tuple(f"{name}-1" for name in NAMES[:8])
    claims = [answer(one, QuotaExceeded("32 of 32")) for one in sent(keys)]
    assert {(one.state, one.batch, one.batch_most, one.launches) for one in claims} == {(S.LAUNCHING, (), 4, 0)}
    plan = in_batches(decide(world_of(*claims), SETTINGS, NOW), {"cesnet": 40})
    assert calls(plan) == [4, 4]
    halves = [answer(one, QuotaExceeded("32 of 32")) for one in sent(("cpu-01-1", "cpu-02-1"))]
    plan = in_batches(decide(world_of(*halves), SETTINGS, NOW), {"cesnet": 40})
    assert calls(plan) == [1, 1]
    alone = answer(replace(halves[0], launches=1), QuotaExceeded("32 of 32"))
    assert (alone.state, alone.failure) == (S.FAILED, "quota")


def test_a_gang_that_is_more_than_the_quota_holds_is_not_halved() -> None:
    (first, _) = sent(("cpu-01-1", "cpu-02-1"), gang="77")
    assert answer(first, QuotaExceeded("32 of 32")).failure == "quota"


@pytest.mark.parametrize("error", [OutcomeUnknown("lost"), Throttled("slower")], ids=lambda one: type(one).__name__)
def test_a_call_whose_end_is_not_known_stays_the_same_call(error: Exception) -> None:
    (first, _) = sent(("cpu-01-1", "cpu-02-1"))
    assert (answer(first, error).state, answer(first, error).batch) == (S.LAUNCHING, first.batch)
    assert answer(first, NoCapacity("full")).failure == "no-capacity"
