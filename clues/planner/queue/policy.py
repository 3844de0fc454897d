"""Jobs that a new node would not help: what they wait for, by Slurm's word or by what was learnt."""

from __future__ import annotations

from clues.model import Job, Outlook, Verdict
from clues.planner.queue.jobclass import fingerprint
from clues.planner.queue.reasons import Need, need_of
from clues.planner.view import View
from clues.units import show_duration


def without_nodes(job: Job, view: View) -> Outlook | None:
    """Return the outlook of a job that nodes do not help; None when they would."""
    need = need_of(job.reason)
    if need is Need.WAITS:
        return Outlook(job.id, Verdict.WAITS, f"waits for something else than nodes: {job.reason}")
    if need is Need.NEVER:
        return Outlook(job.id, Verdict.NEVER, f"no node would help: {job.reason}")
    if need is Need.UNKNOWN:
        text = f"pending for {job.reason!r}, a reason that is not known here: nothing is bought for it"
        return Outlook(job.id, Verdict.UNKNOWN, text)
    if job.dependency:
        return Outlook(job.id, Verdict.WAITS, f"waits for other jobs: {job.dependency}")
    # one that could start as soon as it was submitted has no begin time: our clock lags behind one that was set
    begin = job.eligible if job.eligible != job.submitted else None
    if begin is not None and begin > view.now and not is_backfills(job):
        return Outlook(job.id, Verdict.WAITS, f"may not start before {begin:%Y-%m-%d %H:%M:%S} UTC")
    if job.count <= 0:
        return Outlook(job.id, Verdict.WAITS, "its array's throttle is reached")
    misread = view.world.memory.misread.get(job.id)
    if misread is not None and misread.fingerprint == fingerprint(job):
        retry = show_duration(view.settings.pace.misread_retry)
        text = (
            f"node {misread.node} stood open for it and it did not start; nothing is bought for it again "
            f"until the job changes (scontrol update) or {retry} have passed"
        )
        return Outlook(job.id, Verdict.MISREAD, text)
    return None


def is_backfills(job: Job) -> bool:
    """Whether the start that Slurm tells may be its backfill's guess instead of the user's ``--begin``.

    While all fitting nodes are closed there is no guess; Slurm 22.05 then says ReqNodeNotAvail of a job that may not
    start yet, until its next scheduling pass.
    """
    return job.reason.startswith(("Resources", "Priority"))
