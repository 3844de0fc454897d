"""One tick: what is decided is committed before it is done, and what could not be committed is not done."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

import pytest

from clues.errors import AuthFailed, CloudError, InvalidRequest, NoCapacity, OutcomeUnknown, QuotaExceeded, Transient
from clues.model import Claim, ClaimState, Launch, LaunchOutcome, Open, Wish
from clues.ports import Reservation
from tests.unit.builders import make_instance
from tests.unit.planner.toy import World
from tests.unit.planner.toy_daemon import Killed, ToyOverlay
from tests.unit.reconciler.parts import Parts, make_parts

S = ClaimState


@pytest.fixture
def parts() -> Parts:
    return make_parts()


def test_a_job_runs_from_submission_to_shrinking_back(parts: Parts) -> None:
    job = parts.job(seconds=30)
    parts.turns(25)
    assert job.state in {"RUNNING", "DONE"}
    parts.turns(80)
    assert job.state == "DONE"
    assert parts.claims == {}


def test_the_intent_is_on_the_disk_before_the_provider_is_asked(parts: Parts) -> None:
    seen: list[ClaimState | None] = []
    for cloud in parts.world.clouds.values():
        plain = cloud.launch

        def look(requests, plain=plain):  # type: ignore[no-untyped-def]
            seen.extend(claim.state if (claim := parts.ledger.claim(one.launch_key)) else None for one in requests)
            return plain(requests)

        cloud.launch = look  # type: ignore[method-assign]
    parts.job(nodes=2)
    parts.turns(4)
    assert seen == [S.LAUNCHING, S.LAUNCHING]


def test_while_the_disk_is_full_nothing_is_launched_and_it_goes_on_afterwards(parts: Parts) -> None:
    parts.turns(3)
    parts.world.disk_full = True
    parts.job()
    parts.turns(5)
    assert [key for cloud in parts.world.clouds.values() for key in cloud.asked] == []
    assert "ledger" in parts.world.books.troubles
    parts.world.disk_full = False
    parts.turns(5)
    assert len(parts.claims) == 1
    assert parts.world.books.troubles == {}


def test_a_range_without_a_free_address_is_not_tried_at_every_tick(parts: Parts) -> None:
    class Exhausted(ToyOverlay):
        def reserve(self, claim: Claim, claims: Iterable[Claim], now: datetime) -> Reservation:
            raise QuotaExceeded("no address of 10.77.1.0/24 is free")

    parts.world.reconciler.overlay = Exhausted()
    parts.job()
    parts.turns(30)
    assert len(list(parts.ledger.all_claims())) < 15
    assert [key for cloud in parts.world.clouds.values() for key in cloud.asked] == []


def test_no_two_claims_get_one_address(parts: Parts) -> None:
    parts.job(nodes=3)
    parts.turns(4)
    assert len({claim.address for claim in parts.claims.values()}) == 3


def test_an_offer_without_capacity_is_followed_by_the_next(parts: Parts) -> None:
    parts.world.clouds["cesnet"].full = True
    job = parts.job()
    parts.turns(30)
    assert parts.claim(job.on[0]).offer.site == "aws"
    assert len(parts.world.clouds["cesnet"].asked) <= 4


def test_while_the_controller_is_away_nothing_is_done_to_nodes(parts: Parts) -> None:
    parts.job()
    parts.turns(3)
    parts.world.slurm.out = True
    before = dict(parts.claims)
    parts.turns(2)
    assert parts.world.reconciler.published is not None
    actions = parts.world.reconciler.published.plan.actions
    assert [action for action in actions if isinstance(action, Open | Launch)] == []
    assert before.keys() == parts.claims.keys()


def test_answers_become_events(parts: Parts) -> None:
    claim = parts.booting(state=S.LAUNCHING, instance_id="")
    parts.world.reconciler.launched(LaunchOutcome(claim.key, error=NoCapacity("none", words="ERR 500 no host")))
    assert parts.claim().state is S.FAILED
    assert parts.world.books.memory.breakers[claim.offer.key].words == "ERR 500 no host"
    assert any("launching -> failed" in text for text in parts.texts())


@pytest.mark.parametrize("error", [OutcomeUnknown("?"), Transient("503")])
def test_an_answer_that_decides_nothing_is_kept_as_the_reason(parts: Parts, error: Exception) -> None:
    claim = parts.booting(state=S.LAUNCHING, instance_id="")
    parts.world.reconciler.launched(LaunchOutcome(claim.key, error=error))  # type: ignore[arg-type]
    assert parts.claim().state is S.LAUNCHING
    assert parts.claim().reason.startswith("launch:")


@pytest.mark.parametrize(
    ("error", "held"),
    [(Transient("503"), "transient"), (AuthFailed("403"), "auth"), (InvalidRequest("locked"), ""), (None, "")],
)
def test_of_a_termination_only_what_is_the_sites_own_is_held_against_it(
    parts: Parts, error: CloudError | None, held: str
) -> None:
    claim = parts.booting(state=S.STOPPING)
    parts.world.reconciler.terminated(claim.key, error)
    assert [one.code for one in parts.world.books.memory.breakers.values()] == ([held] if held else [])


def test_a_call_that_works_ends_the_row_of_those_that_failed(parts: Parts) -> None:
    claim = parts.booting(state=S.LAUNCHING, instance_id="")
    parts.world.reconciler.launched(LaunchOutcome(claim.key, error=Transient("503")))
    assert list(parts.world.books.memory.breakers) == ["cesnet"]
    parts.world.reconciler.launched(LaunchOutcome(claim.key, make_instance(claim)))
    assert parts.world.books.memory.breakers == {}


def test_an_answer_for_a_claim_that_has_ended_is_no_error(parts: Parts) -> None:
    parts.world.reconciler.launched(LaunchOutcome("long-gone", error=NoCapacity("none")))
    parts.world.reconciler.terminated("long-gone", None)


def test_a_termination_that_failed_is_told_and_ends_nothing(parts: Parts) -> None:
    claim = parts.booting(state=S.STOPPING)
    parts.world.reconciler.terminated(claim.key, Transient("503"))
    assert parts.claim().state is S.STOPPING
    assert "503" in parts.claim().reason


@pytest.mark.parametrize("written", [True, False])
def test_killed_at_the_commit_of_a_launch_there_is_one_vm_in_the_end(parts: Parts, written: bool) -> None:
    """Killed after the intent was written and before the effect, or before both."""
    world, plain = parts.world, parts.world.ledger.commit

    def die(change):  # type: ignore[no-untyped-def]
        if any(claim.state is S.LAUNCHING for claim in change.claims):
            world.ledger.commit = plain  # type: ignore[method-assign]
            if written:
                plain(change)
            raise Killed
        plain(change)

    world.ledger.commit = die  # type: ignore[method-assign]
    parts.job()
    parts.turns(12)
    assert world.kills == 1
    assert len([vm for cloud in world.clouds.values() for vm in cloud.vms.values()]) == 1
    assert len(list(parts.ledger.all_claims())) == 1


def test_killed_after_the_effect_the_vm_is_found_by_its_key(parts: Parts) -> None:
    world = parts.world

    def die(outcome: LaunchOutcome) -> None:
        raise Killed

    world.reconciler.launched = die  # type: ignore[method-assign]
    parts.job()
    parts.turns(12)
    assert world.kills == 1
    assert len([vm for cloud in world.clouds.values() for vm in cloud.vms.values()]) == 1
    assert parts.claim().instance_id


def test_everything_is_published_with_its_reasons(parts: Parts) -> None:
    parts.job()
    parts.turns(3)
    published = parts.world.reconciler.published
    assert published is not None
    assert published.ticks >= 2
    assert published.world.claims.keys() == parts.claims.keys()
    assert list(published.plan.outlooks) == ["101"]
    assert any("new -> launching: for job 101" in text for text in parts.texts())


def test_fulfilled_orders_are_forgotten_in_the_same_commit(parts: Parts) -> None:
    parts.world.counter.wish(["cpu-1"], Wish.OFF, "root")
    parts.turns(2)
    assert parts.ledger.operator().wishes == {}


def test_of_two_clusters_in_one_site_neither_touches_the_others_vms(parts: Parts) -> None:
    parts.job()
    parts.turns(20)
    for cloud in parts.world.clouds.values():
        assert cloud.broken == []
    assert parts.world.reconciler.published is not None
    assert parts.world.reconciler.published.plan.orphans == ()


# --- routers ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def private() -> Parts:
    """A world whose site aws lies behind a router."""
    parts = Parts(World(1, faults=False, private=True))
    parts.turns(5)
    return parts


def test_a_job_at_a_private_site_runs_and_its_router_comes_first_and_goes_last(private: Parts) -> None:
    private.job(seconds=30).constraint = "aws"
    private.turns(120)
    assert private.claims == {}
    notes = [
        note for note in private.ledger.notes(limit=1000) if note.text.startswith(("joining -> ready", "stopping ->"))
    ]
    assert [note.subject for note in notes] == ["router-aws", "cpu-1", "cpu-1", "router-aws"]


def test_a_routers_addresses_are_reserved_and_a_workers_when_it_is_launched(private: Parts) -> None:
    private.job().constraint = "aws"
    private.turns(2)
    router = private.claim("router-aws")
    assert (router.address, router.tunnel) == ("10.77.1.9", "10.77.252.10")
    assert (private.claim().state, private.claim().address) == (S.PLANNED, "")


def test_a_router_whose_address_is_still_held_waits_on_paper_and_nothing_is_held_against_it(private: Parts) -> None:
    plain, held = private.world.overlay.reserve, True

    def reserve(claim: Claim, claims: Iterable[Claim], now: datetime) -> Reservation:
        if claim.node == "router-aws" and held:
            raise QuotaExceeded("10.77.1.9 is still held")
        return plain(claim, claims, now)

    private.world.overlay.reserve = reserve  # type: ignore[method-assign]
    private.job().constraint = "aws"
    private.turns(10)
    router = private.claim("router-aws")
    assert (router.state, router.launches, router.generation) == (S.PLANNED, 0, 1)
    assert private.world.books.memory.breakers == {}
    assert not any("launching" in text for text in private.texts())
    assert private.world.clouds["aws"].asked == []
    held = False
    private.turns(2)
    assert private.world.clouds["aws"].asked == [router.key]


def test_a_worker_with_a_tunnel_of_its_own_is_reached_at_its_end(parts: Parts) -> None:
    def reserve(claim: Claim, claims: Iterable[Claim], now: datetime) -> Reservation:
        return Reservation("", "10.77.252.20")

    parts.world.overlay.reserve = reserve  # type: ignore[method-assign]
    parts.job()
    parts.turns(4)
    assert (parts.claim().address, parts.claim().tunnel) == ("10.77.252.20", "10.77.252.20")
    (vm,) = parts.world.clouds["cesnet"].vms.values()
    assert vm.address == ""
    assert private_addresses(parts) == []


def private_addresses(parts: Parts) -> list[str]:
    """Which addresses the providers were asked for."""
    return [
        vm.request.address for cloud in parts.world.clouds.values() for vm in cloud.vms.values() if vm.request.address
    ]


def test_what_the_central_points_tell_is_published(private: Parts) -> None:
    private.job().constraint = "aws"
    private.turns(25)
    published = private.world.reconciler.published
    assert published is not None
    assert published.world.overlay.value is not None
    assert list(published.world.overlay.value.tunnels) == [private.claim("router-aws").key]


def test_another_overlay_is_looked_at_after_a_reload(private: Parts) -> None:
    world = private.world
    fresh = ToyOverlay()
    world.reconciler.configure(world.settings, fresh, world.reconciler._executor)  # type: ignore[arg-type]
    assert world.observer.overlay is fresh


def test_a_claim_may_be_lost_until_its_sites_vms_were_seen(parts: Parts) -> None:
    books = parts.world.books
    site, *_ = parts.world.clouds
    books.unseen = set(parts.world.clouds)
    told: list[bool] = []
    books.publish = lambda: told.append(books.may_have_lost("never-heard-of", site))
    books.make_known()
    parts.turns(8)
    assert told[0] is True
    assert told[-1] is False
    assert books.unseen == set()


def test_a_claim_that_the_ledger_knows_is_not_lost(parts: Parts) -> None:
    parts.job(seconds=5)
    parts.turns(25)
    (claim,) = parts.claims.values()
    books = parts.world.books
    books.unseen = {claim.offer.site}
    assert not books.may_have_lost(claim.key, claim.offer.site)
    assert books.may_have_lost("another", claim.offer.site)


def test_a_call_that_the_quota_does_not_hold_is_held_against_nobody_until_one_alone_is_refused(parts: Parts) -> None:
    refused = LaunchOutcome("cpu-1-1", error=QuotaExceeded("32 of 32"))
    parts.booting(state=ClaimState.LAUNCHING, instance_id="", address="", launches=1, batch=("cpu-1-1", "cpu-2-1"))
    parts.world.reconciler.launched(refused)
    assert parts.world.books.memory.breakers == {}
    assert (parts.claim().batch, parts.claim().batch_most, parts.claim().launches) == ((), 1, 0)
    parts.commit(replace(parts.claim(), launches=1))
    parts.world.reconciler.launched(refused)
    assert parts.claim().failure == "quota"
    assert "cesnet" in parts.world.books.memory.breakers
