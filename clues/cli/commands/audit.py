"""``clues audit``: who did what, and who tried."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from clues.api import wire_records as wire
from clues.cli import words
from clues.cli.command import Command, Session, how_many
from clues.cli.output import View
from clues.cli.tables import Column, Style, table

_COLUMNS: tuple[Column[wire.DeedView], ...] = (
    Column("WHEN", lambda one: words.local_time(one.at), essential=True),
    Column("WHO", lambda one: one.who, least=8, essential=True),
    Column("IDENTITY", lambda one: one.identity or words.NOTHING, least=8, wide=True),
    Column("WAY", lambda one: one.way, wide=True),
    Column("RESULT", lambda one: f"{one.result} {one.status}", essential=True),
    Column("DID", lambda one: f"{one.act} {one.target}".strip(), least=20, essential=True),
    Column("WHY", lambda one: one.detail, least=10),
)


def _lines(answer: wire.AuditList, style: Style) -> list[str]:
    if not answer.deeds:
        return ["nobody did or tried anything"]
    more = ["", "there are older ones: -n N shows more"] if answer.next else []
    return [*table(answer.deeds, _COLUMNS, style), *more]


VIEW = View(wire.AuditList, _lines, lambda answer: [str(one.id) for one in answer.deeds])


def _run(arguments: Namespace, session: Session) -> int:
    query: list[tuple[str, str | int | float]] = [("limit", arguments.number)]
    query += [("since", arguments.since)] if arguments.since else []
    session.output.show(session.client.get("audit", query), VIEW)
    return 0


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--since", metavar="TIME", help="from this day (2026-11-01), month (2026-11) or time on")
    parser.add_argument(
        "-n", "--number", type=how_many, default=20, metavar="N", help="the latest N (20; at most 1000)"
    )


COMMAND = Command(
    words=("audit",),
    summary="show who did what, by which way, and who tried in vain",
    run=_run,
    arguments=_arguments,
    about="Every call that acts, and every attempt that was refused because its caller may not: the latest first, kept "
    "for 400 days in the ledger, and one line of JSON each in the journal (`journalctl -u cluesd -g 'clues.audit'`). "
    "For operators only. What the daemon decides by itself is in `clues events`.",
    examples=(
        ("clues audit --since 2026-11-01", "the month so far"),
        ("clues audit -o json | jq '.deeds[] | select(.result == \"refused\")'", "who tried in vain"),
    ),
)
