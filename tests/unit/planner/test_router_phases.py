"""A router from its launch to its end: what it waits for, how long, and what of its tunnel's silence is believed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from clues.model import Facts, InstanceState, Observed, Operator, Wish
from clues.planner import after_enrolment
from tests.unit.builders import BUSY, NOW, ago, make_instance
from tests.unit.planner.deciding import launched, listed
from tests.unit.planner.routed import (
    DOWN,
    NO_HUB,
    NOT_READ,
    UP,
    S,
    after,
    kinds,
    planned,
    router,
    told,
    worker,
    world,
)


def with_worker(claim: Any, **more: Any) -> Any:
    return world(claim, worker(), flags={"cpu-1": BUSY}, **more)


def test_it_goes_from_launching_to_ready_by_listing_enrolment_and_tunnel() -> None:
    listed_now = listed(with_worker(router(S.LAUNCHING)), make_instance(router(S.BOOTING)), site="upv")
    assert after(listed_now).state is S.BOOTING
    enrolled = after_enrolment(router(S.BOOTING), Facts(), NOW)
    assert (enrolled.state, enrolled.reason) == (S.JOINING, "enrolled; its tunnel is coming up")
    ready = after(with_worker(router(S.JOINING)))
    assert (ready.state, ready.ready_at, ready.tunnel_since) == (S.READY, NOW, NOW)


def test_without_its_tunnel_it_is_not_ready() -> None:
    for overlay in (DOWN, NO_HUB, NOT_READ, Observed()):
        assert after(with_worker(router(S.JOINING), overlay=overlay)).state is S.JOINING


def test_it_is_launched_only_when_its_predecessor_is_gone() -> None:
    paper = router(S.PLANNED, generation=2)
    assert launched(planned(with_worker(paper))) == [paper.key]
    seen = world(paper, router(S.STOPPING, terminated_at=ago(seconds=1)), worker(), flags={"cpu-1": BUSY})
    assert launched(planned(seen)) == []


@pytest.mark.parametrize(
    ("claim", "overlay", "failure"),
    [
        (router(S.LAUNCHING, since=ago(minutes=11)), DOWN, "launch"),
        (router(S.LAUNCHING, since=ago(minutes=9)), DOWN, ""),
        (router(S.BOOTING, launched_at=ago(minutes=11)), DOWN, "boot"),
        (router(S.BOOTING, launched_at=ago(minutes=9)), DOWN, ""),
        (router(S.BOOTING, launched_at=ago(minutes=11)), NO_HUB, "boot"),  # enrolment needs no central point
        (router(S.JOINING, since=ago(minutes=3), tunnel_missing_since=ago(minutes=3)), DOWN, "join"),
        (router(S.JOINING, since=ago(minutes=1), tunnel_missing_since=ago(minutes=9)), DOWN, ""),
        (router(S.JOINING, since=ago(minutes=9), tunnel_missing_since=ago(minutes=3)), NO_HUB, ""),
        (router(S.JOINING, since=ago(minutes=11)), NO_HUB, "join"),
        (router(S.JOINING, since=ago(minutes=11)), NOT_READ, "join"),
        (router(S.JOINING, since=ago(minutes=11)), DOWN, ""),  # a central point is back: it has its time again
        (router(S.READY, since=ago(hours=1), tunnel_since=None, tunnel_missing_since=ago(minutes=1)), DOWN, "silent"),
        (router(S.READY, since=ago(hours=1), tunnel_since=None, tunnel_missing_since=ago(seconds=59)), DOWN, ""),
        (
            router(S.DRAINING, since=ago(hours=1), tunnel_missing_since=ago(minutes=1), by_operator=True),
            DOWN,
            "silent",
        ),
        (router(S.READY, since=ago(hours=1), tunnel_since=None, tunnel_missing_since=ago(minutes=9)), NO_HUB, ""),
        (router(S.READY, since=ago(hours=1), tunnel_since=None, tunnel_missing_since=ago(minutes=9)), NOT_READ, ""),
        (router(S.READY, since=ago(hours=1), tunnel_since=None, tunnel_missing_since=ago(minutes=9)), UP, ""),
    ],
)
def test_the_deadlines(claim: Any, overlay: Any, failure: str) -> None:
    decided = after(with_worker(claim, overlay=overlay))
    assert decided.failure == failure
    assert (decided.state is S.FAILED) == bool(failure)


def test_two_looks_far_enough_apart_are_needed_to_believe_that_a_tunnel_is_down() -> None:
    first = after(with_worker(router(), overlay=told(at=ago(seconds=90))))
    assert (first.state, first.tunnel_since, first.tunnel_missing_since) == (S.READY, None, ago(seconds=90))
    assert after(with_worker(first, overlay=told(at=ago(seconds=60)))).state is S.READY  # an old look proves no more
    assert after(with_worker(first)).tunnel_missing_since is None  # it is back


def test_what_cannot_be_asked_takes_back_what_was_seen_missing() -> None:
    missing = router(tunnel_since=None, tunnel_missing_since=ago(seconds=50))
    assert after(with_worker(missing, overlay=NO_HUB)).tunnel_missing_since is None
    assert after(with_worker(missing, overlay=NOT_READ)).tunnel_missing_since is None


def test_a_central_point_that_is_down_ends_the_time_of_a_tunnel_and_one_that_is_not_read_does_not() -> None:
    assert after(with_worker(router(), overlay=NO_HUB)).tunnel_since is None
    assert after(with_worker(router(), overlay=NOT_READ)).tunnel_since == ago(hours=1)


@pytest.mark.parametrize(
    ("state", "failure"),
    [(S.BOOTING, "provider"), (S.JOINING, "provider"), (S.READY, "vanished"), (S.DRAINING, "vanished")],
)
def test_the_providers_word_that_it_is_gone_is_believed(state: Any, failure: str) -> None:
    claim = router(state)
    seen = listed(
        with_worker(claim), make_instance(claim, state=InstanceState.GONE), make_instance(worker()), site="upv"
    )
    if state is S.DRAINING:  # called back first, since a worker lives: one move in a decision
        seen = replace(seen, claims={**seen.claims, claim.key: replace(claim, by_operator=True)})
    assert after(seen).failure == failure


def test_a_silent_router_is_ended_and_nothing_is_held_against_its_offer() -> None:
    silent = router(since=ago(hours=1), tunnel_since=None, tunnel_missing_since=ago(minutes=2))
    seen = with_worker(silent, overlay=DOWN)
    assert planned(seen).memory.breakers == {}
    failed = after(seen)
    assert after(with_worker(failed, overlay=DOWN)).state is S.STOPPING
    gone = listed(with_worker(replace(failed, state=S.STOPPING), overlay=DOWN), make_instance(worker()), site="upv")
    gone = replace(
        gone,
        claims={
            **gone.claims,
            failed.key: replace(failed, state=S.STOPPING, missing_since=ago(minutes=3), confirmed_at=NOW),
        },
    )
    assert after(gone).state is S.GONE
    assert kinds(planned(replace(gone, claims={"cpu-1-1": worker()}))) == [("router-upv", S.LAUNCHING)]


def test_a_router_that_does_not_boot_opens_the_breaker_of_its_offer() -> None:
    decided = planned(with_worker(router(S.BOOTING, launched_at=ago(minutes=11)), overlay=DOWN))
    assert list(decided.memory.breakers) == ["router-upv at upv/small/on-demand"]


@pytest.mark.parametrize("state", [S.PLANNED, S.BOOTING, S.JOINING, S.READY])
def test_an_operators_order_ends_it_in_every_phase(state: Any) -> None:
    seen = with_worker(router(state), operator=Operator(wishes={"router-upv": Wish.DISABLED}), overlay=DOWN)
    assert after(seen).state is (S.GONE if state is S.PLANNED else S.DRAINING)


def test_its_addresses_are_taken_from_the_listing_and_its_ticket_counts_from_running() -> None:
    claim = router(S.BOOTING, address="10.77.1.9")
    shown = make_instance(
        claim, addresses=("10.77.1.9", "198.51.100.7"), macs=("02:00:00:00:00:01", "02:00:00:00:00:02")
    )
    decided = after(listed(world(claim, overlay=DOWN), shown, site="upv"))
    assert (decided.address, decided.mac) == ("10.77.1.9", "02:00:00:00:00:01")
    assert decided.listed_addresses == ("10.77.1.9", "198.51.100.7")
    assert decided.listed_at == NOW
    pending = replace(shown, state=InstanceState.PENDING, macs=(), addresses=())
    known = replace(claim, mac="02:00:00:00:00:01", listed_addresses=("10.77.1.9",))
    decided = after(listed(world(known, overlay=DOWN), pending, site="upv"))
    assert (decided.listed_at, decided.mac, decided.listed_addresses) == (None, "02:00:00:00:00:01", ("10.77.1.9",))


def test_the_looks_that_lack_its_tunnel_count_from_the_beginning_of_its_phase() -> None:
    """Its tunnel was missing all the while it booted; that is not held against it when it has enrolled."""
    booted = router(S.JOINING, since=NOW - timedelta(seconds=1), tunnel_missing_since=ago(minutes=9))
    assert after(with_worker(booted, overlay=DOWN)).state is S.JOINING


def test_it_is_closed_by_the_providers_word_while_slurm_cannot_be_read() -> None:
    claim = router(S.STOPPING)
    seen = listed(world(claim), make_instance(claim, state=InstanceState.GONE), site="upv")
    assert after(replace(seen, lrms=Observed(error="away"))).state is S.GONE


def test_the_time_without_a_central_point_counts_while_this_daemon_runs_and_its_offer_is_then_left_alone() -> None:
    silent = with_worker(router(S.JOINING, since=ago(minutes=11)), overlay=NO_HUB)
    assert after(replace(silent, started_at=ago(minutes=1))).state is S.JOINING
    decided = planned(silent)
    assert list(decided.memory.breakers) == [f"router-upv at {router().offer.key}"]
    again = with_worker(router(S.GONE), overlay=NO_HUB, memory=decided.memory)
    assert kinds(planned(again)) == []  # no endless row of routers
