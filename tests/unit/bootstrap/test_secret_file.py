"""Secret files appear whole and private, once, and are refused when others could have had them."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from clues.bootstrap import secret_file
from clues.errors import ConfigError


def test_a_file_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        secret_file.create(tmp_path / "new" / "key", b"one")
        secret_file.replace(tmp_path / "new" / "key", b"two")
    finally:
        os.umask(before)
    assert secret_file.read(tmp_path / "new" / "key") == b"two"
    assert stat.S_IMODE((tmp_path / "new" / "key").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["key"]


def test_of_many_starters_one_wins_and_all_agree(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: secret_file.create(tmp_path / "key", bytes([n])), range(8)))
    assert set(made) == {secret_file.read(tmp_path / "key")}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644])
def test_a_file_that_others_could_read_or_write_is_refused(tmp_path: Path, mode: int) -> None:
    secret_file.create(tmp_path / "key", b"one")
    (tmp_path / "key").chmod(mode)
    with pytest.raises(ConfigError, match=f"mode is {mode:04o}"):
        secret_file.read(tmp_path / "key")


def test_a_public_file_may_be_read_but_not_written_by_others(tmp_path: Path) -> None:
    secret_file.create(tmp_path / "pem", b"one")
    (tmp_path / "pem").chmod(0o644)
    assert secret_file.read(tmp_path / "pem", public=True) == b"one"
    (tmp_path / "pem").chmod(0o664)
    with pytest.raises(ConfigError):
        secret_file.read(tmp_path / "pem", public=True)


def test_links_folders_and_pipes_are_refused(tmp_path: Path) -> None:
    secret_file.create(tmp_path / "key", b"one")
    (tmp_path / "link").symlink_to(tmp_path / "key")
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "folder").mkdir(0o700)
    for name in ("link", "pipe", "folder"):
        with pytest.raises(ConfigError):
            secret_file.read(tmp_path / name)


def test_what_is_not_there_is_none(tmp_path: Path) -> None:
    assert secret_file.read(tmp_path / "key") is None
