"""When a call is sent again: each claim at a moment of its own, and none while its site rests."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

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
