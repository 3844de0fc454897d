"""What VMs and operators bring to the counter: one VM for each ticket, all or nothing for each order."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from clues.errors import AuthFailed, InvalidRequest, LedgerError, Transient
from clues.model import ClaimState, Facts, Kind, Wish
from clues.reconciler import Counter
from tests.unit.builders import CPU_SHAPE
from tests.unit.reconciler.parts import Parts, make_parts

S = ClaimState
GOOD = Facts(CPU_SHAPE.cpus, CPU_SHAPE.memory_mib)
HERE = "10.77.1.10"


@pytest.fixture
def parts() -> Parts:
    return make_parts()


def redeem(parts: Parts, identity: str = "k1", address: str = HERE, key: str = "cpu-1-1") -> str:
    return parts.world.counter.redeem(key, identity, "", address, GOOD).node


def alarms(parts: Parts) -> list[str]:
    return [note.text for note in parts.ledger.notes(limit=1000) if note.kind == "alarm"]


def test_a_maintenance_is_committed_with_who_announced_it_and_taken_back(parts: Parts) -> None:
    now = parts.world.clock.now()
    counter = parts.world.counter
    made = counter.announce_maintenance("cesnet", now + timedelta(hours=1), now + timedelta(hours=2), None, "alice")
    assert parts.ledger.operator().maintenance == (made,)
    with pytest.raises(InvalidRequest, match="no site is named nowhere"):
        counter.announce_maintenance("nowhere", now, now + timedelta(hours=2), None, "alice")
    with pytest.raises(InvalidRequest, match="overlaps"):
        counter.announce_maintenance("cesnet", now, now + timedelta(hours=2), None, "alice")
    counter.cancel_maintenance(made.number, "bob")
    assert parts.ledger.operator().maintenance == ()
    told = [note.text for note in parts.ledger.notes(limit=1000) if note.kind == "operator"]
    assert [text.split(":")[0] for text in told] == ["alice", "bob"]


def test_a_ticket_lets_its_worker_in_and_that_is_committed(parts: Parts) -> None:
    parts.booting()
    assert redeem(parts) == "cpu-1"
    stored = parts.ledger.claim("cpu-1-1")
    assert stored is not None
    assert (stored.state, stored.facts, stored.identity) == (S.JOINING, GOOD, "k1")


def test_the_same_vm_may_come_again_also_when_it_serves(parts: Parts) -> None:
    parts.booting()
    redeem(parts)
    assert redeem(parts) == "cpu-1"
    parts.commit(replace(parts.claim(), state=S.READY))
    assert redeem(parts) == "cpu-1"
    assert parts.claim().state is S.READY


@pytest.mark.parametrize("state", [S.JOINING, S.READY, S.DRAINING])
def test_the_same_ticket_with_another_key_is_theft_and_ends_the_claim(parts: Parts, state: ClaimState) -> None:
    parts.booting()
    redeem(parts)
    for step in {S.JOINING: (), S.READY: (S.READY,), S.DRAINING: (S.READY, S.DRAINING)}[state]:
        parts.commit(replace(parts.claim(), state=step))
    with pytest.raises(AuthFailed, match="another key"):
        redeem(parts, identity="k2")
    stored = parts.ledger.claim("cpu-1-1")
    assert stored is not None
    assert (stored.state, stored.failure) == (S.FAILED, "stolen")
    (alarm,) = alarms(parts)
    assert "another key" in alarm
    # neither of the two gets anything from then on
    for identity in ("k1", "k2"):
        with pytest.raises(AuthFailed):
            redeem(parts, identity=identity)


def test_the_key_is_remembered_over_a_restart(parts: Parts) -> None:
    parts.booting()
    redeem(parts)
    parts.world.start()
    assert redeem(parts) == "cpu-1"
    with pytest.raises(AuthFailed, match="another key"):
        redeem(parts, identity="k2")


def test_a_worker_that_is_quicker_than_the_providers_answer_is_let_in(parts: Parts) -> None:
    parts.booting(state=S.LAUNCHING, instance_id="")
    assert redeem(parts) == "cpu-1"
    assert parts.claim().state is S.JOINING


@pytest.mark.parametrize("state", [S.PLANNED, S.READY, S.DRAINING, S.FAILED, S.STOPPING])
def test_a_ticket_is_good_only_while_its_vm_boots(parts: Parts, state: ClaimState) -> None:
    parts.booting(state=state, **({"launched_at": None} if state is S.PLANNED else {}))
    with pytest.raises(AuthFailed):
        redeem(parts)


def test_a_claim_that_enrolled_before_keys_were_kept_takes_no_new_one(parts: Parts) -> None:
    now = parts.world.clock.now()
    parts.booting(state=S.JOINING, enrolled_at=now)
    with pytest.raises(AuthFailed):
        redeem(parts)
    assert parts.claim().state is S.JOINING


@pytest.mark.parametrize(("address", "key"), [("10.77.1.99", "cpu-1-1"), ("mars", "cpu-1-1"), (HERE, "cpu-9-9")])
def test_from_elsewhere_or_for_nobody_it_is_refused(parts: Parts, address: str, key: str) -> None:
    parts.booting()
    with pytest.raises(AuthFailed):
        redeem(parts, address=address, key=key)
    assert parts.claim().state is S.BOOTING
    assert parts.claim().identity == ""


def test_a_tickets_time_begins_when_the_provider_first_lists_its_vm_as_running(parts: Parts) -> None:
    now = parts.world.clock.now()
    pace = parts.world.settings.pace
    boot = next(iter(parts.world.settings.pools.values())).boot_deadline
    parts.booting(launched_at=now - pace.ticket - timedelta(hours=1), listed_at=now - timedelta(minutes=1))
    assert redeem(parts) == "cpu-1"
    assert boot < timedelta(hours=1)


def test_a_vm_that_was_never_listed_has_the_time_of_its_boot(parts: Parts) -> None:
    boot = next(iter(parts.world.settings.pools.values())).boot_deadline
    parts.booting(launched_at=parts.world.clock.now() - boot - timedelta(seconds=1))
    with pytest.raises(AuthFailed, match="expired"):
        redeem(parts)


def late(parts: Parts) -> None:
    """The VM enrolled in time, and its ticket's time is over."""
    parts.booting()
    redeem(parts)
    before = parts.world.clock.now() - parts.world.settings.pace.ticket - timedelta(seconds=1)
    parts.commit(replace(parts.claim(), listed_at=before))


def test_a_late_ticket_is_refused_and_an_alarm_but_puts_nobody_out(parts: Parts) -> None:
    late(parts)
    for _ in range(5):
        with pytest.raises(AuthFailed, match="expired"):
            redeem(parts, identity="k2")
    assert parts.claim().state is S.JOINING
    (alarm,) = alarms(parts)  # one, however often it is tried
    assert "after its time" in alarm


def test_a_late_retry_of_the_vm_itself_is_refused_without_an_alarm(parts: Parts) -> None:
    late(parts)
    with pytest.raises(AuthFailed, match="expired"):
        redeem(parts)
    assert alarms(parts) == []


def test_who_cannot_show_that_it_is_the_vm_is_refused_and_the_vm_left_alone(parts: Parts) -> None:
    parts.booting()
    counter = Counter(
        parts.world.reconciler,
        parts.world.books,
        parts.world.observer,
        parts.world.clock,
        lambda claim, proof: "" if proof == f"signed for {claim.instance_id}" else "it brought nothing",
    )
    vm = parts.claim().instance_id
    with pytest.raises(AuthFailed, match="it brought nothing"):
        counter.redeem("cpu-1-1", "k2", "", HERE, GOOD, "signed for another")
    assert (parts.claim().state, parts.claim().identity) == (S.BOOTING, "")
    counter.redeem("cpu-1-1", "k1", "", HERE, GOOD, f"signed for {vm}")
    with pytest.raises(AuthFailed, match="it brought nothing"):
        counter.redeem("cpu-1-1", "k2", "", HERE, GOOD)
    assert parts.claim().state is S.JOINING  # no theft: the thief has shown that it is none of ours
    assert "refused: it brought nothing" in alarms(parts)[0]


def test_a_worker_gets_nothing_that_was_not_committed(parts: Parts) -> None:
    parts.booting()
    parts.world.disk_full = True
    with pytest.raises(Transient):
        redeem(parts)
    parts.world.disk_full = False
    assert parts.claim().identity == ""
    assert redeem(parts, identity="k2") == "cpu-1"


def test_a_vm_is_answered_only_once_the_inventory_has_it(parts: Parts) -> None:
    parts.booting()
    seen: list[str] = []
    full = [True]

    def publish() -> None:
        if full[0]:
            raise OSError("no space left on the device")
        seen.append(parts.claim().identity)

    parts.world.books.publish = publish
    with pytest.raises(Transient, match="inventory"):
        redeem(parts)
    assert any("inventory" in text for text in parts.world.books.troubles.values())
    full[0] = False
    assert redeem(parts) == "cpu-1"
    assert seen == ["k1"]
    assert parts.world.books.troubles == {}


@pytest.mark.parametrize("state", [S.LAUNCHING, S.BOOTING, S.JOINING, S.READY, S.DRAINING])
@pytest.mark.parametrize("name", ["cpu-1-1", "cpu-1"])
def test_an_evicted_claim_fails_at_once_by_its_key_or_its_node(parts: Parts, state: ClaimState, name: str) -> None:
    parts.booting(state=state)
    published: list[ClaimState] = []
    parts.world.books.publish = lambda: published.append(parts.claim().state)
    parts.world.counter.evict(name, "root")
    assert (parts.claim().state, parts.claim().failure) == (S.FAILED, "evicted")
    assert published == [S.FAILED]
    assert ("operator", "evicted by root") in [(note.kind, note.text) for note in parts.ledger.notes(limit=1000)]
    with pytest.raises(AuthFailed):
        redeem(parts)


@pytest.mark.parametrize("state", [S.PLANNED, S.FAILED, S.STOPPING])
def test_who_is_not_in_the_cluster_cannot_be_evicted(parts: Parts, state: ClaimState) -> None:
    parts.booting(state=state)
    for name in ("cpu-1", "cpu-1-1", "nobody"):
        with pytest.raises(InvalidRequest, match=name):
            parts.world.counter.evict(name, "root")


def test_what_a_router_sees_goes_to_the_overlay_and_is_not_kept(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[str, str, str]] = []
    overlay = parts.world.reconciler.overlay
    monkeypatch.setattr(overlay, "heard", lambda claim, kind, text, now: heard.append((claim.key, kind, text)))
    parts.booting()
    before = len(parts.texts())
    parts.world.counter.report("cpu-1-1", "strangers", "10.77.2.99 52:54:00:00:00:99")
    parts.world.counter.report("cpu-1-1", "shortcut", "up")
    assert heard == [("cpu-1-1", "strangers", "10.77.2.99 52:54:00:00:00:99"), ("cpu-1-1", "shortcut", "up")]
    assert len(parts.texts()) == before


def test_the_last_word_of_a_boot_fails_it_with_the_words_and_teaches(parts: Parts) -> None:
    parts.booting()
    parts.world.counter.report("cpu-1-1", "failed", "no driver for the GPU")
    assert parts.claim().state is S.FAILED
    assert "no driver for the GPU" in parts.claim().reason
    assert list(parts.world.books.memory.breakers) == [f"cpu at {parts.claim().offer.key}"]


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


# --- the provider takes a VM back ------------------------------------------------------------------------------------


def test_a_spot_notice_drains_its_worker_at_once_and_is_told_once(parts: Parts) -> None:
    claim = parts.booting(state=S.READY)
    for _ in range(3):
        parts.world.counter.report(claim.key, "spot", "interruption at 14:02")
    stored = parts.ledger.claim(claim.key)
    assert stored is not None
    assert (stored.state, stored.reclaimed_at is not None) == (S.DRAINING, True)
    assert sum("interruption at 14:02" in text for text in parts.texts()) == 1
    assert parts.world.books.memory.breakers[claim.offer.key].code == "reclaimed"


def test_the_notice_of_a_router_is_noted_once(parts: Parts) -> None:
    claim = parts.booting(node="router-aws", state=S.READY, kind=Kind.ROUTER, pool="")
    for _ in range(3):
        parts.world.counter.report(claim.key, "spot", "rebalance")
    assert parts.claim("router-aws").state is S.READY
    assert [note.text for note in parts.ledger.notes(limit=100) if note.kind == "spot"] == [
        "cesnet takes its VM back: rebalance"
    ]


def test_a_job_on_a_vm_that_is_taken_back_runs_again_elsewhere(parts: Parts) -> None:
    job = parts.job(seconds=600)
    parts.turns(30)
    first, node = job.vms[0], job.on[0]
    vm = next(vm for cloud in parts.world.clouds.values() for vm in cloud.vms.values() if vm.id == first)
    parts.world.counter.report(vm.request.launch_key, "spot", "interruption")
    parts.turns(3)
    assert (job.state, "DRAIN" in parts.world.slurm.nodes[node].flags) == ("RUNNING", True)
    vm.gone_at = parts.world.time.now()
    parts.turns(40)
    assert (job.state, job.vms[0] == first) == ("RUNNING", False)


# --- VMs that were asked for in one call ------------------------------------------------------------------------------

MATE_AT = "10.77.1.11"


def with_mate(parts: Parts, **more: object) -> None:
    """Two VMs share their user-data, with both tickets in it."""
    keys = ("cpu-1-1", "cpu-2-1")
    parts.booting(batch=keys, **more)
    parts.booting(node="cpu-2", batch=keys, instance_id="i-cpu-2", address=MATE_AT)


@pytest.mark.parametrize("unknown", [{"instance_id": ""}, {"address": ""}], ids=["instance", "address"])
def test_one_of_several_is_let_in_only_once_it_is_known_which_vm_it_is(
    parts: Parts, unknown: dict[str, object]
) -> None:
    with_mate(parts, **({"state": S.LAUNCHING} | unknown))
    with pytest.raises(Transient, match="not known yet"):
        redeem(parts)
    assert parts.claim().identity == ""


@pytest.mark.parametrize("enrolled", [False, True])
def test_a_mate_that_has_read_the_ticket_gets_nothing_by_it_and_harms_nobody(parts: Parts, enrolled: bool) -> None:
    with_mate(parts)
    if enrolled:
        redeem(parts)
    with pytest.raises(AuthFailed, match="cpu-2"):
        redeem(parts, identity="k2", address=MATE_AT)
    parts.world.counter.report("cpu-1-1", "failed", "not true", MATE_AT)
    assert parts.claim().state is (S.JOINING if enrolled else S.BOOTING)
    assert redeem(parts) == "cpu-1"
    (alarm,) = alarms(parts)
    assert MATE_AT in alarm
    assert "cpu-2" in alarm


def test_a_vms_own_last_word_is_taken_also_from_one_of_several(parts: Parts) -> None:
    with_mate(parts)
    parts.world.counter.report("cpu-1-1", "failed", "no space left", HERE)
    assert parts.claim().failure == "boot"


def test_the_ticket_of_one_of_several_with_another_key_from_its_own_address_is_theft(parts: Parts) -> None:
    with_mate(parts)
    redeem(parts)
    with pytest.raises(AuthFailed, match="another key"):
        redeem(parts, identity="k2")
    assert parts.claim().failure == "stolen"
