"""``clues top``: the cluster live in the terminal."""

from __future__ import annotations

import sys
from argparse import Namespace

from clues.cli.command import Command, Session
from clues.cli.errors import Usage


def _run(_: Namespace, session: Session) -> int:
    if session.output.form not in ("table", "wide"):
        raise Usage("`clues top` is for eyes; for programs there is `clues status --watch -o json`")
    if not (session.output.tty and sys.stdin is not None and sys.stdin.isatty()):
        raise Usage("`clues top` needs a terminal; into a pipe, see `clues status --watch`")
    from clues.cli.top.live import run  # the other commands need no terminal

    return run(session)


COMMAND = Command(
    words=("top",),
    summary="follow the cluster live, by keys",
    run=_run,
    about="Pools, nodes by state, and jobs with what they wait for and when they are expected to start; new as soon as "
    "the daemon knows. The list with `>` before its name has the keys:\n\n"
    "  arrows, PgUp, PgDn, Home, End   choose a row\n"
    "  Tab, left, right                go to another list\n"
    "  Enter                           explain the chosen node, job or pool\n"
    "  s                               sort by something else\n"
    "  /                               show only rows with a text in them; Esc ends that\n"
    "  a                               show nodes that are off, too\n"
    "  q                               quit",
    examples=(("clues top", "look on"), ("NO_COLOR=1 clues top", "without colour")),
)
