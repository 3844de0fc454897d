"""One tick: what is decided is committed before it is done, and what could not be committed is not done."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import pytest

from clues.errors import NoCapacity, OutcomeUnknown, QuotaExceeded, Transient
from clues.model import Claim, ClaimState, Launch, LaunchOutcome, Open, Wish
from tests.unit.planner.toy_daemon import Killed
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
    class Exhausted:
        def reserve(self, claim: Claim, claims: Iterable[Claim], now: datetime) -> str:
            raise QuotaExceeded("no address of 10.77.1.0/24 is free")

        def status(self) -> dict[str, str]:
            return {}

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
