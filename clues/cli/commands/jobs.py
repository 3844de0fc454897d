"""``clues jobs``: the queue as clues sees it, with what each pending job waits for and when it is expected to start."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from clues.api import wire
from clues.cli import words
from clues.cli.command import Command, Session
from clues.cli.output import View
from clues.cli.tables import Column, table


def _expected(job: wire.JobView) -> str:
    return words.expected(job.start_early_seconds, job.start_late_seconds) if job.verdict else words.NOTHING


def _nodes(job: wire.JobView) -> str:
    return words.nodes(job.nodes) if job.nodes else str(job.nodes_wanted)


COLUMNS: tuple[Column[wire.JobView], ...] = (
    Column("JOB", lambda job: job.id + (f" ({job.count} tasks)" if job.count > 1 else ""), essential=True),
    Column("USER", lambda job: job.user or words.NOTHING, least=6),
    Column("STATE", lambda job: job.verdict or job.state, essential=True),
    Column("POOL", lambda job: job.pool or words.NOTHING),
    Column("NODES", _nodes, least=5),
    Column("SINCE", lambda job: words.age(job.age_seconds)),
    Column("EXPECTED START", _expected, essential=True),
    Column("PRIORITY", lambda job: str(job.priority), right=True, wide=True),
    Column("PARTITIONS", lambda job: ",".join(job.partitions) or words.NOTHING, wide=True),
    Column("SLURM", lambda job: f"{job.state} {job.slurm_reason}".strip(), wide=True, least=12),
    Column("WHY", lambda job: job.why or words.NOTHING, least=20, wide=True),
    Column("WAITS FOR", lambda job: job.waits_for or words.NOTHING, least=16, essential=True),
)

VIEW = View(
    wire.JobList,
    lambda answer, style: table(answer.jobs, COLUMNS, style),
    lambda answer: [job.id for job in answer.jobs],
)


def _run(arguments: Namespace, session: Session) -> int:
    query = () if arguments.all else (("pending", 1),)
    session.output.show(session.client.get("jobs", query), VIEW)
    return 0


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--all", action="store_true", help="the running ones, too")


COMMAND = Command(
    words=("jobs",),
    summary="list the pending jobs, what they wait for, and when they are expected to start",
    run=_run,
    arguments=_arguments,
    about="STATE is what stands between a pending job and its nodes: served, starting, buying, blocked, waits, never, "
    "unknown or misread; with --all it is Slurm's for a running job. EXPECTED START follows from the boots seen of "
    "each offer, the time limits of the jobs that run and of those ahead in the queue, and what can be bought again "
    "later; what nobody knows is unknown. Of an array it is that of its next task.",
    examples=(
        ("clues jobs", "the pending ones, by priority"),
        ("clues jobs --all -o wide", "the running ones first, with Slurm's own words"),
        ("clues explain 4242", "the whole story of one"),
    ),
)
