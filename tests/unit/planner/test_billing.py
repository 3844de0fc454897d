"""Time that is charged in whole periods: booked so, and used to its end."""

from __future__ import annotations

from datetime import timedelta

import pytest

from clues.ledger import Commit, open_ledger
from clues.model import Billing, ClaimState
from clues.planner.money.billing import charged, paid_until
from clues.reconciler import Books
from tests.unit.builders import IDLE, NOW, ago, ahead, make_claim, make_offer, make_settings
from tests.unit.planner.deciding import cluster, plan, state_of

HOURLY = Billing(period=timedelta(hours=1))
AWS = Billing(minimum=timedelta(seconds=60))


@pytest.mark.parametrize(
    ("billing", "seconds", "paid"),
    [
        (HOURLY, 1, 3600),
        (HOURLY, 3600, 3600),
        (HOURLY, 3601, 7200),
        (HOURLY, 0, 0),
        (HOURLY, -5, 0),
        (AWS, 10, 60),
        (AWS, 61.5, 61.5),
        (Billing(timedelta(seconds=60), timedelta(minutes=10)), 601, 660),
        (Billing(), 1.5, 1.5),
    ],
)
def test_time_is_charged_in_whole_periods_and_for_a_minimum(billing: Billing, seconds: float, paid: float) -> None:
    assert charged(billing, timedelta(seconds=seconds)) == timedelta(seconds=paid)


@pytest.mark.parametrize(
    ("launched", "idle", "leaves"),
    [
        (30, 20, False),
        (56, 20, False),
        (58, 20, True),
        (58, 9, False),
        (62, 8, False),
        (118, 20, True),
        (125, 20, False),
    ],
)
def test_an_idle_node_is_kept_while_it_is_paid_for_and_goes_in_time(launched: int, idle: int, leaves: bool) -> None:
    claim = make_claim(
        idle_since=ago(minutes=idle),
        launched_at=ago(minutes=launched),
        opened_at=ago(minutes=launched - 3),
        used_at=ago(minutes=launched - 3),
        offer=make_offer(price_per_hour=1.0, billing=HOURLY),
    )
    world = cluster((), [claim], flags={"cpu-1": IDLE})
    assert (state_of(plan(world), world) is ClaimState.DRAINING) is leaves


def test_the_bill_is_booked_in_the_same_periods() -> None:
    books = Books(open_ledger(None), NOW)
    offer = make_offer("aws", "c7i", price_per_hour=2.0, billing=HOURLY)
    launching = make_claim(state=ClaimState.LAUNCHING, offer=offer, launched_at=NOW)
    books.commit(Commit(claims=(launching,)))
    booked = []
    for minutes in (1, 2, 61, 62, 121):
        if minutes == 2:  # its VM is known only now, and its first hour is paid all the same
            books.commit(Commit(claims=(make_claim(state=ClaimState.BOOTING, offer=offer, launched_at=NOW),)))
        at = ahead(minutes=minutes)
        spend = books.spend_until(at, {})
        books.booked(spend, at)
        booked.append(sum(spend.values()))
    assert booked == [0.0, 2.0, 2.0, 0.0, 2.0]


def test_what_is_free_or_charged_by_the_moment_is_paid_until_now() -> None:
    for offer in (make_offer(price_per_hour=1.0), make_offer(price_per_hour=0.0, billing=HOURLY)):
        assert paid_until(make_claim(offer=offer, launched_at=ago(minutes=5)), NOW) == NOW
    assert make_settings().pools["cpu"].offers[0].billing == Billing()
