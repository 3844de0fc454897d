"""An order that is sent twice has its effect once, and who gave it is written with it, or not at all."""

from __future__ import annotations

import json
import logging
import queue
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from clues.daemon import Daemon
from clues.errors import InvalidRequest, KeyReused, LedgerError, Transient
from clues.ledger import Commit, Receipt, open_ledger
from clues.ledger.orders import ANSWERS_KEPT, DEEDS_KEPT
from clues.model import Answer, Changed, Deed, Maintenance, Order, Wish
from clues.reconciler import Clerk
from tests.unit.builders import NOW, ago, ahead
from tests.unit.reconciler.parts import Parts, make_parts

ALICE = Deed("alice", "uid 1000", "socket", "POST /v1/nodes/disable", "cpu-1")
ORDER = Order(ALICE, "k1", "digest")


@pytest.fixture
def parts() -> Parts:
    return make_parts()


def clerk(parts: Parts) -> Clerk:
    return Clerk(parts.world.books, parts.ledger, parts.world.clock)


def disable(parts: Parts) -> Callable[[], None]:
    return lambda: parts.world.counter.wish(["cpu-1"], Wish.DISABLED, "alice")


def told(_: Changed) -> bytes:
    return b'{"order":"disable"}'


def deeds(parts: Parts) -> list[Deed]:
    return [one.deed for one in parts.ledger.deeds(since=NOW - timedelta(days=4000))]


def test_the_same_order_is_answered_again_and_not_done_again(parts: Parts) -> None:
    assert clerk(parts).carry_out(ORDER, disable(parts), told) == b'{"order":"disable"}'
    parts.world.counter.wish(["cpu-1"], None, "bob")
    again = clerk(parts).carry_out(ORDER, lambda: pytest.fail("done twice"), lambda _: b"another")
    assert again == b'{"order":"disable"}'
    assert parts.world.books.operator.wishes == {}
    assert deeds(parts) == [ALICE]


def test_it_is_answered_again_after_a_restart(tmp_path: Path, parts: Parts) -> None:
    ledger = open_ledger(tmp_path / "ledger.db")
    ledger.commit(Commit(receipt=Receipt(NOW, ALICE, "k1", Answer("digest", b"{}"))))
    ledger.close()
    assert open_ledger(tmp_path / "ledger.db").answer("uid 1000", "k1", ahead(hours=1)) == Answer("digest", b"{}")


def test_a_key_is_its_callers_own(parts: Parts) -> None:
    clerk(parts).carry_out(ORDER, disable(parts), told)
    bobs = Order(Deed("bob", "uid 1001", "socket", ALICE.act), "k1", "digest")
    assert clerk(parts).answered(bobs) is None


def test_another_order_with_the_same_key_is_refused(parts: Parts) -> None:
    clerk(parts).carry_out(ORDER, disable(parts), told)
    with pytest.raises(KeyReused, match="another order"):
        clerk(parts).carry_out(Order(ALICE, "k1", "other"), lambda: pytest.fail("done"), told)


def test_orders_without_a_key_are_done_each_time(parts: Parts) -> None:
    for _ in range(2):
        clerk(parts).carry_out(Order(ALICE), disable(parts), told)
    assert deeds(parts) == [ALICE, ALICE]


def test_effect_answer_and_deed_are_one_commit(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    commits: list[Commit] = []
    write = parts.ledger.commit

    def written(change: Commit) -> None:
        commits.append(change)
        write(change)

    monkeypatch.setattr(parts.ledger, "commit", written)
    clerk(parts).carry_out(ORDER, disable(parts), told)
    (commit,) = commits
    assert commit.operator is not None
    assert commit.receipt is not None
    assert (commit.receipt.deed, commit.receipt.answer) == (ALICE, Answer("digest", b'{"order":"disable"}'))


def test_a_disk_that_is_full_leaves_neither_effect_nor_answer(parts: Parts) -> None:
    parts.world.disk_full = True
    with pytest.raises(LedgerError):
        clerk(parts).carry_out(ORDER, disable(parts), told)
    parts.world.disk_full = False
    assert (parts.world.books.operator.wishes, clerk(parts).answered(ORDER), deeds(parts)) == ({}, None, [])


def test_an_effect_that_was_lost_silently_is_not_answered_as_done(parts: Parts) -> None:
    """What settles a claim keeps a full disk to itself, since a listing finds the answer again."""
    claim = parts.booting()
    parts.world.disk_full = True

    def settle() -> None:
        parts.world.counter.report(claim.key, "failed", "no driver")
        parts.world.disk_full = False

    with pytest.raises(LedgerError):
        clerk(parts).carry_out(ORDER, settle, told)
    assert clerk(parts).answered(ORDER) is None


def test_a_refused_order_leaves_nothing_and_rides_with_nobody_else(parts: Parts) -> None:
    with pytest.raises(InvalidRequest):
        clerk(parts).carry_out(ORDER, lambda: parts.world.counter.wish(["head-1"], Wish.OFF, "alice"), told)
    parts.world.counter.pause(True, "bob")
    assert (clerk(parts).answered(ORDER), deeds(parts)) == (None, [])


def test_what_changes_nothing_is_written_all_the_same(parts: Parts) -> None:
    clerk(parts).carry_out(ORDER, lambda: None, told)
    assert (clerk(parts).answered(ORDER), deeds(parts)) == (told(Changed()), [ALICE])


def test_the_journal_has_one_line_for_each(parts: Parts, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "clues.audit")
    clerk(parts).record(Deed("eve\nclues.audit: audit {}", "", "token", "POST /v1/pause", "", 403, "no"))
    (line,) = [one.getMessage() for one in caplog.records if one.name == "clues.audit"]
    assert "\n" not in line
    assert json.loads(line.removeprefix("audit "))["status"] == 403


def test_answers_are_forgotten_after_a_day_and_deeds_after_a_year(parts: Parts) -> None:
    ledger = parts.ledger
    for days, key in ((401, "old"), (1.1, "yesterday"), (0, "now")):
        ledger.commit(Commit(receipt=Receipt(ago(days=days), ALICE, key, Answer("digest", b"{}"))))
    assert ANSWERS_KEPT < timedelta(days=1.1) < DEEDS_KEPT < timedelta(days=401)
    assert [ledger.answer("uid 1000", key, NOW) is None for key in ("old", "yesterday", "now")] == [True, True, False]
    assert len(ledger.deeds(since=ago(days=4000))) == 2


def test_an_old_answer_is_none_before_it_is_swept(parts: Parts) -> None:
    parts.ledger.commit(Commit(receipt=Receipt(NOW, ALICE, "k", Answer("digest", b"{}"))))
    assert parts.ledger.answer("uid 1000", "k", ahead(days=1, seconds=1)) is None


@pytest.fixture
def daemon(parts: Parts) -> Iterator[Daemon]:
    """A daemon whose loop runs, over a kind world that stands still."""
    nothing, world = cast(Any, None), parts.world
    observer = cast(Any, SimpleNamespace(pump=lambda: timedelta(seconds=1), hurry=lambda: None))
    one = Daemon(
        cast(Any, queue.SimpleQueue()), world.reconciler, world.counter, world.books, observer, world.ledger,
        cast(Any, world.clock), nothing, nothing, nothing, nothing,
    )  # fmt: skip
    one._shown = world.reconciler.published
    thread = threading.Thread(target=one.run)
    thread.start()
    yield one
    one.ask(one.stop)
    thread.join(20)


def test_an_order_is_given_on_the_owners_thread(parts: Parts, daemon: Daemon) -> None:
    assert daemon.act(ORDER, lambda: daemon.wish(["cpu-1"], Wish.DISABLED, "alice"), told) == told(Changed())
    assert (parts.world.books.operator.wishes, daemon.answered(ORDER)) == ({"cpu-1": Wish.DISABLED}, told(Changed()))


def test_the_other_front_end_knows_of_an_order_before_it_is_answered(parts: Parts, daemon: Daemon) -> None:
    known: list[object] = []
    daemon.settle = lambda: known.append(dict(parts.world.books.operator.wishes))
    daemon.act(ORDER, lambda: daemon.wish(["cpu-1"], Wish.DISABLED, "alice"), told)
    assert known == [{"cpu-1": Wish.DISABLED}]


def test_two_at_the_same_moment_are_one(parts: Parts, daemon: Daemon) -> None:
    done: list[int] = []
    threads = [
        threading.Thread(target=daemon.act, args=(ORDER, lambda number=number: done.append(number), told))
        for number in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(done) == 1


def test_what_somebody_else_does_is_not_begun_again_when_nobody_knows_what_came_of_it(daemon: Daemon) -> None:
    def lost() -> bytes:
        raise Transient("no answer at clues.signer.sock")

    with pytest.raises(Transient):
        daemon.act_outside(ORDER, lost)
    with pytest.raises(KeyReused, match="not known"):
        daemon.act_outside(ORDER, lambda: pytest.fail("begun again"))


def test_what_somebody_else_refused_may_be_ordered_again(daemon: Daemon) -> None:
    def refused() -> bytes:
        raise InvalidRequest("not yet")

    with pytest.raises(InvalidRequest):
        daemon.act_outside(ORDER, refused)
    assert daemon.act_outside(ORDER, lambda: b"turned") == b"turned"
    assert daemon.act_outside(ORDER, lambda: pytest.fail("twice")) == b"turned"
    assert [one.deed for one in daemon.deeds(ago(days=4000), 0, 10)] == [ALICE]


def test_an_answer_is_made_of_what_is_changed_before_that_is_on_the_disk(parts: Parts, daemon: Daemon) -> None:
    """A number that the daemon gives stands in the answer."""
    seen: list[tuple[tuple[Maintenance, ...], tuple[Maintenance, ...]]] = []

    def telling(changed: Changed) -> bytes:
        seen.append((changed.before.maintenance, changed.operator.maintenance))
        return b"{}"

    site, now = next(iter(parts.world.reconciler.settings.sites)), parts.world.clock.now()
    begin, end = now + timedelta(days=1), now + timedelta(days=2)
    made: list[Maintenance] = []
    daemon.act(ORDER, lambda: made.append(daemon.announce_maintenance(site, begin, end, None, "alice")), telling)
    assert seen == [((), (made[0],))]
    daemon.act(Order(ALICE), lambda: daemon.cancel_maintenance(made[0].number, "alice"), telling)
    assert seen[1] == ((made[0],), ())
