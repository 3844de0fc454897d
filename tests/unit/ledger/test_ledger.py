"""What is committed is there, what was refused is not, and what is read is what was written."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from clues.errors import LedgerError
from clues.ledger import Commit, Ledger, open_ledger
from clues.ledger.schema import MIGRATIONS, VERSION
from clues.model import (
    Breaker,
    Claim,
    ClaimState,
    Facts,
    Gpu,
    Memory,
    Misread,
    Note,
    Operator,
    Resources,
    Wish,
)
from tests.unit.builders import GPU_SHAPE, NOW, ago, ahead, make_claim

S = ClaimState
FULL = make_claim(
    "gpu-1",
    S.JOINING,
    shape=GPU_SHAPE,
    jobs=("101", "102"),
    gang="101",
    gang_size=2,
    launches=3,
    launched_at=ago(minutes=2),
    listed_at=ago(minutes=1),
    enrolled_at=NOW,
    missing_since=None,
    by_operator=True,
    facts=Facts(8, 1000, Resources(gpus=(Gpu("a10", 1),)), -0.25),
)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return open_ledger(tmp_path / "ledger.db")


def test_a_claim_comes_back_as_it_was(ledger: Ledger) -> None:
    ledger.commit(Commit(claims=(FULL,)))
    assert ledger.claim(FULL.key) == FULL
    assert ledger.live_claims() == {FULL.key: FULL}


def test_it_is_there_after_a_new_start(ledger: Ledger, tmp_path: Path) -> None:
    memory = Memory(
        {"a/b": Breaker("a/b", "quota", "full", NOW, ahead(minutes=2), 3)}, {"7": Misread("7", "f", NOW, "n")}
    )
    operator = Operator(paused=True, wishes={"cpu-1": Wish.DISABLED})
    ledger.commit(
        Commit(
            claims=(FULL,), memory=memory, operator=operator, spend={(NOW, "cpu", "aws", "physics"): 1.5}, booked_at=NOW
        )
    )
    ledger.close()
    again = open_ledger(tmp_path / "ledger.db")
    assert (again.live_claims(), again.memory(), again.operator()) == ({FULL.key: FULL}, memory, operator)
    assert again.spent(NOW, ahead(hours=1)) == {("cpu", "aws", "physics"): 1.5}
    assert again.booked_at() == NOW


def test_ended_claims_are_kept_and_are_not_live(ledger: Ledger) -> None:
    gone = make_claim(state=S.GONE, ended_at=ago(minutes=1))
    ledger.commit(Commit(claims=(gone,)))
    assert ledger.live_claims() == {}
    assert ledger.claim(gone.key) == gone
    assert ledger.ended_since(ago(minutes=2)) == [gone]
    assert ledger.ended_since(ago(seconds=30)) == []


def test_who_ended_lately_is_asked_for_without_reading_who_ever_was(ledger: Ledger) -> None:
    gone = [make_claim(f"cpu-{n}", S.GONE, ended_at=ago(minutes=n)) for n in range(1, 50)]
    ledger.commit(Commit(claims=tuple(gone)))
    (plan,) = ledger._rows("EXPLAIN QUERY PLAN SELECT document FROM claims WHERE ended > ?", (1.0,))
    assert "claims_by_end" in plan[3]
    again = replace(gone[0], state=S.STOPPING, ended_at=None)  # its VM turned up late: nobody may think that it rests
    ledger.commit(Commit(claims=(again,)))
    assert [one.key for one in ledger.ended_since(ago(minutes=3, seconds=30))] == [gone[2].key, gone[1].key]


@pytest.mark.parametrize(
    ("source", "target"), [(S.READY, S.GONE), (S.PLANNED, S.READY), (S.GONE, S.READY), (S.READY, S.STOPPING)]
)
def test_a_move_outside_the_table_is_refused_and_nothing_is_written(
    ledger: Ledger, source: ClaimState, target: ClaimState
) -> None:
    claim, other = make_claim(state=source), make_claim("cpu-2")
    ledger.commit(Commit(claims=(claim,)))
    with pytest.raises(ValueError, match="may not go"):
        ledger.commit(Commit(claims=(other, replace(claim, state=target))))
    assert ledger.claim(claim.key) == claim
    assert ledger.claim(other.key) is None


def test_the_table_is_kept_after_a_new_start_too(ledger: Ledger, tmp_path: Path) -> None:
    gone = make_claim(state=S.GONE)
    ledger.commit(Commit(claims=(gone,)))
    with pytest.raises(ValueError, match="may not go"):
        open_ledger(tmp_path / "ledger.db").commit(Commit(claims=(replace(gone, state=S.READY),)))


def test_the_highest_generation_of_a_node_is_never_forgotten(ledger: Ledger) -> None:
    for generation in (1, 3, 2):
        ledger.commit(Commit(claims=(make_claim(state=S.GONE, generation=generation),)))
    assert ledger.generations() == {"cpu-1": 3}
    assert [claim.generation for claim in ledger.claims_of("cpu-1")] == [3, 2, 1]


def test_one_commit_is_all_or_nothing(ledger: Ledger) -> None:
    bad = Note(NOW, "claim", "cpu-1", "a lone surrogate \udcff")
    with pytest.raises((LedgerError, ValueError)):
        ledger.commit(Commit(claims=(make_claim(),), notes=(bad,)))
    assert ledger.live_claims() == {}
    ledger.commit(Commit(claims=(make_claim(),)))


def test_an_empty_commit_writes_nothing(ledger: Ledger) -> None:
    ledger.commit(Commit())
    assert Commit().empty
    assert not Commit(memory=Memory()).empty


def test_spend_adds_up_by_hour_and_by_whose_it_is(ledger: Ledger) -> None:
    hour, physics, nobody = timedelta(hours=1), ("cpu", "aws", "physics"), ("cpu", "aws", "")
    for when, whose, amount in (
        (NOW - hour, physics, 1.0),
        (NOW, physics, 2.0),
        (NOW, nobody, 4.0),
        (NOW, physics, 0.5),
    ):
        ledger.commit(Commit(spend={(when, *whose): amount}))
    assert ledger.spent(NOW, NOW + hour) == {physics: 2.5, nobody: 4.0}
    assert ledger.spent(NOW - hour, NOW) == {physics: 1.0}
    assert ledger.spent(NOW + hour, NOW + 2 * hour) == {}
    assert [(row.hour, row.account, row.amount) for row in ledger.spending(NOW - hour, NOW)] == [
        (NOW - hour, "physics", 1.0)
    ]


def test_what_was_booked_by_the_day_is_carried_over(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with closing(sqlite3.connect(path)) as old:
        for step in MIGRATIONS[:3]:
            for statement in step:
                old.execute(statement)
        old.execute("PRAGMA user_version = 3")
        old.execute("INSERT INTO spend VALUES ('2026-03-02', 'cpu', 'aws', 7.5)")
        old.commit()
    ledger = open_ledger(path)
    day = datetime(2026, 3, 2, tzinfo=UTC)
    assert ledger.spent(day, day + timedelta(days=1)) == {("cpu", "aws", ""): 7.5}
    assert ledger.spent(day - timedelta(days=1), day) == {}
    assert ledger.booked_at() is None


# --- notes -----------------------------------------------------------------------------------------------------------


def write_notes(ledger: Ledger, count: int = 5) -> None:
    for number in range(count):
        about = ("job 101", "cesnet") if number % 2 else ()
        ledger.commit(
            Commit(notes=(Note(ago(minutes=count - number), "claim", f"cpu-{number}", f"text {number}", about),))
        )


def test_the_newest_notes_come_oldest_first(ledger: Ledger) -> None:
    write_notes(ledger)
    assert [note.subject for note in ledger.notes(limit=2)] == ["cpu-3", "cpu-4"]


def test_a_cursor_goes_on_where_it_stopped_and_misses_nothing(ledger: Ledger) -> None:
    write_notes(ledger)
    first = ledger.notes(limit=100)[0].id
    seen, cursor = [first], first
    while page := ledger.notes(after=cursor, limit=2):
        seen += [note.id for note in page]
        cursor = seen[-1]
    assert seen == [note.id for note in ledger.notes(limit=100)]


def test_notes_are_found_by_what_they_are_about(ledger: Ledger) -> None:
    write_notes(ledger)
    assert [note.subject for note in ledger.notes(about="job 101")] == ["cpu-1", "cpu-3"]
    assert [note.subject for note in ledger.notes(about="cpu-2")] == ["cpu-2"]
    assert ledger.notes(about="' OR 1=1 --") == []


def test_ids_are_not_used_again_after_notes_were_forgotten(ledger: Ledger) -> None:
    write_notes(ledger)
    last = ledger.notes()[-1].id
    assert ledger.forget_notes(ahead(hours=1)) == 5
    write_notes(ledger, 1)
    assert ledger.notes()[0].id > last


def test_only_old_notes_are_forgotten_and_claims_never(ledger: Ledger) -> None:
    write_notes(ledger)
    ledger.commit(Commit(claims=(make_claim(state=S.GONE),)))
    assert ledger.forget_notes(ago(minutes=2.5)) == 3
    assert len(ledger.notes()) == 2
    assert len(list(ledger.all_claims())) == 1


def test_of_many_notes_the_newest_are_kept_and_a_tick_does_not_wait_for_all(ledger: Ledger) -> None:
    write_notes(ledger)
    assert ledger.forget_notes(ago(days=1), keep=1, most=3) == 3
    assert ledger.forget_notes(ago(days=1), keep=1, most=3) == 1
    assert ledger.forget_notes(ago(days=1), keep=1, most=3) == 0
    (left,) = ledger.notes()
    assert ledger.notes(about=left.subject) == [left]


def test_what_a_forgotten_note_was_about_is_forgotten_with_it(ledger: Ledger, tmp_path: Path) -> None:
    write_notes(ledger)
    ledger.forget_notes(ahead(hours=1))
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as raw:
        assert raw.execute("SELECT count(*) FROM note_about").fetchone() == (0,)


def test_another_thread_reads_notes_while_the_owner_writes(ledger: Ledger) -> None:
    write_notes(ledger)
    seen: list[int] = []
    reader = threading.Thread(target=lambda: seen.append(len(ledger.notes())))
    reader.start()
    write_notes(ledger, 3)
    reader.join(20)
    assert seen
    assert 5 <= seen[0] <= 8


# --- the file --------------------------------------------------------------------------------------------------------


def test_the_file_is_for_its_owner_alone(ledger: Ledger, tmp_path: Path) -> None:
    ledger.commit(Commit(claims=(make_claim(),)))
    assert {path.name: oct(path.stat().st_mode & 0o077) for path in tmp_path.iterdir()} == dict.fromkeys(
        (path.name for path in tmp_path.iterdir()), "0o0"
    )


def test_a_ledger_of_a_newer_version_is_refused_and_left_as_it_is(ledger: Ledger, tmp_path: Path) -> None:
    ledger.commit(Commit(claims=(FULL,)))
    ledger.close()
    path = tmp_path / "ledger.db"
    with sqlite3.connect(path) as raw:
        raw.execute(f"PRAGMA user_version = {VERSION + 1}")
    raw.close()
    with pytest.raises(LedgerError, match="newer"):
        open_ledger(path)
    with sqlite3.connect(path) as raw:
        assert raw.execute("SELECT count(*) FROM claims").fetchone() == (1,)
    raw.close()


def test_a_migration_keeps_a_copy_and_the_rows(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.commit(Commit(claims=(FULL,)))
    ledger.close()
    more = (*MIGRATIONS, ("CREATE TABLE later (x INTEGER)",))
    monkeypatch.setattr("clues.ledger.store.MIGRATIONS", more)
    monkeypatch.setattr("clues.ledger.store.VERSION", len(more))
    path = tmp_path / "ledger.db"
    assert open_ledger(path).live_claims() == {FULL.key: FULL}
    copy = path.with_name(f"ledger.db.v{VERSION}")
    assert copy.stat().st_mode & 0o077 == 0
    with sqlite3.connect(copy) as raw:
        assert raw.execute("PRAGMA user_version").fetchone() == (VERSION,)
        assert raw.execute("SELECT count(*) FROM claims").fetchone() == (1,)
    raw.close()


def test_a_ledger_of_the_first_version_loses_its_nonces_and_keeps_its_claims(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        for statement in MIGRATIONS[0]:
            raw.execute(statement)
        raw.execute("PRAGMA user_version = 1")
        raw.execute("INSERT INTO enrolments VALUES ('cpu-1-1', 'a hash', 'then')")
        document = '{"key": "cpu-1-1", "kind": "worker", "node": "cpu-1", "pool": "cpu", "generation": 1, "offer": '
        document += '{"site": "cesnet", "flavor": "small", "image": "here"}, "shape": {}, "state": "joining", '
        document += f'"since": "{NOW.isoformat()}", "created_at": "{NOW.isoformat()}"}}'
        raw.execute("INSERT INTO claims VALUES ('cpu-1-1', 'cpu-1', 1, 'joining', ?)", (document,))
        ended = document.replace('"joining"', f'"gone", "ended_at": "{ago(minutes=1).isoformat()}"')
        ended = ended.replace("cpu-1-1", "cpu-1-0")
        raw.execute("INSERT INTO claims VALUES ('cpu-1-0', 'cpu-1', 0, 'gone', ?)", (ended,))
    ledger = open_ledger(path)
    (claim,) = ledger.live_claims().values()
    assert (claim.node, claim.identity, claim.tunnel) == ("cpu-1", "", "")
    assert [one.key for one in ledger.ended_since(ago(seconds=61))] == ["cpu-1-0"]
    assert ledger.ended_since(ago(seconds=59)) == []
    ledger.close()
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'enrolments'").fetchone() == (0,)


def test_a_migration_that_fails_changes_nothing(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.commit(Commit(claims=(FULL,)))
    ledger.close()
    more = (*MIGRATIONS, ("CREATE TABLE later (x INTEGER)", "THIS IS NO SQL"))
    path = tmp_path / "ledger.db"
    with monkeypatch.context() as patched:
        patched.setattr("clues.ledger.store.MIGRATIONS", more)
        patched.setattr("clues.ledger.store.VERSION", len(more))
        with pytest.raises(LedgerError):
            open_ledger(path)
    assert open_ledger(path).live_claims() == {FULL.key: FULL}


@pytest.mark.parametrize("content", [b"this is no database, and long enough to be looked at as one" * 40, b"\0" * 9000])
def test_a_damaged_file_is_told_and_not_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(content)
    with pytest.raises(LedgerError):
        open_ledger(path)
    assert path.read_bytes() == content


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError):
        open_ledger(tmp_path / "file" / "ledger.db")


def test_every_time_is_read_back_as_aware_utc(ledger: Ledger) -> None:
    ledger.commit(Commit(claims=(FULL,)))
    back: Claim = ledger.live_claims()[FULL.key]
    assert back.since.utcoffset() == timedelta(0)


def test_claims_of_a_time_are_those_that_may_have_had_a_vm_then(ledger: Ledger) -> None:
    """What it cost is shared out among them: one that is left out would have been free."""
    times = {
        "live": (ago(hours=5), None),
        "ended in it": (ago(hours=9), ago(hours=3)),
        "over": (ago(hours=9), ago(hours=7)),
    }
    for number, (name, (launched, ended)) in enumerate({**times, "later": (ago(minutes=1), None)}.items()):
        state = S.READY if ended is None else S.GONE
        one = make_claim(f"cpu-{number}", state, key=name, created_at=launched, launched_at=launched, ended_at=ended)
        ledger.commit(Commit(claims=(one,)))
    found = ledger.claims_between(ago(hours=6), ago(hours=1))
    assert sorted(one.key for one in found) == ["ended in it", "live"]
