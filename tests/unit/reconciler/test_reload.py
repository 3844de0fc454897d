"""A reload: what is broken changes nothing, systemd hears the end of it whatever happens, and it is shown."""

from __future__ import annotations

import queue
import signal
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from clues.clock import SteadyClock
from clues.config import load
from clues.daemon import Daemon, Home
from clues.errors import ConfigError
from clues.main import refuse_what_stays
from clues.program import BROKEN_CONFIGURATION, main
from clues.registry import find_plugins
from clues.systemd import summary
from tests.unit.config_example import EXAMPLE
from tests.unit.reconciler.parts import Parts, make_parts


class Reloading:
    """A daemon whose configuration is read by *read*, and what systemd heard of it."""

    def __init__(self, path: Path, parts: Parts, read: Callable[[], str], *, ready: bool = True) -> None:
        home, nothing = cast(Home, queue.SimpleQueue()), cast(Any, None)
        world = parts.world
        observer = world.reconciler._observer
        self.daemon = Daemon(
            home, world.reconciler, nothing, world.books, observer, world.ledger, SteadyClock(), nothing, read, nothing,
            nothing,
        )  # fmt: skip
        if ready:
            parts.turns(1)
            self.daemon._shown = world.reconciler.published
        self.books = world.books
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as listener:
            listener.bind(str(path))
            self.daemon.reload()
            self.heard = []
            try:
                while True:
                    self.heard.append(listener.recv(4096).decode())
            except BlockingIOError:
                pass


@pytest.fixture
def notify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    return tmp_path / "notify"


def test_a_broken_file_is_told_to_systemd_and_shown_until_a_good_one_comes(notify: Path) -> None:
    parts = make_parts()
    found = Reloading(notify, parts, lambda: "clues.yaml:3: pools: is not\nclues.yaml:9: more")
    assert found.heard[:2] == ["RELOADING=1", "READY=1"]
    assert "trouble: the new configuration is not in use: clues.yaml:3: pools: is not clues.yaml:9" in found.heard[2]
    assert "\n" not in found.heard[2]
    assert "not in use" in found.books.troubles["configuration"]
    notify.unlink()
    assert "trouble" not in Reloading(notify, parts, lambda: "").heard[2]
    assert "configuration" not in found.books.troubles


def test_systemd_hears_of_the_end_of_a_reload_that_failed_in_a_way_nobody_foresaw(notify: Path) -> None:
    def fail() -> str:
        raise ValueError("a defect")

    found = Reloading(notify, make_parts(), fail)
    assert found.heard[:2] == ["RELOADING=1", "READY=1"]
    assert "not in use" in found.books.troubles["configuration"]


def test_a_reload_before_the_first_tick_makes_nothing_ready(notify: Path) -> None:
    assert "READY=1" not in Reloading(notify, make_parts(), lambda: "", ready=False).heard


def test_a_reload_cannot_change_where_the_daemon_stands(tmp_path: Path) -> None:
    (tmp_path / "clues.yaml").write_text(EXAMPLE)
    loaded = load(tmp_path / "clues.yaml", find_plugins())
    refuse_what_stays(loaded, replace(loaded, public_host="other.example.org"))
    with pytest.raises(ConfigError, match=r"only a restart of cluesd changes state, socket"):
        refuse_what_stays(loaded, replace(loaded, state=tmp_path, socket=tmp_path / "s.sock"))


def test_mistakes_in_the_file_have_an_exit_code_of_their_own(
    notify: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "clues.yaml").write_text("cluster: x\n")
    before = signal.getsignal(signal.SIGHUP)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(str(notify))
            assert main(["--config", str(tmp_path / "clues.yaml")]) == BROKEN_CONFIGURATION
            assert "STATUS=not started; trouble: " in listener.recv(4096).decode()
    finally:
        signal.signal(signal.SIGHUP, before)
    assert "sites" in capsys.readouterr().err


def test_one_line_tells_the_first_trouble_and_how_many_there_are() -> None:
    assert summary("2 nodes up", []) == "2 nodes up"
    assert summary("2 nodes up", ["a\n b", "c"]) == "2 nodes up; trouble: a b (and 1 more: clues status)"
    assert len(summary("", ["x" * 5000])) < 250
