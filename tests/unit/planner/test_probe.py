"""Trying an image: one VM that becomes a worker and never serves, and of which nothing is left."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clues.errors import InvalidRequest, NoCapacity, NotFound
from clues.model import Claim, ClaimState, Facts, LaunchOutcome, Limits, Node, Settings, Warm
from clues.planner.claims.probe import plan_probe, stop_probe
from clues.planner.view import View, make_view
from tests.unit.builders import (
    BUSY,
    CLOSED,
    NOW,
    ago,
    make_claim,
    make_node,
    make_offer,
    make_pool,
    make_settings,
    make_site,
)
from tests.unit.planner.claims import BOOTING, JOINING, PLANNED
from tests.unit.planner.deciding import bought, cluster, job, opened, plan, state_of
from tests.unit.reconciler.parts import Parts, make_parts

S = ClaimState
OFFERS = [make_offer(), make_offer("cesnet", "gpu.a10"), make_offer("aws", "c7i", price_per_hour=0.4)]


def settings(**more: object) -> Settings:
    return make_settings([make_pool(offers=OFFERS, **more)])  # type: ignore[arg-type]


def view(configured: Settings | None = None, nodes: list[Node] | None = None, claims: tuple[Claim, ...] = ()) -> View:
    configured = configured or settings()
    return make_view(cluster([], claims, configured, nodes=nodes or []), configured, NOW)


def tried(site: str = "cesnet", flavor: str = "", seen: View | None = None) -> Claim:
    seen = seen or view()
    return plan_probe(seen, seen.world.claims, site, "new-image", flavor)


def test_it_takes_a_node_that_nobody_uses_and_the_sites_first_offer_with_the_image() -> None:
    taken = make_claim("cpu-1")
    claim = tried(seen=view(nodes=[make_node("cpu-2", BUSY)], claims=(taken,)))
    assert (claim.node, claim.state, claim.probe, claim.jobs) == ("cpu-3", S.PLANNED, True, ())
    assert (claim.offer.site, claim.offer.flavor, claim.offer.image) == ("cesnet", "hpc.8core", "new-image")


@pytest.mark.parametrize("flavor", ["gpu.a10", "brand-new"])
def test_a_flavor_can_be_named_offered_or_not(flavor: str) -> None:
    assert tried(flavor=flavor).offer.flavor == flavor


@pytest.mark.parametrize(
    ("site", "seen", "told"),
    [
        ("nowhere", view(), "no site is called nowhere"),
        ("cesnet", view(nodes=[make_node(f"cpu-{n}", BUSY) for n in range(1, 5)]), "no node that a VM"),
        (
            "cesnet",
            view(
                make_settings([make_pool(offers=OFFERS)], [make_site("cesnet", limits=Limits(vms=0)), make_site("aws")])
            ),
            "0 of 0 VMs in use",
        ),
        ("upv", view(make_settings([make_pool()], [make_site(), make_site("upv")])), "no pool has an offer"),
    ],
)
def test_where_it_cannot_be_tried_the_reason_is_told(site: str, seen: View, told: str) -> None:
    with pytest.raises(InvalidRequest, match=told):
        tried(site, seen=seen)


# --- its life --------------------------------------------------------------------------------------------------------

PROBE = replace(JOINING, probe=True, by_operator=True, launched_at=ago(minutes=2))


def test_once_it_has_passed_its_checks_it_goes_and_is_never_opened() -> None:
    seen = cluster([job()], [PROBE], nodes=[make_node("cpu-1", CLOSED, reason="clues:starting")])
    decided = plan(seen)
    assert (state_of(decided, seen), opened(decided)) == (S.DRAINING, [])
    (after,) = [claim for claim in decided.claims if claim.key == PROBE.key]
    assert after.ready_at == NOW
    assert "its image is good: 8 CPUs" in after.reason


def test_one_that_is_not_what_was_ordered_fails_and_nothing_is_held_against_the_offer() -> None:
    small = replace(PROBE, facts=Facts(1, 512))
    seen = cluster([], [small], nodes=[make_node("cpu-1", CLOSED, reason="clues:starting")])
    decided = plan(seen)
    assert (state_of(decided, seen), decided.memory.breakers) == (S.FAILED, {})


def test_no_job_counts_on_it() -> None:
    for probe, others in ((True, ["cpu-2"]), (False, [])):
        seen = cluster([job()], [replace(BOOTING, probe=probe)])
        assert bought(plan(seen)) == others


def test_it_is_not_counted_as_a_warm_node() -> None:
    configured = make_settings([make_pool(keep_warm=(Warm(1),))])
    for probe, others in ((True, ["cpu-2"]), (False, [])):
        seen = cluster([], [replace(BOOTING, probe=probe)], configured)
        assert bought(plan(seen, configured)) == others


def test_one_that_cannot_begin_is_given_up() -> None:
    waiting = replace(PLANNED, probe=True, since=ago(minutes=1))
    seen = cluster([], [waiting], nodes=[make_node("cpu-1", BUSY)])
    assert state_of(plan(seen), seen) is S.PLANNED
    late = replace(waiting, since=ago(hours=1))
    seen = cluster([], [late], nodes=[make_node("cpu-1", BUSY)])
    assert state_of(plan(seen), seen) is S.GONE


@pytest.mark.parametrize(
    ("state", "then"),
    [
        (S.PLANNED, S.GONE),
        (S.LAUNCHING, S.FAILED),
        (S.BOOTING, S.FAILED),
        (S.JOINING, S.FAILED),
        (S.DRAINING, S.DRAINING),
    ],
)
def test_one_that_nobody_waits_for_any_more_ends(state: ClaimState, then: ClaimState) -> None:
    assert stop_probe(make_claim(state=state, probe=True), view()).state is then


# --- in the reconciler -----------------------------------------------------------------------------------------------


def vms(parts: Parts) -> int:
    return sum(vm.alive for cloud in parts.world.clouds.values() for vm in cloud.vms.values())


def test_from_the_order_until_nothing_is_left() -> None:
    parts = make_parts()
    key = parts.world.counter.try_image("cesnet", "new-image", "", "root").key
    parts.turns(6)
    assert vms(parts) == 1
    parts.turns(60)
    trial = parts.world.counter.trial(key)
    assert (trial.state, trial.failure, trial.ready_at is not None) == (S.GONE, "", True)
    assert vms(parts) == 0
    assert parts.claims == {}


def test_stopped_in_the_middle_nothing_is_left_either() -> None:
    for turns in range(0, 12, 2):
        parts = make_parts()
        key = parts.world.counter.try_image("cesnet", "new-image", "", "root").key
        parts.turns(turns)
        parts.world.counter.stop_trial(key)
        parts.turns(60)
        assert (parts.world.counter.trial(key).state, vms(parts), parts.claims) == (S.GONE, 0, {}), turns


@pytest.mark.parametrize(("error", "held"), [(InvalidRequest("no such image"), False), (NoCapacity("none"), True)])
def test_a_wrong_image_is_not_held_against_the_pools_offer(error: Exception, held: bool) -> None:
    parts = make_parts()
    claim = parts.booting(state=S.LAUNCHING, instance_id="", probe=True)
    parts.world.reconciler.launched(LaunchOutcome(claim.key, error=error))  # type: ignore[arg-type]
    assert bool(parts.world.books.memory.breakers) == held


def test_a_last_word_of_its_boot_is_not_held_against_the_offer() -> None:
    parts = make_parts()
    claim = parts.booting(probe=True)
    parts.world.counter.report(claim.key, "failed", "no slurmd in this image")
    assert parts.claim().state is S.FAILED
    assert parts.world.books.memory.breakers == {}


def test_what_is_no_trial_is_not_found_and_not_stopped() -> None:
    parts = make_parts()
    claim = parts.booting()
    with pytest.raises(NotFound):
        parts.world.counter.trial(claim.key)
    parts.world.counter.stop_trial(claim.key)
    assert parts.claim().state is S.BOOTING


def test_while_buying_is_paused_nothing_is_tried() -> None:
    parts = make_parts()
    parts.world.counter.pause(True, "root")
    with pytest.raises(InvalidRequest, match="paused"):
        parts.world.counter.try_image("cesnet", "new-image", "", "root")
