"""Routers on demand: started with a site's first worker, kept while one lives, replaced when they have died."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from clues.model import Attach, Breaker, Limits, Memory, Observed, Operator, Verdict, Warm, Wish
from tests.unit.builders import BUSY, DRAINING, IDLE, NOW, ago, ahead
from tests.unit.planner.deciding import bought_at, job, launched, terminated
from tests.unit.planner.routed import (
    DOWN,
    NOT_READ,
    PLAN,
    ROUTER_OFFER,
    UP,
    WORKER_OFFER,
    S,
    after,
    kinds,
    planned,
    routed_settings,
    router,
    worker,
    world,
)

BROKEN = Memory({ROUTER_OFFER.key: Breaker(ROUTER_OFFER.key, "boot", "no network", ago(minutes=1), ahead(minutes=1))})
OFF = Operator(wishes={"router-upv": Wish.OFF})


def waits(node: str = "cpu-1", **more: Any) -> Any:
    return worker(node, S.PLANNED, **{"jobs": ("101",), **more})


def test_a_sites_first_worker_brings_its_router_and_waits_for_it_on_paper() -> None:
    decided = planned(world(jobs=[job()], overlay=DOWN))
    assert kinds(decided) == [("cpu-1", S.PLANNED), ("router-upv", S.LAUNCHING)]
    (key,) = launched(decided)
    assert "router-upv" in key


def test_a_router_is_no_node_of_slurms_and_belongs_to_no_pool() -> None:
    bought = next(one for one in planned(world(jobs=[job()])).claims if one.node == "router-upv")
    assert (bought.kind, bought.pool, bought.offer, bought.shape) == ("router", "", ROUTER_OFFER, PLAN.shape)


@pytest.mark.parametrize("state", [S.PLANNED, S.LAUNCHING, S.BOOTING, S.JOINING, S.READY, S.FAILED, S.STOPPING])
def test_a_site_has_one_router_and_the_next_only_when_the_last_is_gone(state: Any) -> None:
    decided = planned(world(router(state), worker("cpu-2"), jobs=[job()], flags={"cpu-2": BUSY}, overlay=DOWN))
    assert "router-upv" not in [node for node, _ in kinds(decided)]


def test_a_dead_router_is_replaced_when_it_is_gone_while_workers_live() -> None:
    assert kinds(planned(world(worker(), flags={"cpu-1": BUSY}, overlay=DOWN))) == [("router-upv", S.LAUNCHING)]


@pytest.mark.parametrize("state", [S.FAILED, S.STOPPING])
def test_for_workers_that_are_on_their_way_out_no_router_is_started(state: Any) -> None:
    assert kinds(planned(world(worker(state=state), flags={"cpu-1": BUSY}, overlay=DOWN))) == []


def test_without_a_listing_of_the_site_no_router_is_bought_since_one_may_be_found_there() -> None:
    seen = world(worker(), flags={"cpu-1": BUSY}, overlay=DOWN)
    assert kinds(planned(replace(seen, listings={"upv": Observed(error="503")}))) == []


def test_while_buying_is_paused_no_router_is_bought_and_nothing_on_paper_is_launched() -> None:
    paused = Operator(paused=True)
    assert kinds(planned(world(worker(), flags={"cpu-1": BUSY}, operator=paused))) == []
    assert after(world(router(), waits(), jobs=[job()], operator=paused), "cpu-1").state is S.PLANNED


# --- limits, money, breakers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "where"),
    [
        (Limits(vms=1), "aws"),
        (Limits(vms=2), "upv"),
        (Limits(cpus=8), "aws"),
        (Limits(cpus=9), "upv"),
        (Limits(cost_per_hour=0.01), "aws"),
    ],
)
def test_a_worker_leaves_room_for_the_router_that_it_needs(limits: Limits, where: str) -> None:
    configured = routed_settings(limits=limits)
    decided = planned(world(jobs=[job()], settings=configured, overlay=DOWN), configured)
    assert bought_at(decided)[0] == where


def test_a_router_that_lives_is_counted_once() -> None:
    configured = routed_settings(limits=Limits(vms=2))
    decided = planned(world(router(), jobs=[job()], settings=configured), configured)
    assert bought_at(decided) == ["upv"]


def test_a_router_is_replaced_under_running_workers_although_the_site_is_full_or_out_of_service() -> None:
    for changed in ({"limits": Limits(vms=1)}, {"disabled": True}):
        configured = routed_settings(**changed)
        seen = world(worker(), flags={"cpu-1": BUSY}, overlay=DOWN, settings=configured)
        assert kinds(planned(seen, configured)) == [("router-upv", S.LAUNCHING)]


def test_when_the_router_cannot_be_started_another_site_serves_and_the_reason_is_told() -> None:
    decided = planned(world(jobs=[job()], memory=BROKEN, overlay=DOWN))
    assert bought_at(decided) == ["aws"]
    configured = replace(routed_settings(), sites={"upv": routed_settings().sites["upv"]})
    blocked = planned(world(jobs=[job()], memory=BROKEN, overlay=DOWN, settings=configured), configured)
    assert blocked.outlooks["101"].sites["upv"].startswith("its router cannot be started: boot for upv/small")


def test_workers_on_paper_are_given_up_when_their_router_cannot_be_started_and_bought_elsewhere() -> None:
    decided = planned(world(waits(), jobs=[job()], memory=BROKEN, overlay=DOWN))
    assert [(one.node, one.state, one.offer.site) for one in decided.claims] == [
        ("cpu-1", S.GONE, "upv"),
        ("cpu-1", S.LAUNCHING, "aws"),
    ]


def test_a_job_does_not_wait_for_workers_whose_router_cannot_be_started_and_they_are_left_alone() -> None:
    booting = worker("cpu-2", S.BOOTING, jobs=("101",), launched_at=ago(hours=1))
    seen = world(booting, jobs=[job()], memory=BROKEN, overlay=DOWN)
    assert bought_at(planned(seen)) == ["aws"]
    assert after(seen, "cpu-2").state is S.BOOTING


def test_a_router_offer_that_failed_does_not_keep_workers_from_a_router_that_works() -> None:
    assert bought_at(planned(world(router(), jobs=[job()], memory=BROKEN))) == ["upv"]


# --- workers on paper ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [S.LAUNCHING, S.BOOTING, S.JOINING])
def test_a_worker_is_not_launched_before_its_router_is_ready(state: Any) -> None:
    seen = world(router(state), waits(), jobs=[job()])
    assert after(seen, "cpu-1").state is S.PLANNED
    outlook = planned(seen).outlooks["101"]
    assert (outlook.verdict, outlook.text) == (Verdict.STARTING, "waits for the router of upv")


def test_a_worker_is_launched_when_its_router_is_ready() -> None:
    assert after(world(router(), waits(), jobs=[job()]), "cpu-1").state is S.LAUNCHING


@pytest.mark.parametrize("overlay", [DOWN, NOT_READ])
def test_a_worker_is_not_launched_while_its_routers_tunnel_is_not_seen(overlay: Any) -> None:
    assert after(world(router(), waits(), jobs=[job()], overlay=overlay), "cpu-1").state is S.PLANNED


def test_a_worker_on_paper_that_no_job_wants_any_more_is_given_up() -> None:
    assert after(world(router(S.BOOTING), waits()), "cpu-1").state is S.GONE


def test_a_worker_on_paper_is_kept_for_a_job_while_slurm_cannot_be_read() -> None:
    seen = replace(world(router(S.BOOTING), waits()), lrms=Observed(error="away"))
    assert after(seen, "cpu-1").state is S.PLANNED


@pytest.mark.parametrize("other", ["an operator", "Slurm", "keep_warm"])
def test_a_worker_on_paper_is_kept_for_whoever_else_wants_it(other: str) -> None:
    configured = routed_settings()
    more: dict[str, Any] = {}
    if other == "keep_warm":
        configured = replace(configured, pools={"cpu": replace(configured.pools["cpu"], keep_warm=(Warm(1),))})
    elif other == "Slurm":
        more = {"flags": {"cpu-1": {"ALLOCATED", "CLOUD", "POWERING_UP"}}}
    else:
        more = {"operator": Operator(wishes={"cpu-1": Wish.ON})}
    seen = world(router(S.BOOTING), waits(jobs=()), settings=configured, **more)
    assert after(seen, "cpu-1", configured).state is S.PLANNED


def test_a_worker_on_paper_that_tries_for_a_gang_is_kept_and_not_bought_anew_at_each_look() -> None:
    """Found in simulation: what was let go at one look was bought at the next, for as long as its router took."""
    offer = WORKER_OFFER
    key = f"cpu at {offer.key}"
    failed = Breaker(
        key, "boot", "why", ago(minutes=9), ago(minutes=1), 1, ago(minutes=5), owner="cpu", offer=offer.key
    )
    configured = routed_settings()
    configured = replace(configured, pools={"cpu": replace(configured.pools["cpu"], offers=(offer,))})
    gang = [job(cpus=8, nodes=3)]
    (tried,) = [
        one
        for one in planned(world(jobs=gang, settings=configured, memory=Memory({key: failed})), configured).claims
        if one.node == "cpu-1"
    ]
    assert (tried.state, tried.jobs) == (S.PLANNED, ())
    later = world(router(S.BOOTING), tried, jobs=gang, settings=configured, memory=Memory({key: failed}), overlay=DOWN)
    assert after(later, "cpu-1", configured).state is S.PLANNED
    assert after(replace(later, lrms=world(settings=configured).lrms), "cpu-1", configured).state is S.GONE


# --- going again -----------------------------------------------------------------------------------------------------


def test_a_router_lingers_after_its_last_worker_and_goes_then() -> None:
    assert after(world(router())).idle_since == NOW
    assert after(world(router(idle_since=ago(minutes=9)))).state is S.READY
    assert after(world(router(idle_since=ago(minutes=10)))).state is S.DRAINING


@pytest.mark.parametrize("state", [S.PLANNED, S.BOOTING, S.READY, S.DRAINING, S.STOPPING])
def test_while_a_worker_lives_its_router_stays(state: Any) -> None:
    seen = world(router(idle_since=ago(hours=1)), worker(state=state), jobs=[job()], flags={"cpu-1": BUSY})
    assert (after(seen).state, after(seen).idle_since) == (S.READY, None)


def test_a_worker_of_another_site_keeps_no_router() -> None:
    other = worker(offer=routed_settings().pools["cpu"].offers[1])
    assert after(world(router(idle_since=ago(minutes=10)), other, flags={"cpu-1": BUSY})).state is S.DRAINING


def test_a_worker_bought_in_this_decision_keeps_the_router_that_would_go() -> None:
    assert after(world(router(idle_since=ago(minutes=10)), jobs=[job()])).state is S.READY


def test_a_leaving_router_is_called_back_by_a_worker_and_ends_without_one() -> None:
    assert after(world(router(S.DRAINING), jobs=[job()])).state is S.READY
    seen = world(router(S.DRAINING))
    assert after(seen).state is S.STOPPING


def test_a_stopped_router_is_ended_at_once_whatever_slurm_says() -> None:
    seen = replace(world(router(S.STOPPING)), lrms=Observed(error="away"))
    assert terminated(planned(seen)) == ["i-router-upv"]


def test_an_operators_router_goes_when_its_workers_have_gone_and_no_new_ones_come() -> None:
    seen = world(router(), worker("cpu-2", S.DRAINING), jobs=[job()], flags={"cpu-2": DRAINING}, operator=OFF)
    assert (after(seen).state, after(seen).by_operator) == (S.DRAINING, True)
    assert bought_at(planned(seen)) == ["aws"]
    leaving = router(S.DRAINING, by_operator=True)
    assert after(world(leaving, worker("cpu-2"), flags={"cpu-2": BUSY}, operator=OFF)).state is S.DRAINING
    assert after(world(leaving, operator=OFF)).state is S.STOPPING


def test_an_operators_order_is_fulfilled_when_the_router_is_gone_and_no_other_is_bought() -> None:
    seen = world(worker(), flags={"cpu-1": BUSY}, operator=OFF, overlay=DOWN)
    assert planned(seen).granted == ("router-upv",)
    assert kinds(planned(seen)) == []


@pytest.mark.parametrize("changed", [{"disabled": True}, {"attach": Attach.LOCAL, "router": None}])
def test_a_site_that_needs_no_router_any_more_lets_it_go_at_once_but_not_under_workers(changed: Any) -> None:
    configured = routed_settings(**changed)
    assert after(world(router(), settings=configured), settings=configured).state is S.DRAINING
    seen = world(router(), worker(), flags={"cpu-1": IDLE}, settings=configured)
    assert after(seen, settings=configured).state is S.READY


def test_what_is_paused_lets_no_router_go() -> None:
    seen = world(router(idle_since=ago(hours=1)), operator=Operator(paused=True), overlay=UP)
    assert after(seen).state is S.READY


def test_a_router_on_paper_waits_while_buying_is_paused() -> None:
    seen = world(router(S.PLANNED), worker(), flags={"cpu-1": BUSY}, operator=Operator(paused=True), overlay=DOWN)
    assert after(seen).state is S.PLANNED


def test_what_is_paused_gives_up_no_worker_on_paper() -> None:
    seen = world(router(S.BOOTING), waits(), operator=Operator(paused=True))
    assert after(seen, "cpu-1").state is S.PLANNED


@pytest.mark.parametrize("known", [(), (router(S.DRAINING, by_operator=True),)])
def test_where_an_operator_wants_no_router_no_worker_is_bought(known: Any) -> None:
    assert bought_at(planned(world(*known, jobs=[job()], operator=OFF))) == ["aws"]


def test_behind_a_router_that_an_operator_has_stopped_no_worker_is_bought_although_the_order_is_withdrawn() -> None:
    assert bought_at(planned(world(router(S.DRAINING, by_operator=True), jobs=[job()]))) == ["aws"]


def test_workers_on_paper_of_a_site_taken_out_of_service_are_given_up() -> None:
    configured = routed_settings(disabled=True)
    assert after(world(waits(), jobs=[job()], settings=configured), "cpu-1", configured).state is S.GONE


def test_a_job_tells_the_router_that_its_nodes_wait_for_also_when_they_cannot_be_counted_as_room() -> None:
    seen = world(router(S.BOOTING), waits(), jobs=[job()], flags={"cpu-1": {"IDLE", "CLOUD", "SHINY"}})
    assert planned(seen).outlooks["101"].text == "waits for the router of upv"
