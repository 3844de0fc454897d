"""A secret is found where the configuration says, and read only where nobody else could have read it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from clues.errors import AuthFailed
from connectors.common import credentials


def secret(path: Path, text: str = "s3cret\n", mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_path_is_taken_as_it_is_and_a_bare_name_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    systemd, folder = tmp_path / "systemd", tmp_path / "ours"
    environ = {"CREDENTIALS_DIRECTORY": str(systemd)}
    assert credentials.find("/a/b", environ, folder) == Path("/a/b")
    assert credentials.find("token", {}, folder) == folder / "token"
    assert credentials.find("token", environ, folder) == folder / "token"
    secret(systemd / "token")
    assert credentials.find("token", environ, folder) == systemd / "token"
    monkeypatch.setenv("HOME", "/home/somebody")
    assert credentials.find("~/token", {}, folder) == Path("/home/somebody/token")


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_file_of_our_own_is_read_without_its_last_newline(tmp_path: Path, mode: int) -> None:
    assert credentials.read(secret(tmp_path / "token", " two words\n", mode)) == "two words"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620, 0o602, 0o601])
def test_a_file_that_others_can_touch_is_refused_with_the_cure(tmp_path: Path, mode: int) -> None:
    with pytest.raises(AuthFailed, match=r"chmod 600 .*token") as caught:
        credentials.read(secret(tmp_path / "token", mode=mode))
    assert "s3cret" not in str(caught.value)


def test_systemds_own_files_are_for_a_group_that_nobody_else_is_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = secret(tmp_path / "systemd" / "token", mode=0o440)
    with pytest.raises(AuthFailed):
        credentials.read(path)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "systemd"))
    assert credentials.read(path) == "s3cret"
    with pytest.raises(AuthFailed):
        credentials.read(secret(tmp_path / "elsewhere", mode=0o440))


def test_what_is_missing_or_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(AuthFailed, match=r"token: No such file.*put the credentials there"):
        credentials.read(tmp_path / "token")
    (tmp_path / "folder").mkdir()
    with pytest.raises(AuthFailed, match="folder"):
        credentials.read(tmp_path / "folder")
    with pytest.raises(AuthFailed, match="Not a directory"):
        credentials.read(secret(tmp_path / "file") / "token")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(AuthFailed, match="no file"):
        credentials.read(tmp_path / "pipe")


def test_what_is_too_large_or_no_text_is_refused_and_not_shown(tmp_path: Path) -> None:
    with pytest.raises(AuthFailed, match="larger"):
        credentials.read(secret(tmp_path / "large", "x" * 65537))
    path = secret(tmp_path / "binary")
    path.write_bytes(b"s3cret\xff")
    with pytest.raises(AuthFailed, match="not text") as caught:
        credentials.read(path)
    assert "s3cret" not in repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
