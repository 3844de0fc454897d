"""systemd's watchdog is fed by completed ticks alone: a loop that turns and decides nothing counts as hanging."""

from __future__ import annotations

import queue
import socket
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from clues.clock import SteadyClock
from clues.daemon import Daemon, Home
from tests.unit.reconciler.parts import make_parts


def test_only_a_completed_tick_feeds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    parts, home, nothing = make_parts(), cast(Home, queue.SimpleQueue()), cast(Any, None)
    observer = cast(Any, SimpleNamespace(pump=lambda: timedelta(0)))
    world = parts.world
    daemon = Daemon(
        home, world.reconciler, nothing, world.books, observer, world.ledger, SteadyClock(), nothing, nothing, nothing,
        nothing,
    )  # fmt: skip
    daemon._shown = world.reconciler.published  # it has been ready for long
    heard: list[str] = []

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as listener:
        listener.bind(str(tmp_path / "notify"))

        def listen(about: str) -> None:
            heard.append(about)
            while True:
                try:
                    heard.extend(line for line in listener.recv(4096).decode().splitlines() if "STATUS" not in line)
                except BlockingIOError:
                    return

        def fail() -> None:
            raise ValueError("a defect")

        for step in (
            lambda: None,
            fail,
            lambda: listen("idle and failed turns"),
            lambda: parts.turns(1),
            lambda: listen("a tick"),
            lambda: None,
            fail,
            lambda: listen("idle and failed turns"),
            lambda: parts.turns(1),
            lambda: listen("a tick"),
            daemon.stop,
        ):
            home.put(cast(Any, step))
        daemon.run()
        listen("the end")
    assert heard == [
        "idle and failed turns",
        "a tick",
        "WATCHDOG=1",
        "idle and failed turns",
        "a tick",
        "WATCHDOG=1",
        "the end",
        "STOPPING=1",
    ]
