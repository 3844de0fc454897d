"""Workers that cannot be reached are unknown: not slow, not idle, not dead. Only their provider's word ends them, and
where Slurm counts no job there, that no router has come in all the time that one may take."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from clues.model import Attach, Claim, Facts, InstanceState, Observed, Operator, OverlayStatus, Settings, Wish
from tests.unit.builders import BUSY, CLOSED, CPU_SHAPE, DOWN, IDLE, NOW, OFF, ago, make_instance, make_pool
from tests.unit.planner.deciding import bought_at, drained, job, listed, opened, powered_off, terminated
from tests.unit.planner.routed import DOWN as TUNNEL_DOWN
from tests.unit.planner.routed import (
    NO_HUB,
    NOT_READ,
    SETTINGS,
    UP,
    S,
    after,
    planned,
    routed_settings,
    router,
    told,
    worker,
    world,
)

GOOD = Facts(CPU_SHAPE.cpus, CPU_SHAPE.memory_mib)
SILENT = frozenset({"IDLE", "CLOUD", "NOT_RESPONDING"})

#: ways in which a site cannot be reached: its router, and what the central points say
CUTS: dict[str, tuple[Claim | None, Any]] = {
    "no router": (None, UP),
    "router boots": (router(S.BOOTING), TUNNEL_DOWN),
    "router joins": (router(S.JOINING), UP),
    "router failed": (router(S.FAILED, failure="silent"), UP),
    "tunnel down": (router(tunnel_since=None, tunnel_missing_since=ago(seconds=20)), TUNNEL_DOWN),
    "central point down": (router(), NO_HUB),
    "central point not asked": (router(), NOT_READ),
}


def cut(how: str, *claims: Claim, **more: Any) -> Any:
    claim, overlay = CUTS[how]
    return world(*([claim] if claim else []), *claims, overlay=overlay, **more)


def every_cut(test: Any) -> Any:
    return pytest.mark.parametrize("how", CUTS)(test)


LATE_BOOTING = worker(state=S.BOOTING, launched_at=ago(hours=1))
LATE_JOINING = worker(state=S.JOINING, since=ago(hours=1), facts=GOOD)
IDLE_FOR_LONG = worker(idle_since=ago(hours=1), opened_at=ago(hours=2), ready_at=ago(hours=2), since=ago(hours=2))


@every_cut
@pytest.mark.parametrize("claim", [LATE_BOOTING, LATE_JOINING])
def test_deadlines_stand_still(how: str, claim: Claim) -> None:
    assert after(cut(how, claim), "cpu-1").state is claim.state


@pytest.mark.parametrize("claim", [LATE_BOOTING, LATE_JOINING])
def test_deadlines_count_from_the_moment_the_router_carries_again(claim: Claim) -> None:
    for minutes, state in ((4, claim.state), (16, S.FAILED)):
        seen = world(router(tunnel_since=ago(minutes=minutes)), claim)
        assert after(seen, "cpu-1").state is state


#: as long as the pool and one more router may take (15 + 10 + 2 minutes, while it boots)
ENDLESS = 28


@every_cut
@pytest.mark.parametrize("claim", [LATE_BOOTING, LATE_JOINING], ids=["booting", "joining"])
def test_a_worker_to_which_no_way_comes_is_ended_and_nothing_is_held_against_its_offer(how: str, claim: Claim) -> None:
    cut_off = replace(claim, cut_off_since=ago(minutes=ENDLESS))
    seen = cut(how, cut_off, flags={"cpu-1": CLOSED})
    ended = after(seen, "cpu-1")
    assert (ended.state, ended.failure) == (S.FAILED, "unreachable")
    assert claim.offer.key not in planned(seen).memory.breakers
    assert after(cut(how, replace(claim, cut_off_since=ago(minutes=14))), "cpu-1").state is claim.state
    # it is ended like any other, and its node can be used again
    stopping = replace(ended, state=S.STOPPING, since=ago(seconds=3))
    assert powered_off(planned(cut(how, stopping, flags={"cpu-1": CLOSED}))) == ["cpu-1"]
    assert claim.instance_id in terminated(planned(cut(how, stopping, flags={"cpu-1": OFF})))


@every_cut
def test_what_may_have_served_is_not_ended_for_want_of_a_way(how: str) -> None:
    long = ago(minutes=ENDLESS)
    adopted = replace(LATE_BOOTING, adopted=True, cut_off_since=long)
    assert after(cut(how, adopted), "cpu-1").state is S.BOOTING
    used = replace(LATE_JOINING, cut_off_since=long)
    assert after(cut(how, used, flags={"cpu-1": BUSY}), "cpu-1").state is S.JOINING
    assert after(cut(how, replace(IDLE_FOR_LONG, cut_off_since=long), flags={"cpu-1": IDLE}), "cpu-1").state is S.READY
    just_started = replace(cut(how, replace(LATE_BOOTING, cut_off_since=long)), started_at=ago(minutes=1))
    assert after(just_started, "cpu-1").state is S.BOOTING


#: as long as another worker and one more router may take (15 + 5 + 10 + 2 minutes)
LOST = 33


@every_cut
def test_one_that_was_found_by_its_tags_is_ended_as_late_as_one_that_has_served_and_not_under_a_job(how: str) -> None:
    found = replace(LATE_BOOTING, adopted=True)
    busy = {"ALLOCATED", "CLOUD", "NOT_RESPONDING"}
    for minutes, flags, state in ((LOST - 2, SILENT, S.BOOTING), (LOST, SILENT, S.FAILED), (LOST, busy, S.BOOTING)):
        seen = cut(how, replace(found, cut_off_since=ago(minutes=minutes)), flags={"cpu-1": flags})
        assert after(seen, "cpu-1").state is state


@every_cut
@pytest.mark.parametrize("flags", [SILENT, DOWN])
def test_what_has_served_is_ended_once_no_way_has_come_and_slurm_counts_no_job_there(how: str, flags: Any) -> None:
    """Found in simulation: a router whose request was invalid is not tried again for an hour, and its workers cost."""

    def serving(minutes: int, **more: Any) -> Claim:
        return worker(opened_at=ago(hours=2), used_at=ago(hours=2), cut_off_since=ago(minutes=minutes), **more)

    for minutes, state in ((LOST - 2, S.READY), (LOST, S.DRAINING)):
        seen = cut(how, serving(minutes), flags={"cpu-1": flags}, reason="Not responding")
        assert after(seen, "cpu-1").state is state
    for minutes, state in ((LOST - 2, S.DRAINING), (LOST, S.STOPPING)):
        leaving = serving(minutes, state=S.DRAINING)
        seen = cut(how, leaving, flags={"cpu-1": {*flags, "DRAIN"}}, reason="clues:stopping")
        assert after(seen, "cpu-1").state is state
        assert planned(seen).memory.breakers == {}
    seen = replace(cut(how, serving(LOST), flags={"cpu-1": flags}), started_at=ago(minutes=1))
    assert after(seen, "cpu-1").state is S.READY


@every_cut
@pytest.mark.parametrize("flags", [IDLE, BUSY, {"ALLOCATED", "CLOUD", "NOT_RESPONDING"}])
def test_where_slurm_counts_a_job_or_hears_it_the_worker_is_left_alone_however_long(how: str, flags: Any) -> None:
    for state in (S.READY, S.DRAINING):
        claim = worker(state=state, opened_at=ago(hours=5), cut_off_since=ago(hours=4))
        seen = cut(how, claim, flags={"cpu-1": {*flags, "DRAIN"} if flags is BUSY else flags})
        assert after(seen, "cpu-1").state is state


@every_cut
def test_since_when_there_is_no_way_is_kept_until_there_is_one(how: str) -> None:
    for since in (None, ago(minutes=2)):
        for flags, claim in ((CLOSED, replace(LATE_BOOTING, launched_at=ago(minutes=3))), (BUSY, worker())):
            claim = replace(claim, cut_off_since=since)
            assert after(cut(how, claim, flags={"cpu-1": flags}), "cpu-1").cut_off_since == (since or NOW)
            assert after(world(router(), claim, flags={"cpu-1": flags}), "cpu-1").cut_off_since is None


def test_where_no_router_is_needed_none_is_waited_for() -> None:
    claim = direct(S.BOOTING, launched_at=ago(hours=3))
    assert after(seen_directly(claim, NO_HUB), "cpu-1", DIRECT).cut_off_since is None


@every_cut
def test_an_idle_node_is_not_stopped(how: str) -> None:
    assert after(cut(how, IDLE_FOR_LONG, flags={"cpu-1": IDLE}), "cpu-1").state is S.READY
    assert after(world(router(), IDLE_FOR_LONG, flags={"cpu-1": IDLE}), "cpu-1").state is S.DRAINING


@every_cut
@pytest.mark.parametrize("flags", [BUSY, SILENT, DOWN, {"ALLOCATED", "CLOUD", "NOT_RESPONDING"}])
def test_a_serving_node_is_left_alone_whatever_slurm_says_of_it(how: str, flags: Any) -> None:
    seen = cut(how, worker(opened_at=ago(hours=1)), flags={"cpu-1": flags}, reason="Not responding")
    decided = planned(seen)
    assert after(seen, "cpu-1").state is S.READY
    assert "i-cpu-1" not in terminated(decided)
    assert (powered_off(decided), drained(decided), opened(decided)) == ([], {}, [])
    assert "cpu-1" not in [one.node for one in decided.claims if one.created_at == NOW]


@every_cut
def test_a_fault_that_slurm_saw_waits_until_the_node_can_be_reached(how: str) -> None:
    flags = {"cpu-1": CLOSED}
    assert after(cut(how, worker(), flags=flags, reason="Kill task failed"), "cpu-1").state is S.READY
    assert after(world(router(), worker(), flags=flags, reason="Kill task failed"), "cpu-1").state is S.DRAINING


@every_cut
def test_a_node_is_not_opened(how: str) -> None:
    joining = worker(state=S.JOINING, since=ago(seconds=5), facts=GOOD)
    assert after(cut(how, joining, flags={"cpu-1": CLOSED}), "cpu-1").state is S.JOINING
    assert opened(planned(cut(how, worker(), flags={"cpu-1": CLOSED}, reason="clues:starting"))) == []
    assert opened(planned(world(router(), worker(), flags={"cpu-1": CLOSED}, reason="clues:starting"))) == ["cpu-1"]


@every_cut
def test_a_leaving_node_whose_jobs_slurm_has_written_off_is_not_stopped(how: str) -> None:
    leaving = worker(state=S.DRAINING, opened_at=ago(hours=1))
    silent = {"IDLE", "CLOUD", "DRAIN", "NOT_RESPONDING"}
    assert after(cut(how, leaving, flags={"cpu-1": silent}), "cpu-1").state is S.DRAINING
    by_operator = replace(leaving, by_operator=True)
    assert after(cut(how, by_operator, flags={"cpu-1": silent}), "cpu-1").state is S.STOPPING
    assert after(cut(how, leaving, flags={"cpu-1": CLOSED}), "cpu-1").state is S.STOPPING  # it was idle before the cut


@every_cut
def test_the_providers_word_ends_it(how: str) -> None:
    claim = worker()
    seen = listed(cut(how, claim, flags={"cpu-1": BUSY}), make_instance(claim, state=InstanceState.GONE), site="upv")
    assert after(seen, "cpu-1").state is S.FAILED


@every_cut
def test_a_person_may_still_take_it_out(how: str) -> None:
    seen = cut(how, worker(), flags={"cpu-1": BUSY}, operator=Operator(wishes={"cpu-1": Wish.OFF}))
    assert after(seen, "cpu-1").state is S.DRAINING


@every_cut
def test_a_job_is_not_called_misread_for_a_node_that_cannot_be_reached(how: str) -> None:
    stands = worker(opened_at=ago(minutes=5), jobs=("101",), idle_since=ago(minutes=5))
    assert planned(cut(how, stands, jobs=[job()], flags={"cpu-1": IDLE})).memory.misread == {}
    assert list(planned(world(router(), stands, jobs=[job()], flags={"cpu-1": IDLE})).memory.misread) == ["101"]


def test_a_router_whose_vm_is_gone_by_its_provider_launches_no_worker_although_its_tunnel_is_told() -> None:
    claim = router()
    paper = worker("cpu-2", S.PLANNED, jobs=("101",))
    seen = listed(world(claim, paper, jobs=[job()]), make_instance(claim, state=InstanceState.GONE), site="upv")
    assert after(seen, "cpu-2").state is S.PLANNED


def test_sites_without_a_router_are_reached_always() -> None:
    local = worker(offer=SETTINGS.pools["cpu"].offers[1], state=S.BOOTING, launched_at=ago(hours=1))
    assert after(world(local, overlay=NO_HUB), "cpu-1").state is S.FAILED


def test_when_the_network_of_a_vm_is_cut_for_good_its_node_is_set_down_under_its_jobs() -> None:
    for failure in ("evicted", "stolen"):
        claim = worker(state=S.STOPPING, failure=failure)
        assert powered_off(planned(world(router(), claim, flags={"cpu-1": BUSY}))) == ["cpu-1"]
        decided = planned(world(router(), replace(claim, state=S.FAILED), flags={"cpu-1": BUSY}))
        assert decided.memory.breakers == {}


# --- workers with a tunnel of their own ------------------------------------------------------------------------------

DIRECT = routed_settings(attach=Attach.DIRECT, router=None)


def direct(state: Any, **more: Any) -> Claim:
    return worker(state=state, **{"tunnel": "10.77.252.20", "address": "10.77.252.20", **more})


def seen_directly(claim: Claim, overlay: Any, flags: Any = CLOSED, settings: Settings = DIRECT) -> Any:
    return world(claim, flags={"cpu-1": flags}, overlay=overlay, settings=settings, reason="clues:starting")


def test_a_worker_attached_directly_is_bought_without_a_router() -> None:
    assert bought_at(planned(world(jobs=[job()], settings=DIRECT), DIRECT)) == ["upv"]


@pytest.mark.parametrize(
    ("overlay", "state"),
    [(told("cpu-1-1"), S.READY), (told(), S.JOINING), (NO_HUB, S.JOINING), (Observed(None, NOW), S.READY)],
)
def test_it_is_opened_when_its_tunnel_is_up_too_where_there_is_one_to_look_at(
    overlay: Observed[OverlayStatus], state: Any
) -> None:
    claim = direct(S.JOINING, facts=GOOD, since=ago(seconds=5))
    assert after(seen_directly(claim, overlay), "cpu-1", DIRECT).state is state


def test_its_deadline_counts_while_a_central_point_could_take_its_tunnel() -> None:
    claim = direct(S.JOINING, facts=GOOD, since=ago(hours=1), tunnel_missing_since=ago(minutes=6))
    assert after(seen_directly(claim, told()), "cpu-1", DIRECT).state is S.FAILED
    assert after(seen_directly(claim, NO_HUB), "cpu-1", DIRECT).state is S.JOINING
    back = replace(claim, tunnel_missing_since=ago(seconds=9))
    assert after(seen_directly(back, told()), "cpu-1", DIRECT).state is S.JOINING


def test_while_no_central_point_works_it_is_unknown_and_else_like_a_local_one() -> None:
    idle = direct(S.READY, idle_since=ago(hours=1), opened_at=ago(hours=1), since=ago(hours=1))
    assert after(seen_directly(idle, NO_HUB, IDLE), "cpu-1", DIRECT).state is S.READY
    assert after(seen_directly(idle, told(), IDLE), "cpu-1", DIRECT).state is S.DRAINING


def test_its_provider_is_not_asked_for_the_tunnels_address() -> None:
    assert (direct(S.LAUNCHING).wanted_address, worker(address="10.77.1.10").wanted_address) == ("", "10.77.1.10")
    assert router(address="10.77.1.9").wanted_address == "10.77.1.9"


def test_a_gang_is_not_opened_while_a_mate_cannot_be_reached() -> None:
    configured = routed_settings()
    offers = configured.pools["cpu"].offers
    spanning = replace(configured, pools={"cpu": make_pool(offers=offers, span=True)})
    gang: dict[str, Any] = {"gang": "101", "gang_size": 2, "facts": GOOD, "since": ago(seconds=9), "state": S.JOINING}
    here, there = worker("cpu-2", offer=offers[1], **gang), worker(**gang)
    flags = {"cpu-1": CLOSED, "cpu-2": CLOSED}
    more: dict[str, Any] = {"jobs": [job(nodes=2)], "flags": flags, "settings": spanning, "reason": "clues:starting"}
    whole = world(router(), here, there, **more)
    assert after(whole, "cpu-2", spanning).state is S.READY
    half = world(router(tunnel_since=None), here, there, overlay=TUNNEL_DOWN, **more)
    assert after(half, "cpu-2", spanning).state is S.JOINING


def test_the_first_of_a_spanning_gang_waits_for_its_mates_routers_too() -> None:
    configured = routed_settings()
    offers = configured.pools["cpu"].offers
    gang: dict[str, Any] = {"gang": "101", "gang_size": 2, "facts": GOOD, "jobs": ("101",)}
    paper = worker(state=S.PLANNED, **gang)

    def first(minutes: int, *, span: bool) -> Any:
        here = worker("cpu-2", S.JOINING, offer=offers[1], since=ago(hours=1), ready_at=ago(minutes=minutes), **gang)
        settings = replace(configured, pools={"cpu": make_pool(offers=offers, span=span)})
        seen = world(
            router(S.BOOTING), here, paper, jobs=[job(nodes=2)], flags={"cpu-2": CLOSED}, settings=settings, overlay=UP
        )
        return after(seen, "cpu-2", settings).state

    pool = make_pool()
    own = int((pool.boot_deadline + pool.join_deadline).total_seconds() // 60)
    assert first(own + 1, span=False) is S.DRAINING
    assert first(own + 11, span=True) is S.JOINING
    assert first(own + 13, span=True) is S.DRAINING


def test_a_flapping_tunnel_gives_its_workers_their_time_again() -> None:
    claim = replace(LATE_JOINING, since=NOW - timedelta(minutes=10))
    assert after(world(router(tunnel_since=ago(seconds=30)), claim), "cpu-1").state is S.JOINING
