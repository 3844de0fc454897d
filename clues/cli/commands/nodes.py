"""``clues nodes``: the pools' nodes and the VMs behind them."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from clues import hostlist
from clues.api import wire
from clues.cli import words
from clues.cli.command import Command, Session, check_hostlists
from clues.cli.output import View
from clues.cli.tables import Column, table


def columns(currency: str) -> tuple[Column[wire.NodeView], ...]:
    """Return the columns; money is in *currency*."""
    return (
        Column("NODE", lambda node: node.name, essential=True),
        Column("STATE", lambda node: node.state, essential=True),
        Column("SITE", lambda node: node.site or words.NOTHING),
        Column("OFFER", lambda node: node.offer or words.NOTHING, least=8),
        Column("SINCE", lambda node: words.age(node.age_seconds)),
        Column("JOBS", lambda node: words.jobs(node.jobs), least=6),
        Column(f"{currency or 'COST'}/H", lambda node: words.money(node.cost_per_hour), right=True),
        Column("POOL", lambda node: node.pool or words.NOTHING, wide=True),
        Column("CPUS", lambda node: str(node.cpus), right=True, wide=True),
        Column("MEMORY", lambda node: f"{node.memory_mib / 1024:.0f}G", right=True, wide=True),
        Column("GPUS", lambda node: node.gpus or words.NOTHING, wide=True),
        Column("ADDRESS", lambda node: node.address or words.NOTHING, wide=True),
        Column("INSTANCE", lambda node: node.instance or words.NOTHING, wide=True),
        Column("ORDER", lambda node: node.wish or words.NOTHING, wide=True),
        Column("SLURM", lambda node: "+".join(node.slurm) or words.NOTHING, wide=True, least=12),
        Column("REASON", lambda node: node.reason or words.NOTHING, wide=True, least=12),
    )


VIEW = View(
    wire.NodeList,
    lambda answer, style: table(answer.nodes, columns(answer.currency), style),
    lambda answer: [node.name for node in answer.nodes],
)


def _run(arguments: Namespace, session: Session) -> int:
    query: list[tuple[str, str | int | float]] = [("all", "true")] if arguments.all else []
    if arguments.nodes:
        query.append(("names", hostlist.compress(check_hostlists(arguments.nodes))))
    session.output.show(session.client.get("nodes", query), VIEW)
    return 0


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("nodes", nargs="*", metavar="NODE", help="names or hostlists; all nodes without any")
    parser.add_argument("--all", action="store_true", help="nodes outside the pools, too")


COMMAND = Command(
    words=("nodes",),
    summary="list the nodes and the VMs behind them",
    run=_run,
    arguments=_arguments,
    about="A node exists while it is off; SITE and OFFER are those of its present VM.",
    examples=(
        ("clues nodes 'gpu-[01-04]'", "four nodes; quotes keep the shell away from the brackets"),
        ("clues nodes -o wide", "with addresses, instances and Slurm's own flags"),
        ("clues nodes -o json | jq -r '.nodes[] | select(.state == \"failed\") | .name'", "those that failed"),
    ),
)
