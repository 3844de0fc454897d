"""``clues doctor``: whether everything is right that has to be, and what to do about what is not."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from clues.api import wire_clouds
from clues.api.codec import printable
from clues.cli import words
from clues.cli.client import DEFAULT_SOCKET
from clues.cli.command import Command, Session
from clues.cli.commands.offline import DEFAULT_FILE, find
from clues.cli.output import View
from clues.cli.tables import Column, Style, table

COLUMNS: tuple[Column[wire_clouds.FindingView], ...] = (
    Column("ABOUT", lambda one: one.about, essential=True),
    Column("TOPIC", lambda one: one.topic, least=10, essential=True),
    Column("VERDICT", lambda one: one.verdict, essential=True),
    Column("FOUND", lambda one: one.text, least=24, essential=True),
    Column("WHAT TO DO", lambda one: one.cure or words.NOTHING, least=16, essential=True),
)


def _lines(answer: wire_clouds.Diagnosis, style: Style) -> list[str]:
    counts = {verdict: sum(one.verdict == verdict for one in answer.findings) for verdict in wire_clouds.VERDICTS}
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    # on a narrow screen sentences would be cut off: each gets a line of its own
    if style.width is not None and not style.wide:
        return [*_in_full(answer, style), "", told]
    return [*table(answer.findings, COLUMNS, style), "", told]


def _in_full(answer: wire_clouds.Diagnosis, style: Style) -> list[str]:
    lines: list[str] = []
    for one in answer.findings:
        verdict = style.paint(one.verdict, f"{one.verdict:<7}")
        lines.append(f"{verdict}  {printable(f'{one.about}: {one.topic}: {one.text}')}")
        if one.cure and one.verdict != "good":
            lines.append(f"{'':<9}-> {printable(one.cure)}")
    return lines


VIEW = View(wire_clouds.Diagnosis, _lines, lambda answer: [f"{one.about}:{one.topic}" for one in answer.findings])


def _run(arguments: Namespace, session: Session) -> int:
    given = [] if session.client.path == DEFAULT_SOCKET else [f"--socket={session.client.path}"]
    config = [f"--config={arguments.config}"] if arguments.config else []
    deadline = [f"--deadline={arguments.deadline:g}"]
    return find("doctor")([*config, *deadline, *given, f"--output={session.output.form}", "--", *arguments.sites])


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 1 <= seconds <= 3600:
        raise ValueError(text)
    return seconds


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("sites", nargs="*", metavar="SITE", help="only these sites, and not the front-end")
    parser.add_argument("--config", metavar="FILE", help=f"the configuration ({DEFAULT_FILE})")
    parser.add_argument(
        "--deadline", type=_seconds, default=60.0, metavar="SECONDS", help="wait for an answer so long at most (60)"
    )


COMMAND = Command(
    words=("doctor",),
    summary="examine the front-end and the sites, and say what to do about what is not right",
    run=_run,
    arguments=_arguments,
    about="Looks at the configuration, the daemon, the signer and its CA, the clock, Slurm's configuration and "
    "whether it obeys the daemon's user, the overlay's range, the ports, and at each site: credentials, quota, "
    "flavors against the shapes of the pools, images, networks, prices. Nothing is changed. It needs no "
    "daemon; of one that runs it tells what that knows. Sites are looked at all at once. `unknown` means that "
    "it could not be told, which is not the same as good. Exits with 1 when something is bad.",
    examples=(
        ("clues doctor", "everything, before the first start and whenever something is odd"),
        ("clues doctor aws", "one site"),
        ("clues doctor -o json | jq '.findings[] | select(.verdict == \"bad\")'", "for a monitoring system"),
    ),
)
