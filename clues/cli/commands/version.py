"""``clues version``: of this command, and of the daemon if it answers."""

from __future__ import annotations

import json
from argparse import Namespace

from clues import __version__
from clues.api import wire
from clues.cli import words
from clues.cli.command import Command, Session
from clues.cli.errors import CliError
from clues.cli.output import View
from clues.cli.tables import Style


def _lines(answer: wire.VersionInfo, _: Style) -> list[str]:
    mine = f"clues {__version__}"
    if not answer.version:
        return [mine, "cluesd does not answer"]
    since = f", cluster {answer.cluster}, up since {words.local_time(answer.started_at)}" if answer.cluster else ""
    return [mine, f"cluesd {answer.version}{since}"]


VIEW = View(wire.VersionInfo, _lines, lambda _: [__version__])


def _run(_: Namespace, session: Session) -> int:
    try:
        raw = session.client.get("version")
    except CliError:
        # This command tells its own version with or without a daemon; `clues status` tells why there is none.
        raw = json.dumps({"version": "", "apiVersion": wire.VERSION}).encode()
    session.output.show(raw, VIEW)
    return 0


COMMAND = Command(
    words=("version",),
    summary="show the versions of clues and of the daemon",
    run=_run,
    about="Works without the daemon, too.",
)
