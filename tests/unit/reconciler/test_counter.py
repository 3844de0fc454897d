"""What VMs and operators bring to the counter: one VM for each ticket, all or nothing for each order."""

from __future__ import annotations

from datetime import timedelta

import pytest

from clues.errors import AuthFailed, InvalidRequest, LedgerError, Transient
from clues.model import ClaimState, Facts, Wish
from tests.unit.builders import CPU_SHAPE
from tests.unit.reconciler.parts import Parts, make_parts

S = ClaimState
GOOD = Facts(CPU_SHAPE.cpus, CPU_SHAPE.memory_mib)
HERE = "10.77.1.10"


@pytest.fixture
def parts() -> Parts:
    return make_parts()


def redeem(parts: Parts, nonce: str = "n1", address: str = HERE, key: str = "cpu-1-1") -> str:
    return parts.world.counter.redeem(key, nonce, address, GOOD)


def test_a_ticket_lets_its_worker_in_and_that_is_committed(parts: Parts) -> None:
    parts.booting()
    assert redeem(parts) == "cpu-1"
    stored = parts.ledger.claim("cpu-1-1")
    assert stored is not None
    assert (stored.state, stored.facts) == (S.JOINING, GOOD)


def test_the_same_vm_may_come_again(parts: Parts) -> None:
    parts.booting()
    redeem(parts)
    assert redeem(parts) == "cpu-1"


def test_another_vm_with_the_same_ticket_is_refused_and_told(parts: Parts) -> None:
    parts.booting()
    redeem(parts)
    with pytest.raises(AuthFailed, match="another VM"):
        redeem(parts, nonce="n2")
    assert any("presented again" in text for text in parts.texts())
    assert parts.claim().state is S.JOINING


def test_the_nonce_is_remembered_over_a_restart(parts: Parts) -> None:
    parts.booting()
    redeem(parts)
    parts.world.start()
    with pytest.raises(AuthFailed):
        redeem(parts, nonce="n2")
    assert redeem(parts) == "cpu-1"


def test_a_worker_that_is_quicker_than_the_providers_answer_is_let_in(parts: Parts) -> None:
    parts.booting(state=S.LAUNCHING, instance_id="")
    assert redeem(parts) == "cpu-1"
    assert parts.claim().state is S.JOINING


@pytest.mark.parametrize("state", [S.PLANNED, S.READY, S.DRAINING, S.FAILED, S.STOPPING])
def test_a_ticket_is_good_only_while_its_vm_boots(parts: Parts, state: ClaimState) -> None:
    parts.booting(state=state, **({"launched_at": None} if state is S.PLANNED else {}))
    with pytest.raises(AuthFailed):
        redeem(parts)


@pytest.mark.parametrize(("address", "key"), [("10.77.1.99", "cpu-1-1"), (HERE, "cpu-9-9")])
def test_from_elsewhere_or_for_nobody_it_is_refused(parts: Parts, address: str, key: str) -> None:
    parts.booting()
    with pytest.raises(AuthFailed):
        redeem(parts, address=address, key=key)
    assert parts.claim().state is S.BOOTING


def test_a_late_ticket_is_refused(parts: Parts) -> None:
    parts.booting(launched_at=parts.world.clock.now() - timedelta(minutes=16))
    with pytest.raises(AuthFailed, match="expired"):
        redeem(parts)


def test_a_worker_gets_nothing_that_was_not_committed(parts: Parts) -> None:
    parts.booting()
    parts.world.disk_full = True
    with pytest.raises(Transient):
        redeem(parts)
    parts.world.disk_full = False
    assert parts.ledger.nonce_of("cpu-1-1") is None
    assert redeem(parts, nonce="n2") == "cpu-1"


def test_the_last_word_of_a_boot_fails_it_with_the_words_and_teaches(parts: Parts) -> None:
    parts.booting()
    parts.world.counter.report("cpu-1-1", "failed", "no driver for the GPU")
    assert parts.claim().state is S.FAILED
    assert "no driver for the GPU" in parts.claim().reason
    assert list(parts.world.books.memory.breakers) == [parts.claim().offer.key]


def test_a_word_of_nobody_is_no_error(parts: Parts) -> None:
    parts.world.counter.report("nobody", "failed", "x")


@pytest.mark.parametrize("kind", ["started", "whatever"])
def test_other_words_are_noted(parts: Parts, kind: str) -> None:
    parts.booting()
    parts.world.counter.report("cpu-1-1", kind, "munge slurmd")
    assert parts.texts()[-1] == f"{kind} munge slurmd"


def test_an_order_for_a_node_of_no_pool_changes_nothing(parts: Parts) -> None:
    with pytest.raises(InvalidRequest, match="head-1"):
        parts.world.counter.wish(["cpu-1", "head-1"], Wish.OFF, "root")
    assert parts.world.books.operator.wishes == {}


def test_orders_stand_over_a_restart_until_they_are_taken_back(parts: Parts) -> None:
    parts.world.counter.wish(["cpu-1", "cpu-2"], Wish.DISABLED, "root")
    parts.world.start()
    assert parts.world.books.operator.wishes == {"cpu-1": Wish.DISABLED, "cpu-2": Wish.DISABLED}
    parts.world.counter.wish(["cpu-1"], None, "root")
    assert parts.world.books.operator.wishes == {"cpu-2": Wish.DISABLED}


def test_an_order_that_cannot_be_committed_is_told_to_who_gave_it(parts: Parts) -> None:
    parts.world.disk_full = True
    with pytest.raises(LedgerError):
        parts.world.counter.pause(True, "root")
    assert not parts.world.books.operator.paused
