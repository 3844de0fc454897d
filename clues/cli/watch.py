"""Screens that follow the cluster.

The daemon answers as soon as there is a newer tick, or after the given seconds, when only ages have changed.
A terminal is drawn over from its upper left corner, each line cleared to its end, so that nothing flickers; a
pipe gets one block after the other.
"""

from __future__ import annotations

import json
import sys
import time
from typing import TypeVar

from clues.cli.client import Query
from clues.cli.command import Session
from clues.cli.errors import Failed, NotReachable
from clues.cli.output import View, parse

T = TypeVar("T")

_HOME, _CLEAR, _CLEAR_LINE, _CLEAR_BELOW = "\x1b[H", "\x1b[2J", "\x1b[K", "\x1b[J"
_HIDE_CURSOR, _SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
#: However fast the ticks come, nobody reads faster.
_SHORTEST_SECONDS = 0.2


def watch(session: Session, path: str, query: Query, view: View[T], seconds: float) -> int:
    """Show *path* again and again; only Ctrl-C, or the first request failing, ends it."""
    drawn = session.output.tty and session.output.form in ("table", "wide")
    raw = session.client.get(path, query)
    try:
        if drawn:
            session.output.draw(_HIDE_CURSOR + _CLEAR)
        while True:
            _show(session, raw, view, drawn)
            time.sleep(_SHORTEST_SECONDS)
            raw = _next(session, path, [*query, ("wait", _tick(raw)), ("timeout", seconds)], seconds, drawn)
    finally:
        if drawn:
            session.output.draw(_SHOW_CURSOR)


def _next(session: Session, path: str, query: Query, seconds: float, drawn: bool) -> bytes:
    """Return the next answer; a daemon that is away (restarted, say) is waited for."""
    told = ""
    while True:
        try:
            return session.client.get(path, query, longer=seconds)
        except (NotReachable, Failed) as error:  # away, or back and without a first tick yet
            if told != str(error):
                told = str(error)
                sys.stderr.write(f"{_HOME + _CLEAR_LINE if drawn else ''}clues: {error}\n")
                sys.stderr.flush()
        time.sleep(min(seconds, 1.0))


def _show(session: Session, raw: bytes, view: View[T], drawn: bool) -> None:
    if not drawn:
        session.output.show(raw, view)
        if session.output.form in ("table", "wide", "yaml"):
            session.output.write("---" if session.output.form == "yaml" else "\n")
        return
    style = session.output.style
    lines = list(view.lines(parse(view.kind, raw), style))[: style.height - 1 if style.height else None]
    session.output.draw(_HOME + "".join(f"{line}{_CLEAR_LINE}\n" for line in lines) + _CLEAR_BELOW)


def _tick(raw: bytes) -> int:
    return int(json.loads(raw).get("tick", 0))
