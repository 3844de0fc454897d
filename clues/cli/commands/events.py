"""``clues events``: the log of decisions and of what came of them."""

from __future__ import annotations

import json
import sys
import time
from argparse import ArgumentParser, Namespace

from clues.api import wire
from clues.api.codec import printable
from clues.cli import words
from clues.cli.command import Command, Session, how_many
from clues.cli.errors import Failed, NotReachable
from clues.cli.output import View, parse
from clues.cli.tables import Style

_POLL_SECONDS = 25.0
_RETRY_SECONDS = 1.0


def _line(event: wire.EventView, style: Style) -> str:
    text = f"{words.local_time(event.at)}  {event.kind:<10} {event.subject:<12} {event.text}"
    return style.cut(printable(text)) if not style.wide else printable(f"{event.id:>8}  {text}")


VIEW = View(
    wire.EventList,
    lambda answer, style: [_line(event, style) for event in answer.events],
    lambda answer: [str(event.id) for event in answer.events],
)


def _run(arguments: Namespace, session: Session) -> int:
    query: list[tuple[str, str | int | float]] = [("limit", arguments.number)]
    if arguments.about:
        query.append(("about", arguments.about))
    raw = session.client.get("events", query)
    _show(raw, session, arguments.follow)
    if not arguments.follow:
        return 0
    last = parse(wire.EventList, raw).last
    query[0] = ("limit", 1000)
    told = ""
    while True:
        try:
            raw = session.client.get(
                "events", [*query, ("after", last), ("timeout", _POLL_SECONDS)], longer=_POLL_SECONDS
            )
        except (NotReachable, Failed) as error:
            # Told once, then waited for: the cursor holds over a restart.
            if told != str(error):
                told = str(error)
                sys.stderr.write(f"clues: {error}\n")
                sys.stderr.flush()
            time.sleep(_RETRY_SECONDS)
            continue
        told = ""
        last = max(last, parse(wire.EventList, raw).last)
        _show(raw, session, follow=True)


def _show(raw: bytes, session: Session, follow: bool) -> None:
    """Write events; those that are followed as JSON get a line each, since the list never ends."""
    if follow and session.output.form == "json":
        for event in json.loads(raw).get("events", []):
            session.output.write(json.dumps(event))
    else:
        session.output.show(raw, VIEW)


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what happens next, until Ctrl-C")
    parser.add_argument("--about", metavar="NAME", help="only those about this node, job, site or pool")
    parser.add_argument(
        "-n", "--number", type=how_many, default=20, metavar="N", help="begin with the newest N (20; at most 1000)"
    )


COMMAND = Command(
    words=("events",),
    summary="show what was decided, why, and what came of it",
    run=_run,
    arguments=_arguments,
    about="Times are local; `-o json` has them in UTC. With -f and -o json each event is one line.",
    examples=(
        ("clues events -f", "look on"),
        ("clues events --about gpu-02 -n 100", "the story of one node"),
    ),
)
