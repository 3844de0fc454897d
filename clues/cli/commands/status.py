"""``clues status``: the cluster in one screen."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from clues.api import wire
from clues.api.codec import printable
from clues.cli import words
from clues.cli.command import Command, Session
from clues.cli.commands.nodes import columns as node_columns
from clues.cli.output import View
from clues.cli.tables import Column, Style, table, wrap
from clues.cli.watch import watch

#: Nodes and groups of waiting jobs that are listed where there is no screen to fill.
_NODES_IN_A_PIPE = 20
_MOST_GROUPS = 8

#: What the jobs of one verdict wait for; those not named here are worth a ``clues explain``.
_PHRASES = {
    "served": "about to start",
    "starting": "for nodes that are starting",
    "buying": "for nodes that are being bought",
    "waits": "for something else than nodes",
    "never": "for something that no node cures",
}


def _waiting(row: wire.PoolRow) -> str:
    parts = [
        f"{group.jobs} {_PHRASES[group.verdict]}"
        if group.verdict in _PHRASES
        else f"{group.jobs}: clues explain {group.example}"
        for group in row.waiting
    ]
    return f"{row.jobs_waiting:<4}{', '.join(parts)}".rstrip()


POOL_COLUMNS: tuple[Column[wire.PoolRow], ...] = (
    Column("POOL", lambda row: row.name, essential=True),
    Column("UP", lambda row: str(row.up), right=True, essential=True),
    Column("BUSY", lambda row: str(row.busy), right=True),
    Column("IDLE", lambda row: str(row.idle), right=True),
    Column("STARTING", lambda row: str(row.starting), right=True, essential=True),
    Column("CLOSED", lambda row: str(row.closed), right=True),
    Column("JOBS WAITING", _waiting, least=12, essential=True),
)

GROUP_COLUMNS: tuple[Column[wire.WaitingJobs], ...] = (
    Column("JOBS WAITING", lambda row: str(row.jobs), essential=True),
    Column("SUCH AS", lambda row: row.example, essential=True),
    Column("POOL", lambda row: row.pool or words.NOTHING),
    Column("STATE", lambda row: row.verdict),
    Column("WHY", lambda row: row.why or words.NOTHING, least=20, essential=True),
)


def lines(status: wire.ClusterStatus, style: Style) -> list[str]:
    """Return the screen; nodes are listed as far as the height goes."""
    if status.state == "standby":  # it knows nothing of nodes and jobs: nothing is not none
        first = f"{printable(status.cluster)}    {style.paint(status.state)}"
        return [first, *(style.cut(f"trouble   {printable(one)}") for one in status.troubles)]
    above = [*_head(status, style), "", *table(status.pools, POOL_COLUMNS, style)]
    below: list[str] = []
    # Jobs that clues need not cure are told in the pools' rows.
    groups = [group for group in status.jobs_waiting if group.verdict not in ("waits", "served")]
    if groups:
        below = ["", *table(groups[:_MOST_GROUPS], GROUP_COLUMNS, style)]
        if len(groups) > _MOST_GROUPS:
            below.append("more: clues jobs")
    if not status.nodes:
        return above + below
    room = _NODES_IN_A_PIPE if style.height is None else max(3, style.height - len(above) - len(below) - 4)
    shown = status.nodes if len(status.nodes) == status.nodes_not_off <= room else status.nodes[: room - 1]
    nodes = ["", *table(shown, node_columns(status.currency), style)]
    if len(shown) < status.nodes_not_off:
        nodes.append(f"{status.nodes_not_off - len(shown)} more that are not off: clues nodes")
    return above + nodes + below


def _head(status: wire.ClusterStatus, style: Style) -> list[str]:
    starting = f", {status.nodes_starting} starting" if status.nodes_starting else ""
    budget = "" if status.budget_per_day is None else f" of {words.money(status.budget_per_day)}"
    cost = f"{status.cost_per_hour:.2f} {status.currency}/h, today {status.spent_today:.2f}{budget} {status.currency}"
    nodes = f"{status.nodes_up} of {status.nodes_total} nodes up{starting}"
    first = wrap([printable(status.cluster), status.state, nodes, cost], style, 8)
    first[0] = first[0].replace(status.state, style.paint(status.state), 1) if style.colour else first[0]
    ages = [_seen(one, " ago" if at == 0 else "") for at, one in enumerate(status.observations)]
    seen = wrap(["seen", *ages], style, 7)
    return [
        *first,
        *seen,
        *_budgets(status, style),
        *(_link(one, style) for one in status.links),
        *(style.cut(f"trouble   {printable(one)}") for one in status.troubles),
    ]


def _budgets(status: wire.ClusterStatus, style: Style) -> list[str]:
    """Return how all budgets stand but that of the cluster's day, which the first line tells."""
    told = [
        f"{one.whose} {_PERIODS.get(one.period, one.period)} {one.spent:.2f} of {words.money(one.limit)}"
        for one in status.budgets
        if (one.whose, one.period) != ("the cluster", "day")
    ]
    return wrap(["budget", *(printable(one) for one in told)], style, 7) if told else []


_PERIODS = {"hour": "this hour", "day": "today", "month": "this month"}


def _link(link: wire.LinkView, style: Style) -> str:
    """Return one line about a site that tunnels join."""
    what = "router" if link.attach == "router" else f"{link.tunnels_up} of {link.tunnels} tunnels"
    parts = [
        f"{what} {link.state} {words.age(link.age_seconds)}",
        f"{link.workers} worker{'' if link.workers == 1 else 's'}",
        f"{words.size(link.received)} in {words.size(link.sent)} out",
    ]
    why = f": {link.reason}" if link.reason else ""
    return style.cut(printable(f"net    {link.site} {', '.join(parts)}{why}"))


def _seen(one: wire.Observation, ago: str) -> str:
    seen = "not yet" if one.age_seconds is None else words.age(one.age_seconds) + ago
    return printable(f"{one.source} {seen}" + (f": {one.error}" if one.error else ""))


VIEW = View(wire.ClusterStatus, lines, lambda status: [status.cluster])


def _run(arguments: Namespace, session: Session) -> int:
    height = session.output.style.height
    most = {"table": height or _NODES_IN_A_PIPE, "wide": height or _NODES_IN_A_PIPE, "name": 0}
    query = [("nodes", most.get(session.output.form, 100))]
    if arguments.watch is not None:
        return watch(session, "status", query, VIEW, arguments.watch)
    session.output.show(session.client.get("status", query), VIEW)
    return 0


def add_watch(parser: ArgumentParser) -> None:
    """Add ``--watch``."""
    parser.add_argument(
        "--watch",
        nargs="?",
        type=_seconds,
        const=2.0,
        metavar="SECONDS",
        help="show it again at every change, and at least so often (2)",
    )


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0.2 <= seconds <= 60:
        raise ValueError(text)
    return seconds


COMMAND = Command(
    words=("status",),
    summary="show the cluster in one screen",
    run=_run,
    arguments=add_watch,
    about="Pools in numbers, nodes that are not simply off, jobs that wait and why. The line `seen` tells how old the "
    "last good look at Slurm and at each site is, and what went wrong since.",
    examples=(
        ("clues status", "one look"),
        ("clues status --watch", "a screen that follows the cluster; Ctrl-C ends it"),
        ("clues status -o json | jq .cost_per_hour", "one number of it"),
    ),
)
