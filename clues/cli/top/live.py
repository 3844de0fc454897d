"""The terminal: raw keys in, whole screens out, and everything as it was at the end.

A thread follows the daemon's stream and hands over what it tells; a pipe wakes the loop for that, and for a new size of
the window. The rest is one loop that draws after whatever happened, and each second, as ages grow.
"""

from __future__ import annotations

import codecs
import json
import os
import queue
import select
import signal
import sys
import termios
import threading
import time
import tty
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime

from clues.api import wire, wire_page
from clues.api.codec import WireError, decode
from clues.cli.client import Client
from clues.cli.command import Session
from clues.cli.errors import CliError, NotReachable
from clues.cli.output import parse
from clues.cli.top.keys import keys
from clues.cli.top.picture import Picture
from clues.cli.top.screen import Explain, Quit, Screen

_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_HOME, _CLEAR_LINE, _CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
_AGES_SECONDS = 1.0
_RETRY_SECONDS = 1.0

#: A change and whether it is a first one, or why none comes.
_News = tuple[wire_page.Change, bool] | str


def run(session: Session) -> int:
    """Show the cluster until ``q``; standard input and output have to be a terminal."""
    news: queue.SimpleQueue[_News] = queue.SimpleQueue()
    awake, wake = os.pipe()
    os.set_blocking(wake, False)
    with closing(session.client.follow("stream")) as stream:
        first = next(stream, b"")  # whatever is wrong from the start ends the command, as everywhere
    picture, screen = Picture(), Screen()
    picture.take(_change(first), first=True)
    threading.Thread(target=_follow, args=(session.client, news, wake), daemon=True).start()
    with _taken(sys.stdin.fileno(), wake):
        _loop(session, picture, screen, news, awake)
    return 0


def _loop(session: Session, picture: Picture, screen: Screen, news: queue.SimpleQueue[_News], awake: int) -> None:
    keyboard = sys.stdin.fileno()
    letters = codecs.getincrementaldecoder("utf-8")("replace")
    while True:
        height = _draw(session, picture, screen)
        ready, _, _ = select.select([keyboard, awake], [], [], _AGES_SECONDS)
        if awake in ready:
            os.read(awake, 4096)
        _learn(picture, news)
        if keyboard not in ready:
            continue
        sent = os.read(keyboard, 1024)
        if not sent:  # the terminal is gone
            return
        for key in keys(letters.decode(sent)):
            asked = screen.press(key, picture, max(1, height // 3))
            if isinstance(asked, Quit):
                return
            if isinstance(asked, Explain):
                screen.read(asked.subject, _explain(session.client, asked.subject))


def _learn(picture: Picture, news: queue.SimpleQueue[_News]) -> None:
    while not news.empty():
        told = news.get()
        if isinstance(told, str):
            picture.trouble = told
        else:
            picture.take(told[0], first=told[1])


def _explain(client: Client, subject: str) -> str:
    try:
        return parse(wire.Explanation, client.get(f"explain/{subject}")).text
    except CliError as error:
        return str(error)


def _draw(session: Session, picture: Picture, screen: Screen) -> int:
    width, height = os.get_terminal_size(sys.stdout.fileno())
    style = replace(session.output.style, width=width or 80, height=height or 24)
    lines = screen.lines(picture, style, datetime.now(UTC))
    # no line end after the last one: that would scroll
    session.output.draw(_HOME + "\n".join(f"{line}{_CLEAR_LINE}" for line in lines) + _CLEAR_BELOW)
    return height or 24


def _follow(client: Client, news: queue.SimpleQueue[_News], wake: int) -> None:
    """Hand over what the daemon tells, for ever; one that is away is waited for."""
    while True:
        try:
            for number, told in enumerate(client.follow("stream")):
                news.put((_change(told), number == 0))
                _poke(wake)
            news.put("cluesd has ended the stream; asking again")
        except CliError as error:
            news.put(str(error))
        _poke(wake)
        time.sleep(_RETRY_SECONDS)


def _change(told: bytes) -> wire_page.Change:
    try:
        return decode(wire_page.Change, json.loads(told))
    except (WireError, ValueError, RecursionError) as error:
        raise NotReachable(f"the answer is not cluesd's, or of another version: {error}") from error


def _poke(wake: int) -> None:
    try:
        os.write(wake, b".")
    except BlockingIOError:  # it has been woken often enough
        return


@contextmanager
def _taken(keyboard: int, wake: int) -> Iterator[None]:
    """Have the terminal's keys one by one, and its other screen to draw on; give everything back in any case."""
    before = termios.tcgetattr(keyboard)
    settings = signal.signal(signal.SIGWINCH, lambda *_: None)
    ended = signal.signal(signal.SIGTERM, _stop)
    woken = signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    try:
        tty.setcbreak(keyboard)
        mode = termios.tcgetattr(keyboard)
        mode[6][termios.VSUSP] = b"\0"  # a stopped one would leave the terminal as nobody can use it
        termios.tcsetattr(keyboard, termios.TCSADRAIN, mode)
        sys.stdout.write(_ENTER)
        yield
    finally:
        sys.stdout.write(_LEAVE)
        sys.stdout.flush()
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
        signal.set_wakeup_fd(woken)
        signal.signal(signal.SIGWINCH, settings)
        signal.signal(signal.SIGTERM, ended)


def _stop(*_: object) -> None:
    raise SystemExit(143)
