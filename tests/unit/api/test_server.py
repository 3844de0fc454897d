"""The socket: never open to all, never taken from a daemon that lives, and gone when its daemon stops."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from clues.api.server import ApiServer, SocketError
from clues.api.serving import LONGEST_STOP_SECONDS
from tests.unit.api.serving import UnixConnection, serve, short_folder
from tests.unit.builders import make_published


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as path:
        yield path


def test_only_owner_and_group_may_use_the_socket(folder: Path) -> None:
    before = os.umask(0)
    try:
        with serve(make_published(), path=folder / "s") as api:
            assert stat.S_IMODE(api.path.stat().st_mode) == 0o660
            assert [entry.name for entry in sorted(folder.iterdir())] == ["s", "s.lock"]
    finally:
        os.umask(before)


def test_the_socket_has_its_mode_before_it_has_its_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    replace = Path.replace

    def look(source: Path, target: Path) -> Path:
        seen.append(stat.S_IMODE(source.stat().st_mode))
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", look)
    with serve(make_published(), path=folder / "s"):
        assert seen == [0o660]


def test_what_a_killed_daemon_left_behind_is_replaced(folder: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(folder / "s"))
    left.close()
    with serve(make_published(), path=folder / "s") as api:
        assert api.get("/v1/version")["version"]


def test_a_daemon_that_lives_keeps_its_socket(folder: Path) -> None:
    with serve(make_published(), path=folder / "s") as api:
        with pytest.raises(SocketError, match="another cluesd"):
            ApiServer(FastAPI(), api.path).start()
        assert api.get("/v1/version")["version"]


def test_the_lock_alone_is_enough_to_refuse(folder: Path) -> None:
    """The socket's file may be gone (somebody tidied up) while its daemon lives on."""
    with serve(make_published(), path=folder / "s") as api:
        api.path.unlink()
        with pytest.raises(SocketError, match="another cluesd"):
            ApiServer(FastAPI(), api.path).start()


def test_another_programs_socket_is_left_alone(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(folder / "s"))
        other.listen()
        with pytest.raises(SocketError, match="another process"):
            ApiServer(FastAPI(), folder / "s").start()
    assert (folder / "s").exists()


def test_a_file_that_is_no_socket_is_left_alone(folder: Path) -> None:
    (folder / "s").write_text("precious")
    with pytest.raises(SocketError, match="not a socket"):
        ApiServer(FastAPI(), folder / "s").start()
    assert (folder / "s").read_text() == "precious"


@pytest.mark.parametrize("name", ["missing/s", "s" * 120])
def test_a_path_that_cannot_be_is_told_in_one_line(folder: Path, name: str) -> None:
    with pytest.raises(SocketError) as caught:
        ApiServer(FastAPI(), folder / name).start()
    assert "\n" not in str(caught.value)


def test_a_failed_start_lets_the_next_one_try(folder: Path) -> None:
    (folder / "s").write_text("")
    with pytest.raises(SocketError):
        ApiServer(FastAPI(), folder / "s").start()
    (folder / "s").unlink()
    with serve(make_published(), path=folder / "s") as api:
        assert api.get("/v1/version")


def test_a_killed_daemons_lock_is_free(folder: Path) -> None:
    """The lock belongs to the process, not to the file that it leaves behind."""
    program = (
        "import sys, time, pathlib; from fastapi import FastAPI; from clues.api.server import ApiServer\n"
        "ApiServer(FastAPI(), pathlib.Path(sys.argv[1])).start(); print('up', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", program, str(folder / "s")], stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child.stdout:
        assert child.stdout.readline() == b"up\n"
        child.kill()
        child.wait(20)
    with serve(make_published(), path=folder / "s") as api:
        assert api.get("/v1/version")


def test_stopping_takes_the_socket_away_and_may_be_done_twice(folder: Path) -> None:
    with serve(make_published(), path=folder / "s") as api:
        api.server.stop()
        assert not api.path.exists()
        api.server.stop()


def test_stopping_leaves_a_successors_socket(folder: Path) -> None:
    with serve(make_published(), path=folder / "s") as api:
        api.path.unlink()
        with socket.socket(socket.AF_UNIX) as successor:
            successor.bind(str(api.path))
            api.server.stop()
        assert api.path.exists()


def test_stopping_does_not_wait_for_those_who_wait(folder: Path) -> None:
    with serve(make_published(ticks=7), path=folder / "s") as api:
        connection = UnixConnection(api.path)
        connection.request("GET", "/v1/status?wait=7&timeout=60")
        deadline = time.monotonic() + 10
        while api.control.waiters == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        began = time.monotonic()
        api.server.stop()
        # far less than the 60 s that were asked for, and than the two deadlines of a stop by force
        assert time.monotonic() - began < LONGEST_STOP_SECONDS
        assert connection.getresponse().status == 200
        connection.close()


def test_no_thread_is_left_behind(folder: Path) -> None:
    with serve(make_published(), path=folder / "s") as api:
        api.get("/v1/version")
    assert "api" not in [thread.name for thread in threading.enumerate()]
