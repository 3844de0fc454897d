"""`clues top` in a terminal of its own, as its user has it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pytest

from clues.api.lens import Lens
from clues.api.stream import Follower
from clues.cli.tables import Style
from clues.cli.top import keys
from clues.cli.top.picture import Picture
from clues.cli.top.screen import Explain, Quit, Screen
from tests.unit.api.serving import Api, serve, short_folder
from tests.unit.builders import NOW, hybrid
from tests.unit.cli.running import PROGRAM, clues, environment

_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A terminal with a program in it."""

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.process, self.master, self.sent = process, master, ""

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def resize(self, width: int, height: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def frame(self) -> list[str]:
        """Return the lines of the last whole screen, without what moves the cursor."""
        whole = self.sent.split("\x1b[H")[1:]
        done = [one for one in whole if "\x1b[J" in one]
        return _SEQUENCE.sub("", done[-1].split("\x1b[J")[0]).split("\r\n") if done else []

    def wait(self, fits: Callable[[list[str]], bool]) -> list[str]:
        """Wait for a screen that fits, and return it."""
        deadline = time.monotonic() + 30
        while not fits(self.frame()):
            if time.monotonic() > deadline:
                raise AssertionError("no such screen; the last one:\n" + "\n".join(self.frame()))
            if select.select([self.master], [], [], 0.2)[0]:
                try:
                    self.sent += os.read(self.master, 65_536).decode()
                except OSError:  # nobody has it open any more
                    raise AssertionError(f"it has ended:\n{self.sent[-500:]}") from None
        return self.frame()

    def end(self) -> int:
        """Read to the end and return the exit code."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self.process.poll() is None:
            if select.select([self.master], [], [], 0.1)[0]:
                self.sent += os.read(self.master, 65_536).decode()
        while select.select([self.master], [], [], 0)[0] and (part := os.read(self.master, 65_536)):
            self.sent += part.decode()
        return self.process.wait(timeout=1)


@contextmanager
def top(api: Api, width: int = 80, height: int = 24, **more: str) -> Iterator[Terminal]:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
    before = termios.tcgetattr(slave)
    process = subprocess.Popen(
        [*PROGRAM, "top"],
        env=environment(CLUES_SOCKET=str(api.path), **more),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    try:
        yield Terminal(process, master)
        assert process.poll() is not None
        assert termios.tcgetattr(slave) == before, "the terminal is not as it was"
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(slave)
        os.close(master)


@pytest.fixture
def api() -> Iterator[Api]:
    with serve(hybrid()) as served:
        yield served


def has(*texts: str) -> Callable[[list[str]], bool]:
    return lambda lines: all(any(text in line for line in lines) for text in texts)


def test_it_shows_the_cluster_follows_it_explains_and_leaves_no_trace(api: Api) -> None:
    with top(api, NO_COLOR="1") as terminal:
        lines = terminal.wait(has("POOLS", "NODES", "> JOBS", "4242"))
        assert len(lines) == 24
        assert all(len(line) <= 80 for line in lines)
        assert not re.search(r"\x1b\[[0-9;]*m", terminal.sent)  # no colour
        chosen = next(line for line in lines if line.startswith("> 4"))
        terminal.type("\x1b[B")
        terminal.wait(lambda now: any(line.startswith("> 4") and line != chosen for line in now))
        terminal.type("\r")
        terminal.wait(has("explain 4242", "any other key goes back"))
        terminal.type("x/4250\r")
        terminal.wait(lambda now: has("1-1 of 1, with '4250'")(now) and not has("4242")(now))
        terminal.type("\x1b")
        terminal.wait(has("4242"))
        api.control.tick(
            replace(api.control.published() or hybrid(), settings=replace(hybrid().settings, cluster="new"))
        )
        terminal.wait(has("new  running"))
        terminal.resize(50, 12)
        lines = terminal.wait(lambda now: len(now) == 12)
        assert all(len(line) <= 50 for line in lines)
        terminal.type("q")
        assert terminal.end() == 0
        assert "\x1b[?1049l" in terminal.sent


@pytest.mark.parametrize(("key", "code"), [("\x03", 130), ("\x1a", None)], ids=["ctrl-c", "ctrl-z"])
def test_the_terminal_is_given_back_however_it_ends(api: Api, key: str, code: int | None) -> None:
    with top(api) as terminal:
        terminal.wait(has("JOBS"))
        assert "\x1b[31m" in terminal.sent  # colour, where nothing speaks against it
        terminal.type(key)
        if code is None:  # it is not stopped: that would leave the terminal as nobody can use it
            terminal.type("q")
        assert terminal.end() == (code or 0)


def test_without_a_terminal_it_says_what_there_is_instead(api: Api) -> None:
    result = clues("top", socket=api.path)
    assert (result.code, result.out) == (2, "")
    assert "clues status --watch" in result.err


def test_a_daemon_that_is_away_is_waited_for() -> None:
    with short_folder() as folder, ExitStack() as stack:
        with serve(hybrid(), path=folder / "clues.sock") as api:
            terminal = stack.enter_context(top(api))
            terminal.wait(has("JOBS"))
        terminal.wait(has("4242", "clues.sock: is it running?"))
        with serve(hybrid(), path=folder / "clues.sock"):
            terminal.wait(lambda now: has("4242")(now) and not has("clues.sock")(now))
            terminal.type("q")
            assert terminal.end() == 0


# --- without a terminal ----------------------------------------------------------------------------------


def picture() -> Picture:
    made = Picture()
    made.take(Follower().take(Lens.of(hybrid(), NOW)), first=True)
    return made


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("\x1b[A\x1bOB", [keys.UP, keys.DOWN]),
        ("\x1b[5~\x1b[6~", [keys.PAGE_UP, keys.PAGE_DOWN]),
        ("\x1b", [keys.ESCAPE]),
        ("a\r\t\x7f", ["a", keys.ENTER, keys.TAB, keys.BACKSPACE]),
        ("\x1b[1;5Pq", ["q"]),
        ("\x1b[", []),
        ("\x00ñ", ["ñ"]),
    ],
    ids=["arrows", "pages", "escape", "plain", "unknown", "cut", "letters"],
)
def test_keys_are_known_by_what_the_terminal_sends(sent: str, meant: list[str]) -> None:
    assert list(keys.keys(sent)) == meant


@pytest.mark.parametrize(("width", "height"), [(80, 24), (40, 10), (20, 5), (10, 2), (200, 60)])
def test_every_size_is_kept_to(width: int, height: int) -> None:
    for screen in (Screen(), Screen(all_nodes=True), Screen(reading=("x", "a long text " * 100))):
        lines = screen.lines(picture(), Style(width=width, height=height), NOW)
        assert len(lines) <= height
        assert all(len(line) <= width for line in lines)


def test_the_chosen_row_stays_chosen_when_others_come_and_go() -> None:
    screen, now = Screen(), picture()
    for _ in range(2):
        screen.press(keys.DOWN, now)
    name = now.jobs[2].id
    now.jobs = now.jobs[2:]
    assert screen.press(keys.ENTER, now) == Explain(name)
    now.jobs = ()
    assert screen.press(keys.ENTER, now) is None


def test_nodes_that_are_off_are_left_out_until_asked_for() -> None:
    screen, now = Screen(pane="nodes"), picture()
    assert "off" not in {node.state for node in screen.rows("nodes", now)}
    screen.press("a", now)
    assert "off" in {node.state for node in screen.rows("nodes", now)}


def test_sorting_goes_round_and_the_first_of_nodes_is_what_failed() -> None:
    screen, now = Screen(pane="nodes"), picture()
    orders = []
    for _ in range(4):
        orders.append([node.name for node in screen.rows("nodes", now)])
        screen.press("s", now)
    assert screen.rows("nodes", now)[0].state == "failed"
    assert orders[1] == sorted(orders[1])
    assert orders[2] != orders[1]


def test_q_is_a_letter_while_a_filter_is_typed() -> None:
    screen, now = Screen(), picture()
    for key in ("/", "q", keys.BACKSPACE, "b", "o", "b", keys.ENTER):
        assert screen.press(key, now) is None
    assert {job.user for job in screen.rows("jobs", now)} == {"bob"}
    assert isinstance(screen.press("q", now), Quit)
