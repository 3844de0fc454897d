"""``clues logs``: what a VM has written while it booted."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

from clues.api import wire_clouds
from clues.api.codec import printable
from clues.cli.command import Command, Session
from clues.cli.output import View, parse

#: A provider may take so long to hand a console out.
_LONGER_SECONDS = 120.0

VIEW = View(
    wire_clouds.LogText,
    lambda answer, _: [printable(line) for line in answer.text.rstrip("\n").split("\n")],
    lambda answer: [answer.instance or answer.node],
)


def _run(arguments: Namespace, session: Session) -> int:
    query = [("source", "ssh" if arguments.ssh else "console")]
    raw = session.client.get(f"logs/{arguments.node}", query, longer=_LONGER_SECONDS)
    if session.output.form in ("table", "wide") and not parse(wire_clouds.LogText, raw).text.strip():
        sys.stderr.write(f"clues: the {'boot log' if arguments.ssh else 'console'} of {arguments.node} is empty\n")
        return 0
    session.output.show(raw, VIEW)
    return 0


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("node", metavar="NODE", help="a node that has a VM; router-SITE is one, too")
    parser.add_argument("--ssh", action="store_true", help="the boot log, by SSH, where `ssh:` in clues.yaml allows it")


COMMAND = Command(
    words=("logs",),
    summary="show the end of a VM's console, or its boot log",
    run=_run,
    arguments=_arguments,
    about="The provider is asked for the console, which may take some seconds and lag some minutes behind. Keys, "
    "tokens and tickets are left out. With --ssh the VM is asked itself: only one that told its host keys when it "
    "enrolled, and shows one of them now.",
    examples=(
        ("clues logs gpu-02", "why does it not come up?"),
        ("clues logs gpu-02 --ssh", "the whole boot log of one that came up"),
    ),
)
