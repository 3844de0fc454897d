"""``clues jobs``: the queue as clues sees it, with what each pending job waits for."""

from __future__ import annotations

from argparse import Namespace

from clues.api import wire
from clues.cli import words
from clues.cli.command import Command, Session
from clues.cli.output import View
from clues.cli.tables import Column, table

COLUMNS: tuple[Column[wire.JobView], ...] = (
    Column("JOB", lambda job: job.id + (f" ({job.count} tasks)" if job.count > 1 else ""), essential=True),
    Column("USER", lambda job: job.user or words.NOTHING, least=6),
    Column("STATE", lambda job: job.verdict or job.state, essential=True),
    Column("POOL", lambda job: job.pool or words.NOTHING),
    Column("SINCE", lambda job: words.age(job.age_seconds)),
    Column("NODES", lambda job: words.nodes(job.nodes), least=10),
    Column("PRIORITY", lambda job: str(job.priority), right=True, wide=True),
    Column("PARTITIONS", lambda job: ",".join(job.partitions) or words.NOTHING, wide=True),
    Column("SLURM", lambda job: f"{job.state} {job.slurm_reason}".strip(), wide=True, least=12),
    Column("WHY", lambda job: job.why or words.NOTHING, least=20, essential=True),
)

VIEW = View(
    wire.JobList,
    lambda answer, style: table(answer.jobs, COLUMNS, style),
    lambda answer: [job.id for job in answer.jobs],
)


def _run(_: Namespace, session: Session) -> int:
    session.output.show(session.client.get("jobs"), VIEW)
    return 0


COMMAND = Command(
    words=("jobs",),
    summary="list the jobs and what the pending ones wait for",
    run=_run,
    about="STATE is Slurm's for a running job; for a pending one it is what stands between it and its nodes: served, "
    "starting, buying, blocked, waits, never, unknown or misread.",
    examples=(
        ("clues jobs", "running jobs first, then by priority"),
        ("clues explain 4242", "the whole story of one"),
    ),
)
