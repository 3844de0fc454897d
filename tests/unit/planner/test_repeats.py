"""When a call is sent again: each claim at a moment of its own, and none while its site rests."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from clues.model import Breaker, Claim, ClaimState, Limits, Listing, Memory, Observed, World
from clues.planner import decide
from clues.planner.capacity.spread import MOST, spread
from tests.unit.builders import CLOSED, NOW, OFF, ago, ahead, make_claim, make_pool, make_settings, make_site
from tests.unit.planner.deciding import cluster, launched, terminated

COUNT = 30
SETTINGS = make_settings([make_pool(count=COUNT)], [make_site(limits=Limits())])
NAMES = SETTINGS.pools["cpu"].nodes


def at(world: World, now: datetime) -> World:
    """Return the world, looked at a moment ago."""
    assert world.lrms.value is not None
    listings = {
        site: Observed(Listing(site, now, one.value.instances), now)
        for site, one in world.listings.items()
        if one.value
    }
    snapshot = replace(world.lrms.value, taken_at=now)
    return replace(world, lrms=Observed(snapshot, now), listings=listings)


def seconds_until_all(claims: list[Claim], memory: Memory, *, ending: bool = False) -> list[int]:
    """Return for each second from now how many of the claims' calls are sent then, until all are."""
    flags = OFF if ending else CLOSED
    world = cluster([], claims, SETTINGS, dict.fromkeys(NAMES, flags), memory=memory)
    sent: dict[str, int] = {}
    for second in range(400):
        now = NOW + timedelta(seconds=second)
        decided = decide(at(world, now), SETTINGS, now)
        for name in (*launched(decided), *terminated(decided)):
            sent.setdefault(name, second)
        if len(sent) == len(claims):
            break
    assert len(sent) == len(claims)
    return sorted(sent.values())


def launching(launches: int = 4) -> list[Claim]:
    when = {"since": NOW, "launched_at": NOW, "launches": launches}
    return [make_claim(name, ClaimState.LAUNCHING, **when) for name in NAMES]


def test_launches_that_failed_together_are_not_repeated_together() -> None:
    sent = seconds_until_all(launching(), Memory())
    assert sent[0] >= 16
    assert sent[-1] <= 16 * (1 + MOST) + 2
    assert len(set(sent)) >= 4


def test_launches_wait_for_their_site_to_rest_and_then_come_back_one_after_the_other() -> None:
    memory = Memory({"cesnet": Breaker("cesnet", "throttled", "slower", NOW, ahead(seconds=60))})
    sent = seconds_until_all(launching(1), memory)
    assert sent[0] >= 60
    assert sent[-1] <= 76
    assert len(set(sent)) >= 10


def sent_beside(breaker: Breaker, claims: list[Claim]) -> list[str]:
    """Return whose launches are sent now, though all of them were sent once and came to nothing."""
    world = cluster([], claims, SETTINGS, dict.fromkeys(NAMES, CLOSED), memory=Memory({breaker.key: breaker}))
    return sorted(launched(decide(at(world, NOW), SETTINGS, NOW)))


def lost(name: str, minutes: int = 2, **more: Any) -> Claim:
    """Return a claim whose call failed some minutes ago."""
    when = {"since": ago(minutes=minutes), "launched_at": ago(minutes=minutes), "launches": 1}
    return make_claim(name, ClaimState.LAUNCHING, **when, **more)


FULL = Breaker(
    make_claim().offer.key, "no-capacity", "full", ago(seconds=90), ahead(seconds=30), failed_at=ago(seconds=90)
)
TRIED = replace(FULL, until=ago(seconds=1))


def test_nothing_is_sent_again_while_its_offer_is_left_alone() -> None:
    claims = [lost(name) for name in NAMES[:3]]
    assert sent_beside(replace(FULL, code="transient"), claims) == [one.key for one in claims]
    assert sent_beside(FULL, claims) == []


def test_of_those_to_be_sent_again_one_tries_whether_there_is_room() -> None:
    claims = [lost(name) for name in NAMES[:5]]
    assert sent_beside(TRIED, claims) == [claims[0].key]
    assert sent_beside(replace(TRIED, allowed=4), claims) == [one.key for one in claims[:4]]
    tries = make_claim(NAMES[6], ClaimState.LAUNCHING, launched_at=ago(seconds=1), launches=1)
    assert sent_beside(TRIED, [*claims, tries]) == []


def test_a_trial_is_sent_again_whatever_is_held_against_the_vms_of_its_pool() -> None:
    closed = replace(FULL, key=f"cpu at {FULL.key}", code="boot", owner="cpu")
    assert sent_beside(closed, [lost(NAMES[0], probe=True)]) == [lost(NAMES[0]).key]
    assert sent_beside(closed, [lost(NAMES[0])]) == []


def test_the_nodes_of_one_gang_are_sent_again_together() -> None:
    claims = [lost(name, jobs=("7",), gang="7", gang_size=3) for name in NAMES[:3]]
    assert sent_beside(TRIED, [*claims, lost(NAMES[4])]) == [one.key for one in claims]


def stopping() -> list[Claim]:
    when = {"since": ago(minutes=1), "terminated_at": NOW - timedelta(seconds=1)}
    return [make_claim(name, ClaimState.STOPPING, **when) for name in NAMES[:15]]


def test_terminations_that_had_no_effect_are_not_repeated_together() -> None:
    sent = seconds_until_all(stopping(), Memory(), ending=True)
    assert sent[0] >= 19
    assert len(set(sent)) >= 4
    assert sent[-1] <= 26


def test_terminations_wait_for_their_site_to_rest_but_not_for_long() -> None:
    for rest, first, last in ((40, 39, 52), (3600, 118, 121)):
        memory = Memory({"cesnet": Breaker("cesnet", "throttled", "slower", NOW, ahead(seconds=rest))})
        sent = seconds_until_all(stopping(), memory, ending=True)
        assert first <= sent[0] <= sent[-1] <= last


def test_a_first_termination_waits_for_nothing() -> None:
    claims = [replace(one, terminated_at=None) for one in stopping()[:3]]
    memory = Memory({"cesnet": Breaker("cesnet", "throttled", "slower", NOW, ahead(hours=1))})
    assert seconds_until_all(claims, memory, ending=True) == [0, 0, 0]


def test_the_spread_follows_from_the_names_alone_and_only_makes_longer() -> None:
    wait = timedelta(seconds=100)
    found = [spread(wait, "claim", number) for number in range(200)]
    assert found == [spread(wait, "claim", number) for number in range(200)]
    assert all(wait <= one <= wait * (1 + MOST) for one in found)
    assert max(found) - min(found) > wait * MOST * 0.9
