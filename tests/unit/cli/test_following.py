"""Commands that go on: they show what changes, outlive a daemon that is restarted, and end with Ctrl-C."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

import pytest

from tests.unit.api.serving import Api, serve, short_folder
from tests.unit.builders import hybrid, make_note
from tests.unit.cli.running import PROGRAM, environment


@dataclass
class Follower:
    """A running command, and what it has said so far."""

    process: subprocess.Popen[bytes]
    said: dict[int, bytearray] = field(default_factory=dict)

    def collect(self, descriptor: int, key: int) -> None:
        self.said[key] = bytearray()

        def read() -> None:
            while True:
                try:
                    data = os.read(descriptor, 65536)
                except OSError:  # a terminal whose other end is closed
                    return
                if not data:
                    return
                self.said[key].extend(data)

        Thread(target=read, daemon=True).start()

    @property
    def out(self) -> str:
        return self.said[1].decode()

    @property
    def err(self) -> str:
        return self.said[2].decode()

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline, (self.said, self.process.poll())
            time.sleep(0.02)


@contextmanager
def following(*arguments: str, at: Path, terminal: bool = False) -> Iterator[Follower]:
    ours, theirs = pty.openpty() if terminal else os.pipe()
    process = subprocess.Popen(
        [*PROGRAM, *arguments],
        env=environment(CLUES_SOCKET=str(at)),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.PIPE,
    )
    os.close(theirs)
    assert process.stderr is not None
    follower = Follower(process)
    follower.collect(ours, 1)
    follower.collect(process.stderr.fileno(), 2)
    try:
        yield follower
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(30)


@pytest.fixture
def api() -> Iterator[Api]:
    with serve(hybrid()) as served:
        yield served


def test_a_watched_status_in_a_pipe_is_one_block_for_each_tick(api: Api) -> None:
    with following("status", "--watch", "60", at=api.path) as watched:
        watched.until(lambda: watched.out.count("deep   running") == 1)
        for blocks in (2, 3):
            watched.until(lambda: api.control.waiters > 0)
            api.control.tick(hybrid())
            watched.until(lambda blocks=blocks: watched.out.count("deep   running") == blocks)  # type: ignore[misc]
        assert "\x1b" not in watched.out


def test_a_watched_status_changes_its_ages_without_a_tick(api: Api) -> None:
    with following("status", "--watch", "0.2", at=api.path) as watched:
        watched.until(lambda: watched.out.count("deep   running") >= 3)


def test_a_watched_terminal_is_drawn_over_not_cleared(api: Api) -> None:
    with following("status", "--watch", "60", at=api.path, terminal=True) as watched:
        watched.until(lambda: api.control.waiters > 0)
        api.control.tick(hybrid())
        watched.until(lambda: watched.out.count("\x1b[H") >= 2 and watched.out.endswith("\x1b[J"))
        assert watched.out.count("\x1b[2J") == 1
        watched.process.send_signal(signal.SIGINT)
        assert watched.process.wait(30) == 130
        watched.until(lambda: watched.out.endswith("\x1b[?25h"))  # the cursor is back
        assert watched.err == ""


def test_a_watch_that_never_began_ends_at_once() -> None:
    with following("status", "--watch", at=Path("/nonexistent/s")) as watched:
        assert watched.process.wait(30) == 3


@pytest.mark.parametrize("arguments", [["status", "--watch", "0.2"], ["events", "-f"]])
def test_ctrl_c_ends_quietly(api: Api, arguments: list[str]) -> None:
    api.control.add(make_note(1))
    with following(*arguments, at=api.path) as watched:
        watched.until(lambda: bool(watched.out))
        watched.process.send_signal(signal.SIGINT)
        assert watched.process.wait(30) == 130
        assert watched.err == ""


def test_events_are_followed_by_their_cursor_none_twice(api: Api) -> None:
    api.control.add(make_note(1, text="one"))
    with following("events", "-f", at=api.path) as watched:
        watched.until(lambda: "one" in watched.out)
        for number, text in ((2, "two"), (3, "three")):
            api.control.add(make_note(number, text=text))
            watched.until(lambda text=text: text in watched.out)  # type: ignore[misc]
        assert [line.split()[-1] for line in watched.out.splitlines()] == ["one", "two", "three"]


def test_followed_json_is_one_event_on_each_line(api: Api) -> None:
    api.control.add(make_note(1))
    with following("events", "-f", "-o", "json", at=api.path) as watched:
        watched.until(lambda: watched.out.count("\n") == 1)
        api.control.add(make_note(2))
        watched.until(lambda: watched.out.count("\n") == 2)
        assert [json.loads(line)["id"] for line in watched.out.splitlines()] == [1, 2]


@pytest.mark.parametrize(
    ("arguments", "sign"), [(["status", "--watch", "0.2"], "running"), (["events", "-f"], "after the restart")]
)
def test_a_daemon_that_is_restarted_is_waited_for(arguments: list[str], sign: str) -> None:
    with short_folder() as folder:
        path = folder / "s"
        with serve(hybrid(), path=path) as api:
            api.control.add(make_note(1))
            watched_context = following(*arguments, at=path)
            watched = watched_context.__enter__()
            watched.until(lambda: bool(watched.out))
        try:
            watched.until(lambda: "does not answer" in watched.err)
            before = watched.out.count(sign)
            with serve(hybrid(), path=path) as api:
                api.control.add(make_note(1), make_note(2, text="after the restart"))
                watched.until(lambda: watched.out.count(sign) > before)
                assert watched.out.count("node opened") <= 1
                assert watched.err.count("\n") == 1
        finally:
            watched_context.__exit__(None, None, None)


def test_a_daemon_that_is_back_but_has_seen_nothing_yet_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clues.api.watching._FIRST_TICK_SECONDS", 0.05)
    with short_folder() as folder:
        path = folder / "s"
        with serve(hybrid(), path=path):
            watched_context = following("status", "--watch", "0.2", at=path)
            watched = watched_context.__enter__()
            watched.until(lambda: bool(watched.out))
        try:
            with serve(None, path=path) as api:
                watched.until(lambda: "has not seen the cluster yet" in watched.err)
                before = watched.out.count("running")
                api.control.tick(hybrid())
                watched.until(lambda: watched.out.count("running") > before)
        finally:
            watched_context.__exit__(None, None, None)


@pytest.mark.parametrize("arguments", [["status", "--watch", "0.2"], ["events", "-f"]])
def test_however_long_a_daemon_is_away_it_is_told_once(arguments: list[str]) -> None:
    with short_folder() as folder:
        path = folder / "s"
        with serve(hybrid(), path=path) as api:
            api.control.add(make_note(1))
            watched_context = following(*arguments, at=path)
            watched = watched_context.__enter__()
            watched.until(lambda: bool(watched.out))
        # Somebody who takes calls and hangs up stands in for the daemon: so the tries can be counted.
        with socket.socket(socket.AF_UNIX) as stranger:
            try:
                watched.until(lambda: "does not answer" in watched.err)
                stranger.bind(str(path))
                stranger.listen()
                stranger.settimeout(30)
                for _ in range(4):
                    stranger.accept()[0].close()
                # once for nobody, once for the stranger
                assert watched.err.count("\n") == 2
            finally:
                watched_context.__exit__(None, None, None)
