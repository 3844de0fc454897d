"""A gang that was bought for one site is kept there while it is pending, and its user's own words are not lost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from clues.model import Claim, ClaimState, Job, Memory, Open, Operator, Pin, Pinned, Plan, Settings, Verdict, World
from clues.planner import decide
from clues.planner.buying.pins import MOST_TRIES
from tests.unit.builders import (
    BUSY,
    CLOSED,
    IDLE,
    NOW,
    ago,
    make_claim,
    make_offer,
    make_pool,
    make_settings,
    make_site,
)
from tests.unit.planner.claims import GOOD
from tests.unit.planner.deciding import bought_at, cluster, job, of

S = ClaimState
OFFERS = (make_offer("cesnet"), make_offer("aws", "c7i", price_per_hour=0.5))
SITES = [make_site("cesnet"), make_site("aws")]
FEATURES = frozenset({"cpu", "cesnet", "aws"})


def settings(**pool: Any) -> Settings:
    return make_settings([make_pool(count=6, offers=list(OFFERS), **pool)], SITES)


TWO_SITES = settings()


def mate(number: int, state: ClaimState = S.BOOTING, site: str = "aws", **more: Any) -> Claim:
    offer = next(one for one in OFFERS if one.site == site)
    vm = {"facts": GOOD, "launched_at": ago(minutes=1), "since": ago(seconds=9), "created_at": ago(minutes=2)}
    return make_claim(
        f"cpu-{number}", state, **{"offer": offer, "jobs": ("101",), "gang": "101", "gang_size": 2, **vm, **more}
    )


BOTH = (mate(1), mate(2))


def gang(constraint: str = "", **more: Any) -> Job:
    return job(101, cpus=8, nodes=2, constraint=constraint, **more)


def pinned(site: str = "aws", original: str = "", tries: int = 0) -> Memory:
    return Memory(pins={"101": Pinned("101", site, original, tries)})


def seen(*claims: Claim, wanted: Job | None = None, memory: Memory | None = None, **more: Any) -> World:
    configured = more.pop("settings", TWO_SITES)
    flags = {claim.node: CLOSED for claim in claims if claim.state is S.JOINING} | more.pop("flags", {})
    jobs = [wanted or gang()]
    world = cluster(jobs, claims, configured, flags, memory=memory or Memory(), **more)
    assert world.lrms.value is not None
    nodes = {name: replace(node, features=FEATURES) for name, node in world.lrms.value.nodes.items()}
    return replace(world, lrms=replace(world.lrms, value=replace(world.lrms.value, nodes=nodes)))


def plan(world: World, configured: Settings = TWO_SITES) -> Plan:
    return decide(world, configured, NOW)


def pins(decided: Plan) -> list[tuple[str, str]]:
    return [(one.site, one.original) for one in of(decided, Pin)]


def told(decided: Plan) -> list[str]:
    return [note.text for note in decided.notes if note.kind == "pin"]


@pytest.mark.parametrize("original", ["", "cpu", "cpu|fast", "cpu&fast", "(cpu|fast)&cpu"])
def test_a_gang_is_pinned_where_it_is_bought_with_its_own_constraint_remembered(original: str) -> None:
    decided = plan(seen(*BOTH, wanted=gang(original)))
    assert pins(decided) == [("aws", original)]
    assert decided.memory.pins == {"101": Pinned("101", "aws", original, 1)}
    assert told(decided) == ["kept at aws, where its nodes come"]


def test_it_is_pinned_in_the_decision_that_buys_it() -> None:
    decided = plan(seen())
    assert bought_at(decided) == ["cesnet", "cesnet"]
    assert pins(decided) == [("cesnet", "")]


def test_it_is_pinned_before_its_nodes_are_opened() -> None:
    actions = plan(seen(mate(1, S.JOINING), mate(2, S.JOINING))).actions
    kinds = [type(one) for one in actions]
    assert kinds.index(Pin) < kinds.index(Open)


@pytest.mark.parametrize(
    "present", ["aws", pytest.param("aws&cpu", id="in another order"), pytest.param("(cpu)&aws", id="in brackets")]
)
def test_one_that_is_pinned_is_left_as_it_is(present: str) -> None:
    original = "cpu" if "cpu" in present else ""
    decided = plan(seen(*BOTH, wanted=gang(present), memory=pinned("aws", original, 2)))
    assert (pins(decided), told(decided)) == ([], [])
    assert decided.memory.pins["101"].tries == 0


def test_a_pin_that_was_lost_is_made_again() -> None:
    assert pins(plan(seen(*BOTH, memory=pinned()))) == [("aws", "")]


@pytest.mark.parametrize(
    ("wanted", "configured"),
    [
        pytest.param(gang("aws"), TWO_SITES, id="names a site"),
        pytest.param(gang("aws|cesnet"), TWO_SITES, id="names both"),
        pytest.param(gang("[cpu|fast]"), TWO_SITES, id="brackets"),
        pytest.param(gang("cpu*2"), TWO_SITES, id="counts"),
        pytest.param(gang("cpu&"), TWO_SITES, id="cannot be read"),
        pytest.param(gang(state="RUNNING"), TWO_SITES, id="runs"),
        pytest.param(gang(), settings(span=True), id="may span sites"),
        pytest.param(gang(array_id="101"), TWO_SITES, id="array"),
        pytest.param(gang(het_id="101"), TWO_SITES, id="het job"),
    ],
)
def test_what_is_not_pinned(wanted: Job, configured: Settings) -> None:
    decided = plan(seen(*BOTH, wanted=wanted, settings=configured), configured)
    assert pins(decided) == []
    assert decided.memory.pins == {}


def test_where_all_nodes_come_from_one_site_there_is_nothing_to_keep_out() -> None:
    world = seen(*BOTH)
    assert world.lrms.value is not None
    nodes = {name: replace(node, features=frozenset({"cpu", "aws"})) for name, node in world.lrms.value.nodes.items()}
    assert pins(plan(replace(world, lrms=replace(world.lrms, value=replace(world.lrms.value, nodes=nodes))))) == []


def test_a_job_on_one_node_is_not_pinned() -> None:
    assert pins(plan(seen(mate(1, gang="", gang_size=0), wanted=job(101)))) == []


# --- undone ----------------------------------------------------------------------------------------------------------


def failed(number: int, site: str = "aws") -> Claim:
    return mate(number, S.FAILED, site, failure="no-capacity")


def test_when_nothing_comes_for_it_any_more_its_own_constraint_is_put_back() -> None:
    gone = seen(
        wanted=gang("cpu&aws"), memory=pinned("aws", "cpu"), flags=dict.fromkeys(TWO_SITES.pools["cpu"].nodes, BUSY)
    )
    decided = plan(gone)
    assert pins(decided) == [("", "cpu")]
    assert decided.memory.pins["101"] == Pinned("101", "", "cpu", 1)
    assert told(decided) == ["no nodes come for it: its own constraint is put back"]
    again = plan(replace(gone, memory=decided.memory))
    assert (pins(again), told(again)) == ([("", "cpu")], [])


def test_once_it_is_seen_to_have_its_own_constraint_it_is_forgotten() -> None:
    flags = dict.fromkeys(TWO_SITES.pools["cpu"].nodes, BUSY)
    decided = plan(seen(wanted=gang("cpu"), memory=pinned("", "cpu", 2), flags=flags))
    assert (pins(decided), decided.memory.pins) == ([], {})


def test_a_gang_whose_site_fails_it_is_bought_elsewhere_and_goes_with_its_nodes() -> None:
    """It is laid out as its user asked for: the pin does not keep it where nothing is to be had."""
    full = make_settings(list(TWO_SITES.pools.values()), [SITES[0], make_site("aws", disabled=True)])
    decided = plan(seen(failed(1), failed(2), wanted=gang("aws"), memory=pinned()), full)
    assert bought_at(decided) == ["cesnet", "cesnet"]
    assert pins(decided) == [("", ""), ("cesnet", "")]
    assert decided.memory.pins["101"].site == "cesnet"


def test_one_of_two_mates_keeps_the_pin_until_the_gang_is_whole_elsewhere() -> None:
    alone = seen(mate(1), failed(2), wanted=gang("aws"), memory=pinned(), operator=Operator(paused=True))
    assert pins(plan(alone)) == []
    whole = seen(mate(1), mate(3, site="cesnet"), mate(4, site="cesnet"), wanted=gang("aws"), memory=pinned())
    assert pins(plan(whole)) == [("", ""), ("cesnet", "")]


def test_a_node_that_another_job_holds_does_not_keep_it() -> None:
    taken = mate(1, S.READY, used_at=ago(minutes=3), opened_at=ago(minutes=5))
    flags = dict.fromkeys(TWO_SITES.pools["cpu"].nodes, BUSY)
    world = seen(taken, wanted=gang("aws"), memory=pinned(), flags=flags)
    assert pins(plan(world)) == [("", "")]


def test_one_that_has_just_started_but_reads_as_pending_keeps_its_pin() -> None:
    """Jobs are read before nodes."""
    mates = [mate(n, S.READY, opened_at=ago(seconds=3), ready_at=ago(seconds=3)) for n in (1, 2)]
    world = seen(*mates, wanted=gang("aws"), memory=pinned(), flags={"cpu-1": BUSY, "cpu-2": BUSY})
    assert pins(plan(world)) == []


def test_nodes_that_stand_ready_keep_it() -> None:
    mates = [mate(n, S.READY, opened_at=ago(seconds=3), ready_at=ago(seconds=3)) for n in (1, 2)]
    world = seen(*mates, wanted=gang("aws"), memory=pinned(), flags={"cpu-1": IDLE, "cpu-2": IDLE})
    assert pins(plan(world)) == []
    assert plan(world).outlooks["101"].verdict is Verdict.SERVED


def test_when_open_nodes_of_another_site_have_room_it_is_not_kept_from_them() -> None:
    """One mate that is there stands for a gang whose other node was taken: it would wait for nothing."""
    alone = mate(1, S.READY, gang_size=1, opened_at=ago(minutes=1), ready_at=ago(minutes=1))
    others = [mate(n, S.READY, "cesnet", jobs=(), gang="", gang_size=0, opened_at=ago(hours=1)) for n in (3, 4)]
    flags = {"cpu-1": IDLE, "cpu-3": IDLE, "cpu-4": IDLE}
    decided = plan(seen(alone, *others, wanted=gang("aws"), memory=pinned(), flags=flags))
    assert pins(decided) == [("", ""), ("cesnet", "")]


# --- what is not ours, and what is not known -------------------------------------------------------------------------


def test_a_constraint_that_somebody_changed_is_left_and_may_be_pinned_anew() -> None:
    decided = plan(seen(*BOTH, wanted=gang("fast"), memory=pinned("aws", "cpu")))
    assert (pins(decided), decided.memory.pins) == ([], {})
    assert told(decided) == ["its constraint was changed by somebody else and is left as it is"]
    assert pins(plan(seen(*BOTH, wanted=gang("fast"), memory=decided.memory))) == [("aws", "fast")]


def test_while_it_runs_it_is_remembered_since_it_may_be_requeued() -> None:
    assert plan(seen(wanted=gang("aws", state="RUNNING"), memory=pinned())).memory == pinned()


def test_it_is_forgotten_with_its_job_but_not_for_a_line_that_could_not_be_read() -> None:
    world = seen(wanted=job(102), memory=pinned())
    assert plan(world).memory.pins == {}
    assert world.lrms.value is not None
    unread = replace(world, lrms=replace(world.lrms, value=replace(world.lrms.value, problems=("a job: what?",))))
    assert plan(unread).memory == pinned()


def test_without_a_look_at_slurm_nothing_is_told_and_nothing_forgotten() -> None:
    world = seen(memory=pinned())
    for lrms in (replace(world.lrms, error="slurmctld does not answer"), replace(world.lrms, taken_at=ago(hours=1))):
        decided = plan(replace(world, lrms=lrms))
        assert (pins(decided), decided.memory) == ([], pinned())


def test_a_pin_that_slurm_refuses_is_told_once_and_left() -> None:
    memory, asked = Memory(), 0
    words: list[str] = []
    for _ in range(MOST_TRIES + 4):
        decided = plan(seen(*BOTH, memory=memory))
        memory, asked, words = decided.memory, asked + len(pins(decided)), words + told(decided)
    assert asked == MOST_TRIES
    assert len(words) == 2
    assert "left as it is" in words[1]
