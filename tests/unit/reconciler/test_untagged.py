"""A VM of ours whose tags somebody has taken: it is not ended, and it is not forgotten either."""

from __future__ import annotations

import pytest

from clues.api import overview
from clues.api.lens import Lens
from clues.errors import NotFound
from clues.model import Claim, ClaimState, Published
from clues.planner.explain import explain
from tests.unit.planner.toy_cloud import ToyVM
from tests.unit.reconciler.parts import Parts, make_parts


@pytest.fixture
def parts() -> Parts:
    """A cluster with one VM that has served a job, and whose tags are taken then."""
    parts = make_parts()
    job = parts.job(seconds=30)
    for _ in range(60):
        parts.turns(job.state != "DONE")
    assert parts.claim("cpu-1").state is ClaimState.READY
    the_vm(parts).untagged = True
    parts.turns(40)
    return parts


def the_vm(parts: Parts) -> ToyVM:
    return next(vm for cloud in parts.world.clouds.values() for vm in cloud.vms.values() if vm.request.node == "cpu-1")


def of_vm(parts: Parts) -> list[Claim]:
    """Return the live claims of that VM."""
    return [claim for claim in parts.claims.values() if claim.instance_id == the_vm(parts).id]


def alarms(parts: Parts) -> list[str]:
    return [note.text for note in parts.ledger.notes(limit=1000) if note.kind == "alarm"]


def published(parts: Parts) -> Published:
    assert parts.world.reconciler.published is not None
    return parts.world.reconciler.published


def test_it_is_not_ended(parts: Parts) -> None:
    assert the_vm(parts).alive


def test_its_claim_stays_however_long_it_is_not_listed(parts: Parts) -> None:
    parts.turns(100)
    assert [claim.state for claim in of_vm(parts)] == [ClaimState.STOPPING]


def test_it_is_told_once_with_its_id_and_what_to_do(parts: Parts) -> None:
    parts.turns(200)
    (text,) = alarms(parts)
    assert the_vm(parts).id in text
    assert "end it at the provider, or give it its tags back" in text


def test_it_stands_in_the_status_and_in_the_nodes_explanation_as_long_as_it_is_so(parts: Parts) -> None:
    parts.turns(50)
    now = published(parts).at
    assert any(the_vm(parts).id in text for text in overview.status(Lens.of(published(parts), now)).troubles)
    assert "without this cluster's tags" in explain(published(parts), "cpu-1", [])


def test_further_jobs_are_served_by_other_nodes(parts: Parts) -> None:
    job = parts.job(102)
    parts.turns(40)
    assert (job.state, "cpu-1" in job.on) == ("RUNNING", False)


def test_the_provider_is_not_asked_at_every_tick(parts: Parts) -> None:
    asked: list[str] = []
    cloud = parts.world.clouds[the_vm(parts).site]
    plain = cloud.terminate
    cloud.terminate = lambda instance_id: (asked.append(instance_id), plain(instance_id))[1]  # type: ignore[method-assign, func-returns-value]
    parts.turns(100)  # five minutes
    assert 1 <= len(asked) <= 3


def test_with_its_tags_back_it_is_ended(parts: Parts) -> None:
    the_vm(parts).untagged = False
    parts.turns(30)
    assert not the_vm(parts).alive
    assert of_vm(parts) == []


def test_ended_by_hand_its_claim_ends(parts: Parts) -> None:
    the_vm(parts).gone_at = parts.world.time.now()
    parts.turns(60)
    assert of_vm(parts) == []


def test_an_answer_that_got_lost_is_asked_for_again() -> None:
    """A termination that failed says nothing of a VM that is not listed."""
    parts = make_parts()
    claim = parts.booting(state=ClaimState.STOPPING)
    parts.world.reconciler.terminated(claim.key, NotFound("not ours"))
    assert parts.claim().untagged_since is not None
    parts.world.reconciler.terminated(claim.key, None)
    assert parts.claim().untagged_since is None
    assert parts.claim().confirmed_at is not None
