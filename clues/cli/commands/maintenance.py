"""``clues maintenance``: a site is to be empty for a time, without a job being killed for it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime

from clues.api.wire_maintenance import MaintenanceList, MaintenanceView
from clues.cli import words
from clues.cli.command import Command, Session
from clues.cli.errors import Usage
from clues.cli.moments import HOW, parse_moment
from clues.cli.output import View
from clues.cli.tables import Column, Style, table
from clues.units import parse_duration


def _minute(iso: str) -> str:
    return words.local_time(iso)[:16]


def _ahead(one: MaintenanceView) -> str:
    return words.age(one.ahead_seconds) if one.ahead_seconds is not None else "by jobs"


COLUMNS: tuple[Column[MaintenanceView], ...] = (
    Column("NUMBER", lambda one: str(one.number), right=True, essential=True),
    Column("SITE", lambda one: one.site, essential=True),
    Column("FROM", lambda one: _minute(one.begin), essential=True),
    Column("TO", lambda one: _minute(one.end), essential=True),
    Column("STATE", lambda one: one.state, essential=True),
    Column("VMS", lambda one: str(one.vms), right=True),
    Column("JOBS PAST FROM", lambda one: words.jobs(one.jobs_past_begin), least=8),
    Column("AHEAD", _ahead, wide=True),
    Column("WHO", lambda one: one.who or words.NOTHING, wide=True),
)


def _lines(answer: MaintenanceView, style: Style) -> list[str]:
    if answer.state == "cancelled":
        return [style.cut(f"{answer.site} is used as ever: maintenance {answer.number} is cancelled")]
    times = f"from {_minute(answer.begin)} to {_minute(answer.end)}"
    lines = [f"maintenance {answer.number}: {answer.site} will be empty {times}"]
    if answer.jobs_past_begin:
        jobs = words.jobs(answer.jobs_past_begin)
        lines.append(f"jobs that run there may not have ended by then, and are not killed: {jobs}")
    lines.append(f"taken back by: clues maintenance cancel {answer.number}")
    return [style.cut(line) for line in lines]


LIST = View(
    MaintenanceList,
    lambda answer, style: (
        table(answer.maintenance, COLUMNS, style) if answer.maintenance else ["No maintenance is ahead."]
    ),
    lambda answer: [str(one.number) for one in answer.maintenance],
)
VIEW = View(MaintenanceView, _lines, lambda answer: [str(answer.number)])


def _run(arguments: Namespace, session: Session) -> int:
    if arguments.what == "cancel":
        return _cancel(arguments, session)
    if arguments.number is not None:
        raise Usage(f"a number stands only behind cancel: clues maintenance cancel {arguments.number}")
    if arguments.what == "list":
        _no_times(arguments)
        session.output.show(session.client.get("maintenance"), LIST)
        return 0
    return _announce(arguments, session)


def _cancel(arguments: Namespace, session: Session) -> int:
    _no_times(arguments)
    if arguments.number is None:
        raise Usage("which one? clues maintenance cancel NUMBER, as `clues maintenance list` tells it")
    session.output.show(session.client.post(f"maintenance/{arguments.number}/cancel"), VIEW)
    return 0


def _no_times(arguments: Namespace) -> None:
    if arguments.begin or arguments.end or arguments.ahead:
        raise Usage(f"--from, --to and --ahead go with a site, not with {arguments.what}")


def _announce(arguments: Namespace, session: Session) -> int:
    if not arguments.begin or not arguments.end:
        raise Usage(f"when? clues maintenance {arguments.what} --from T --to T, where for T you {HOW}")
    begin = _read("--from", arguments.begin, datetime.now(UTC))
    body: dict[str, object] = {
        "site": arguments.what,
        "begin": begin.isoformat(),
        "end": _read("--to", arguments.end, begin).isoformat(),
    }
    if arguments.ahead:
        try:
            body["ahead_seconds"] = parse_duration(arguments.ahead).total_seconds()
        except ValueError as error:
            raise Usage(f"--ahead: {error}") from error
    session.output.show(session.client.post("maintenance", body), VIEW)
    return 0


def _read(option: str, text: str, since: datetime) -> datetime:
    try:
        return parse_moment(text, since)
    except ValueError as error:
        raise Usage(f"{option}: {error}") from error


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "what",
        nargs="?",
        default="list",
        metavar="SITE|list|cancel",
        help="announce for a site, list all, or cancel one",
    )
    parser.add_argument("number", nargs="?", type=int, metavar="NUMBER", help="which one to cancel")
    parser.add_argument("--from", dest="begin", metavar="T", help="when it has to be empty")
    parser.add_argument("--to", dest="end", metavar="T", help="until when; +2h is reckoned from --from on")
    parser.add_argument(
        "--ahead",
        metavar="TIME",
        help="take no new jobs for so long before it (2d); else as pending jobs' limits demand",
    )


COMMAND = Command(
    words=("maintenance",),
    summary="have a site empty for a time: nothing bought that could not end before, no job killed",
    run=_run,
    arguments=_arguments,
    about="Until it begins, jobs go to the site only if their time limit ends before: Slurm is given a reservation of "
    "the site's nodes. An hour ahead nothing more is bought there. Then its nodes take no new jobs; running ones go "
    "on, and are listed, and VMs are ended when they are idle. Afterwards the site is used as before. "
    f"A time: {HOW}, on this machine's clocks.",
    examples=(
        ("clues maintenance aws --from 'Sat 08:00' --to +4h", "four hours on the next Saturday"),
        ("clues maintenance upv --from now --to 'tomorrow 08:00'", "from now on"),
        ("clues maintenance upv --from +3d --to +8h --ahead 2d", "closed to new jobs two days ahead"),
        ("clues maintenance list", "what is on or ahead, and what still runs there"),
        ("clues maintenance cancel 3", "take it back, or end it early"),
    ),
)
