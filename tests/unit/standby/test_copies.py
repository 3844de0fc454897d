"""The ledger in the hands of the next active front-end: nothing that was told is lost, nothing old is acted upon."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from clues.errors import Transient
from clues.ledger import Commit, Ledger, open_ledger
from clues.model import Claim, ClaimState, Note, Operator
from clues.standby import restoring
from clues.standby.copies import Copies
from clues.standby.folder import SharedFolder
from tests.unit.builders import NOW, make_claim


class Pair:
    """An active front-end's ledger with its copies, and the place of the other's ledger."""

    def __init__(self, path: Path) -> None:
        for name in ("a", "b", "shared"):
            (path / name).mkdir()
        self.shared = path / "shared"
        self.folder = SharedFolder(self.shared)
        self.ledger = open_ledger(path / "a" / "ledger.db")
        self.copies = Copies(self.folder, self.ledger, path / "a" / "snapshot.new", path / "a" / "inventory.json")
        self.other = path / "b" / "ledger.db"

    def commit(self, *claims: Claim, tell: bool = True, **more: object) -> None:
        change = Commit(claims=claims, **more)  # type: ignore[arg-type]
        self.ledger.commit(change)
        self.copies.record(change)
        if tell:
            self.copies.tell()

    def taken_over(self) -> Ledger:
        restoring.put_in_place(restoring.fetch(self.folder, self.other), self.other)
        return open_ledger(self.other)


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


def test_claims_memory_and_orders_of_before_and_after_the_snapshot_are_there(pair: Pair) -> None:
    old, new = make_claim("cpu-1", ClaimState.LAUNCHING), make_claim("cpu-2", ClaimState.LAUNCHING)
    pair.commit(old, notes=(Note(NOW, "claim", "cpu-1", "bought"),))
    pair.copies.snapshot(5)
    pair.commit(new)
    pair.commit(replace(old, state=ClaimState.BOOTING, instance_id="i-1"), operator=Operator(paused=True))
    found = pair.taken_over()
    assert found.live_claims() == pair.ledger.live_claims()
    assert found.operator().paused
    assert [note.text for note in found.notes()] == ["bought"]


def test_what_the_snapshot_has_already_may_stand_in_the_journal_too(pair: Pair) -> None:
    """A commit that falls into the time in which the copy is made is in both, and its claim has moved since."""
    pair.copies.snapshot(1)
    claim = make_claim("cpu-1", ClaimState.LAUNCHING)
    pair.commit(claim, tell=False)
    pair.copies.hurry = lambda: None
    after = replace(claim, state=ClaimState.BOOTING, instance_id="i-1")
    pair.ledger.commit(Commit(claims=(after,)))  # in the copy
    pair.copies.snapshot(2)  # flushes the old line into the old journal, and begins a new one
    pair.copies.record(Commit(claims=(claim,)))
    pair.copies.record(Commit(claims=(after,)))
    pair.copies.tell()
    assert pair.taken_over().live_claims()[claim.key].state is ClaimState.BOOTING


def test_a_line_that_was_cut_off_loses_that_line_alone(pair: Pair) -> None:
    pair.copies.snapshot(1)
    pair.commit(make_claim("cpu-1", ClaimState.LAUNCHING))
    with (pair.shared / "journal.1").open("ab") as file:
        file.write(b'{"claims": [{"key": "half')
    assert [one.node for one in pair.taken_over().live_claims().values()] == ["cpu-1"]


def test_a_full_share_keeps_everything_for_later(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    pair.copies.snapshot(1)
    journal = pair.shared / "journal.1"
    journal.mkdir()  # nothing can be written there
    with pytest.raises(OSError, match="directory"):
        pair.commit(make_claim("cpu-1", ClaimState.LAUNCHING))
    assert pair.copies.untold()
    journal.rmdir()
    pair.commit(make_claim("cpu-2", ClaimState.LAUNCHING))
    assert not pair.copies.untold()
    assert sorted(one.node for one in pair.taken_over().live_claims().values()) == ["cpu-1", "cpu-2"]


def test_of_a_damaged_snapshot_the_one_before_it_and_both_journals_are_used(pair: Pair) -> None:
    pair.copies.snapshot(1)
    pair.commit(make_claim("cpu-1", ClaimState.LAUNCHING))
    pair.copies.snapshot(2)
    pair.commit(make_claim("cpu-2", ClaimState.LAUNCHING))
    path = pair.shared / "snapshot.2"
    path.write_bytes(path.read_bytes()[:5000])
    assert sorted(one.node for one in pair.taken_over().live_claims().values()) == ["cpu-1", "cpu-2"]


def test_without_any_whole_snapshot_nothing_is_taken_over(pair: Pair) -> None:
    with pytest.raises(Transient, match="no snapshot"):
        restoring.fetch(pair.folder, pair.other)
    pair.copies.snapshot(1)
    (pair.shared / "snapshot.1").write_bytes(b"")
    with pytest.raises(Transient, match=r"snapshot\.1"):
        restoring.fetch(pair.folder, pair.other)
    assert not pair.other.exists()


def test_the_copies_of_a_front_end_that_was_active_before_are_older_whenever_they_are_written(pair: Pair) -> None:
    """Numbers are the lease's: what one that lost it still writes stands under a lower one."""
    pair.copies.snapshot(7)
    pair.commit(make_claim("cpu-1", ClaimState.LAUNCHING))
    late = Copies(pair.folder, pair.ledger, pair.shared / "x", pair.shared / "y")
    late.snapshot(6)
    late.record(Commit(claims=(make_claim("cpu-9", ClaimState.LAUNCHING),)))
    late.tell()
    assert "cpu-9" not in {one.node for one in pair.taken_over().live_claims().values()}


def test_few_copies_are_kept_and_nobody_else_can_read_them(pair: Pair) -> None:
    for number in range(1, 6):
        pair.copies.snapshot(number)
        pair.commit(make_claim(f"cpu-{number}", ClaimState.LAUNCHING))
    assert sorted(path.name for path in pair.shared.iterdir()) == [
        "journal.4",
        "journal.5",
        "snapshot.4",
        "snapshot.5",
    ]
    assert {path.stat().st_mode & 0o777 for path in pair.shared.iterdir()} == {0o600}
    assert pair.other.with_name("x").parent.exists()


def test_what_was_there_is_kept_once_with_all_of_its_parts(pair: Pair) -> None:
    mine = open_ledger(pair.other)
    mine.commit(Commit(claims=(make_claim("cpu-7", ClaimState.LAUNCHING),)))
    assert pair.other.with_name("ledger.db-wal").exists()  # as after kill -9
    pair.copies.snapshot(1)
    pair.commit(make_claim("cpu-1", ClaimState.LAUNCHING))
    assert [one.node for one in pair.taken_over().live_claims().values()] == ["cpu-1"]
    before = open_ledger(pair.other.with_name("ledger.db.before"))
    assert [one.node for one in before.live_claims().values()] == ["cpu-7"]


def test_a_ledger_is_stale_until_it_is_the_clusters_again(pair: Pair) -> None:
    assert not restoring.is_stale(pair.other)
    restoring.make_stale(pair.other)
    pair.copies.snapshot(1)
    restoring.put_in_place(restoring.fetch(pair.folder, pair.other), pair.other)
    assert restoring.is_stale(pair.other)  # until a copy of it stands in the folder
    restoring.make_current(pair.other)
    assert not restoring.is_stale(pair.other)


def test_an_order_is_told_before_it_is_answered(pair: Pair) -> None:
    """A front-end may die at the moment at which somebody reads that the cluster is paused."""
    pair.copies.snapshot(5)
    pair.commit(operator=Operator(paused=True), tell=False)
    pair.copies.settle()
    assert pair.taken_over().operator().paused
