"""The list of certificates is private, on the disk at once, and never begun anew over a damaged one."""

from __future__ import annotations

import os
import sqlite3
import stat
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from clues.errors import ConfigError, Transient
from clues.signer.issued import Issued, IssuedList
from tests.unit.signer.lab import NOW

ONE = Issued(1 << 158, "claim-1", "ab" * 32, "worker", 1, NOW, NOW + timedelta(days=29), "PEM")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "signer" / "issued.db"


def test_what_is_recorded_is_there_after_a_restart(path: Path) -> None:
    first = IssuedList.open(path)
    first.record(ONE)
    first.record(later := replace(ONE, serial=7, issued_at=NOW + timedelta(hours=1)))
    again = IssuedList.open(path)  # the first one was never closed, as after a crash
    assert again.unexpired(NOW) == [ONE, later]
    assert again.latest("claim-1") == later
    assert again.latest("claim-2") is None


def test_only_we_can_read_it(path: Path) -> None:
    old = os.umask(0)
    try:
        IssuedList.open(path).record(ONE)
    finally:
        os.umask(old)
    assert {stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()} == {0o600}
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="0644"):
        IssuedList.open(path)


def test_revoked_is_revoked_for_ever(path: Path) -> None:
    issued = IssuedList.open(path)
    issued.record(ONE)
    issued.revoke([ONE.serial], NOW)
    issued.revoke([ONE.serial], NOW + timedelta(days=1))
    assert [one.revoked_at for one in issued.unexpired(NOW)] == [NOW]


def test_what_has_ended_is_forgotten_a_day_later(path: Path) -> None:
    issued = IssuedList.open(path)
    issued.record(ONE)
    issued.prune(ONE.ends_at + timedelta(hours=1))
    assert issued.latest("claim-1") is not None
    assert issued.unexpired(ONE.ends_at) == []
    issued.prune(ONE.ends_at + timedelta(hours=25))
    assert issued.latest("claim-1") is None


@pytest.mark.parametrize("content", [b"", b"garbage" * 1000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_list_is_told_and_left_alone(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ConfigError):
        IssuedList.open(path)
    assert path.read_bytes() == content


def test_a_list_that_cannot_be_written_issues_nothing(path: Path) -> None:
    issued = IssuedList.open(path)
    other = sqlite3.connect(path)
    other.execute("PRAGMA user_version = 2")
    other.execute("DROP TABLE issued")
    other.commit()
    with pytest.raises(Transient):
        issued.record(ONE)
    with pytest.raises(ConfigError, match="form 2"):
        IssuedList.open(path)
