"""A pool whose VMs come to nothing at all of its offers: closed, told, tried with one VM, open again."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from clues.model import ClaimState, Memory, Pace, Plan
from clues.planner import decide, learn_failure
from clues.planner.capacity.breaker import learn_success
from tests.unit.builders import NOW, make_claim, make_offer, make_pool, make_settings
from tests.unit.planner.deciding import bought, cluster, job

ONE, OTHER = make_offer(), make_offer("aws", "c7i", price_per_hour=0.5)
SETTINGS = make_settings([make_pool(count=8, offers=[ONE, OTHER])])
PACE = Pace()


def dead(*offers: int, at: datetime = NOW, memory: Memory | None = None) -> Memory:
    """Return what is remembered after VMs of these offers (0 or 1) came to nothing, a minute apart."""
    memory = memory or Memory()
    for number in offers:
        claim = make_claim(state=ClaimState.BOOTING, offer=(ONE, OTHER)[number])
        at = max([at, *(one.until for one in memory.breakers.values() if one.offer == claim.offer.key)])
        memory = learn_failure(memory, claim, "boot", "no kernel", at, PACE)
    return memory


def after(memory: Memory, minutes: float = 0, jobs: int = 5) -> Plan:
    now = NOW + timedelta(minutes=minutes)
    world = cluster([job(n, cpus=8) for n in range(jobs)], settings=SETTINGS, memory=memory, taken_at=now)
    return decide(world, SETTINGS, now)


def test_it_is_closed_when_all_its_offers_have_failed_often_enough() -> None:
    assert "pool cpu" not in after(dead(0, 0, 0)).memory.breakers
    assert "pool cpu" not in after(dead(0, 1)).memory.breakers
    closed = after(dead(0, 0, 1))
    assert closed.memory.breakers["pool cpu"].failures == 3
    assert bought(closed) == []


def test_an_alarm_tells_of_it_once_and_says_why() -> None:
    closed = after(dead(0, 0, 1))
    (note,) = closed.notes
    assert (note.kind, note.subject) == ("alarm", "cpu")
    assert "3 times in a row, at all of its offers" in note.text
    assert f"boot of {ONE.key}: no kernel" in note.text
    assert after(closed.memory).notes == ()


def test_all_its_offers_together_have_one_try_at_a_time_and_longer_rests() -> None:
    memory = after(dead(0, 0, 1)).memory
    rests = []
    for _ in range(4):
        closed = memory.breakers["pool cpu"]
        rests.append((closed.until - (closed.failed_at or NOW)) / timedelta(minutes=1))
        minutes = (max(one.until for one in memory.breakers.values()) - NOW) / timedelta(minutes=1) + 1
        tried = after(memory, minutes)
        ((claim,)) = [one for one in tried.claims if one.created_at == NOW + timedelta(minutes=minutes)]
        memory = learn_failure(
            tried.memory, replace(claim, launched_at=claim.created_at), "boot", "no kernel", claim.created_at, PACE
        )
        memory = after(memory, minutes).memory
    assert [round(rest / 1.25) <= wait <= rest * 1.25 for rest, wait in zip(rests, (8, 16, 30, 30), strict=True)] == [
        True
    ] * 4


def test_the_first_vm_that_passes_its_checks_opens_it_again() -> None:
    memory = after(dead(0, 0, 1)).memory
    late = NOW + timedelta(hours=1)
    booting = make_claim(state=ClaimState.JOINING, offer=ONE, launched_at=late)
    memory = learn_success(memory, booting, replace(booting, ready_at=late))
    assert "pool cpu" not in memory.breakers
    open_again = after(memory, 60)
    assert "pool cpu" not in open_again.memory.breakers
    assert len(bought(open_again)) == 0  # at NOW; below: at its own time
    assert sum(one.created_at == late for one in open_again.claims) == 3  # two of one offer, a first try of the other


def test_another_image_opens_it_again_and_that_is_told() -> None:
    memory = after(dead(0, 0, 1)).memory
    mended = make_settings([make_pool(count=8, offers=[replace(ONE, image="mended"), OTHER])])
    world = cluster([job(n, cpus=8) for n in range(5)], settings=mended, memory=memory)
    decided = decide(world, mended, NOW)
    assert set(decided.memory.breakers) == {f"cpu at {OTHER.key}"}
    assert len(bought(decided)) == 5
    assert [one.text[:10] for one in decided.notes if one.kind == "pool"] == ["open again"]
