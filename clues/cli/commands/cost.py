"""``clues cost``: what was spent, told apart as one likes."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace

from clues.api import wire_records as wire
from clues.cli import words
from clues.cli.command import Command, Session
from clues.cli.output import View, parse
from clues.cli.tables import Column, Style, table

#: What an empty cell means on a screen.
_NOBODY = {"pool": "(routers)", "account": "(no account)", "market": "(unknown)"}
#: ... where no user, QOS or job stands.
_NO_JOB = {"idle": "(idle)", "router": "(routers)", "unknown": "(unknown)"}


def _columns(answer: wire.CostList) -> tuple[Column[wire.CostRow], ...]:
    def cell(key: str) -> Column[wire.CostRow]:
        def text(row: wire.CostRow) -> str:
            nobody = _NO_JOB.get(row.use, words.NOTHING) if key in wire.OF_JOBS else _NOBODY.get(key, words.NOTHING)
            return getattr(row, key) or nobody

        return Column(key.upper(), text, least=8, essential=True)

    amount: Column[wire.CostRow] = Column(
        answer.currency or "AMOUNT", lambda row: f"{row.amount:.2f}", right=True, essential=True
    )
    return (*(cell(key) for key in answer.by if key in wire.COST_KEYS), amount)


def _lines(answer: wire.CostList, style: Style) -> list[str]:
    when = f"from {words.local_time(answer.since)} to {words.local_time(answer.until)}"
    total = f"{answer.total:.2f} {answer.currency}".strip()
    if answer.user:
        when += f", for jobs of {answer.user}"
    if not answer.rows:
        return [style.cut(f"nothing was spent {when}")]
    return [*table(answer.rows, _columns(answer), style), "", style.cut(f"total {total} {when}")]


VIEW = View(
    wire.CostList,
    _lines,
    lambda answer: ["/".join(getattr(row, key) or words.NOTHING for key in answer.by) for row in answer.rows],
)


def _csv(answer: wire.CostList) -> str:
    """Return rows for a spreadsheet, the amounts with all their digits and a point."""
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    by = [key for key in answer.by if key in wire.COST_KEYS]
    by += [] if wire.OF_JOBS.isdisjoint(by) else ["use"]
    writer.writerow([*by, "amount", "currency"])
    writer.writerows([*(getattr(row, key) for key in by), f"{row.amount:.4f}", answer.currency] for row in answer.rows)
    return text.getvalue()


def _run(arguments: Namespace, session: Session) -> int:
    query: list[tuple[str, str | int | float]] = [("by", key) for key in arguments.by]
    query += [(name, text) for name in ("since", "until") if (text := getattr(arguments, name))]
    raw = session.client.get("cost", query)
    if session.output.form == "csv":
        session.output.write(_csv(parse(wire.CostList, raw)))
    else:
        session.output.show(raw, VIEW)
    return 0


def _keys(text: str) -> list[str]:
    keys = text.split(",")
    for key in keys:
        if key not in wire.COST_KEYS:
            raise ArgumentTypeError(f"{key!r} is not one of {', '.join(wire.COST_KEYS)}")
    return keys


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--by",
        type=_keys,
        default=["pool"],
        metavar="KEY[,KEY...]",
        help=f"tell it apart by {', '.join(wire.COST_KEYS)}, or by several of them (pool)",
    )
    parser.add_argument(
        "--since",
        metavar="TIME",
        help="from this day (2026-11-01), month (2026-11) or time on (this month's first day)",
    )
    parser.add_argument("--until", metavar="TIME", help="before this day, month or time (now)")


COMMAND = Command(
    words=("cost",),
    summary="show what was spent, by pool, site, market, account, user, QOS, job, day or month",
    run=_run,
    arguments=_arguments,
    about="What the ledger has booked: the price of each VM for the time that its provider charges, by the hour, also "
    "for the time in which no daemon ran. Days begin in the time zone of the budgets. An account pays for a VM while "
    "its jobs run there, and for its start; what nobody's job used stands under no account. By user, QOS and job it is "
    "shared out with Slurm's accounting (sacct, where there is a slurmdbd): what is booked for an account goes to its "
    "jobs by the time and the part of the VM's CPUs or GPUs that they held, a VM's start to the job that it was bought "
    "for; what nobody used is idle. The sum is always what is booked. Who is no operator sees what their own jobs "
    "cost. With `-o csv` there is one row for each line, for a spreadsheet; routers have no pool, what nobody used no "
    "account, and `use` says why no user stands there.",
    examples=(
        ("clues cost", "this month, by pool"),
        ("clues cost --by user,job --since 2026-11", "what each job cost"),
        ("clues cost --by day,site --since 2026-11-01 --until 2026-11-08", "a week"),
        ("clues cost --by month,account --since 2026-01 -o csv > 2026.csv", "the year's bill of each account"),
    ),
    formats={"csv": "rows for a spreadsheet: the keys, amount, currency"},
)
