"""What the broker tells, as a file: also a damaged one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from clues.model import HubStatus, Tunnel
from vrouter.broker.status import Told, read, write

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def told(name: str = "hub", since: datetime = NOW, *, up: bool = True, claim: str = "key-2") -> Told:
    """Return a broker's word of one tunnel."""
    tunnel = Tunnel(claim, name, "198.51.100.2:5", "10.77.252.11", since, 10, 20)
    return Told(HubStatus(name, up, NOW, 7, NOW + timedelta(days=7), None, "trouble"), (tunnel,), {3: 4})


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    write(tmp_path / "s", told())
    assert read(tmp_path / "s") == told()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"form":1}', '{"form":2,"hub":{}}', "[" * 100_000])
def test_a_damaged_word_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "s").write_text(text)
    assert read(tmp_path / "s") is None
    assert read(tmp_path / "nothing") is None
