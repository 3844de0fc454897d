"""``clues explain``: one paragraph about a node, a job, a pool or a site."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from clues.api import wire
from clues.api.codec import printable
from clues.cli.command import Command, Session
from clues.cli.output import View

VIEW = View(
    wire.Explanation,
    lambda answer, _: [printable(line) for line in answer.text.split("\n")],
    lambda answer: [answer.subject],
)


def _run(arguments: Namespace, session: Session) -> int:
    session.output.show(session.client.get(f"explain/{arguments.subject}"), VIEW)
    return 0


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("subject", metavar="NODE|JOB|POOL|SITE", help="what to explain; router-SITE is a node, too")


COMMAND = Command(
    words=("explain",),
    summary="tell why a node, a job, a pool or a site is as it is",
    run=_run,
    arguments=_arguments,
    examples=(
        ("clues explain 4242", "why job 4242 waits, and when it may start"),
        ("clues explain gpu-02", "what happens to a node"),
        ("clues explain aws", "what a site refused, and when it is asked again"),
        ("clues explain gpu", "what a pool's nodes would cost, and how many could be had"),
    ),
)
