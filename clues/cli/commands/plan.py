"""``clues plan``: what the next tick would do and cost, with the configuration in use or another, without doing it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from clues.api import wire_plan
from clues.api.codec import printable
from clues.cli import words
from clues.cli.command import Command, Session
from clues.cli.output import View
from clues.cli.tables import Column, Style, table

#: Jobs that are listed where not all of them are asked for.
_MOST_JOBS = 20

_SAID = {"open": "opened", "drain": "drained", "end": "ended"}


def _purchase_columns(currency: str) -> tuple[Column[wire_plan.PurchaseView], ...]:
    return (
        Column("START", lambda one: str(one.count), right=True, essential=True),
        Column("POOL", lambda one: one.pool or "(router)", essential=True),
        Column("OFFER", lambda one: one.offer, essential=True),
        Column(f"{currency or 'COST'}/H EACH", lambda one: words.money(one.price_per_hour), right=True),
        Column(f"{currency or 'COST'}/H", lambda one: words.money(one.cost_per_hour), right=True, essential=True),
        Column("NODES", lambda one: words.nodes(one.nodes), least=10),
        Column("FOR JOBS", lambda one: words.jobs(one.jobs, most=4), least=8),
    )


JOB_COLUMNS: tuple[Column[wire_plan.FateView], ...] = (
    Column("JOB", lambda one: one.id, essential=True),
    Column("USER", lambda one: one.user or words.NOTHING, least=6),
    Column("STATE", lambda one: one.verdict, essential=True),
    Column("POOL", lambda one: one.pool or words.NOTHING),
    Column(
        "EXPECTED START", lambda one: words.expected(one.start_early_seconds, one.start_late_seconds), essential=True
    ),
    Column("WHY", lambda one: one.why or words.NOTHING, least=20, wide=True),
    Column("WAITS FOR", lambda one: one.waits_for or words.NOTHING, least=16, essential=True),
)


def lines(plan: wire_plan.PlanView, style: Style) -> list[str]:
    """Return what would be done, then what would become of the jobs."""
    told = [style.cut(printable(f"with {change}")) for change in plan.what_if]
    if plan.blind:
        told.append(style.cut(printable(f"Nothing would be done: {plan.blind}")))
    if plan.paused:
        told.append("Buying is paused: nothing is bought or stopped until `clues resume`.")
    if plan.purchases:
        told += ["", *table(plan.purchases, _purchase_columns(plan.currency), style)]
    elif not plan.blind:
        told.append("No VM would be started.")
    for change, said in _SAID.items():
        if nodes := [one for one in plan.changes if one.change == change]:
            why = dict.fromkeys(one.reason for one in nodes if one.reason)
            text = f"{words.nodes(one.node for one in nodes)} would be {said}: {'; '.join(why)}"
            told.append(style.cut(printable(text.removesuffix(": "))))
    now, then = plan.cost_per_hour_now, plan.cost_per_hour_then
    told.append(f"Cost {now:.2f} {plan.currency}/h now, {then:.2f} then.")
    shown = plan.jobs if style.wide else plan.jobs[:_MOST_JOBS]
    if shown:
        told += ["", *table(shown, JOB_COLUMNS, style)]
    if len(shown) < len(plan.jobs):
        told.append(f"{len(plan.jobs) - len(shown)} more: clues plan -o wide")
    return told if told[0] else told[1:]


def _names(plan: wire_plan.PlanView) -> list[str]:
    """Return the nodes that something would be done with."""
    return [*(node for one in plan.purchases for node in one.nodes), *(one.node for one in plan.changes)]


VIEW = View(wire_plan.PlanView, lines, _names)


def _run(arguments: Namespace, session: Session) -> int:
    changes = [*arguments.what_if, *(f"sites.{site}.disabled=true" for site in arguments.without)]
    session.output.show(session.client.get("plan", [("what_if", change) for change in changes]), VIEW)
    return 0


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--what-if",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="as if the configuration had this (may be given again); without a value: as if the key were not there",
    )
    parser.add_argument(
        "--without", action="append", default=[], metavar="SITE", help="as if this site were out of service"
    )


COMMAND = Command(
    words=("plan",),
    summary="show what the next tick would do and cost, without doing it",
    run=_run,
    arguments=_arguments,
    about="The daemon decides about what its last tick saw, with the configuration in use or with some of its keys "
    "changed, on a copy: nothing is committed, no provider is called, Slurm is told nothing. PATH is as in clues.yaml "
    "(`pools.gpu.idle`, `sites.aws.limits.gpus`, `budget.per_day`); it may begin with the name of a pool or a site. "
    "What can be changed stands under sites, pools, budget, pace and rates.",
    examples=(
        ("clues plan", "what comes next"),
        ("clues plan --what-if sites.aws.limits.gpus=16", "would a higher limit help, and what would it cost"),
        ("clues plan --what-if gpu.idle=30min --what-if 'budget.per_day=300 EUR'", "several changes at once"),
        ("clues plan --without aws", "as if a site were out of service"),
    ),
)
