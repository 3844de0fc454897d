"""The board and the accounts: news of this machine at once, and nothing is forgotten because it cannot be read."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from clues import inventory
from clues.bootstrap import accounts
from clues.bootstrap.board import Board
from clues.bootstrap.trust import CURRENT, TrustStore
from clues.errors import ConfigError, Transient
from clues.inventory import Inventory, Member, Reader
from clues.model import ClaimState, Kind

MEMBER = Member("k", Kind.WORKER, "cesnet", "cpu-1", ClaimState.READY, "10.77.1.10")
ALICE, BOB = "account alice:x:2001:2001::/home/alice:/bin/sh", "account bob:x:2002:2002::/home/bob:/bin/sh"


class Source:
    """Accounts that change, or cannot be read."""

    def __init__(self) -> None:
        self.lines: tuple[str, ...] | None = (ALICE,)
        self.changes = 0
        self.readings = 0

    def read(self) -> tuple[str, ...]:
        self.readings += 1
        if self.lines is None:
            raise Transient("nobody answers")
        return self.lines

    def stamp(self) -> int:
        return self.changes

    def change(self, *lines: str, readable: bool = True) -> None:
        self.lines = lines if readable else None
        self.changes += 1


def watch(folder: Path, source: Source, scenario: Callable[[Board], None] | None, *steps: Callable[[], None]) -> str:
    """Run a board through the steps, each followed by a reading; what the member is told at the end."""
    (folder / "trust").mkdir()
    (folder / "trust" / CURRENT).write_text("bundle\n")
    inventory.write(folder / "inventory.json", Inventory("c", 1, datetime(2030, 1, 1, tzinfo=UTC), members=(MEMBER,)))
    board = Board(
        Reader(folder / "inventory.json"), TrustStore(folder / "trust"), lambda *_: (), source.read, source.stamp
    )
    if scenario is not None:
        scenario(board)

    async def run() -> str:
        watching = asyncio.create_task(board.watch())
        for number, step in enumerate((lambda: None, *steps), 1):
            step()
            while source.readings < number:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
        board.look()
        return board.text(MEMBER).body.decode()

    return asyncio.run(asyncio.wait_for(run(), 10))


def test_a_change_on_this_machine_is_told_at_once(tmp_path: Path) -> None:
    source = Source()
    told = watch(tmp_path, source, None, lambda: source.change(BOB))
    assert BOB in told
    assert ALICE not in told


def test_what_cannot_be_read_lets_the_last_accounts_stand(tmp_path: Path) -> None:
    source = Source()
    assert ALICE in watch(tmp_path, source, None, lambda: source.change(readable=False))


def test_nobody_is_told_anything_before_the_accounts_were_read_once(tmp_path: Path) -> None:
    def early(board: Board) -> None:
        board.look()
        with pytest.raises(ConfigError, match="no accounts"):
            board.text(MEMBER)

    assert ALICE in watch(tmp_path, Source(), early)


def test_a_machine_that_does_not_list_even_root_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pwd.getpwall", list)
    with pytest.raises(Transient, match="does not tell its users"):
        accounts.read(lambda _: True)


def test_the_stamp_changes_with_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "passwd"
    monkeypatch.setattr(accounts, "FILES", (path,))
    absent = accounts.stamp()
    path.write_text("a")
    first = accounts.stamp()
    path.write_text("ab")
    assert len({absent, first, accounts.stamp()}) == 3
