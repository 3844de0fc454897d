"""Jobs that a maintenance will find running: told in time, since nothing kills them and somebody may have to ask."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from clues.model import Claim, Job, Maintenance, Memory, Note
from clues.planner.maintenance.announcing import upcoming
from clues.planner.maintenance.closing import LEAST_AHEAD
from clues.planner.view import View
from clues.units import show_duration

#: So many jobs are named in a warning; the others are counted.
_NAMED = 8

_SOON, _ON = "soon", "on"


def jobs_past(window: Maintenance, claims: Iterable[Claim], jobs: Iterable[Job]) -> tuple[Job, ...]:
    """Return the jobs that run at a maintenance's site and may, by their limits, not have ended when it begins."""
    there = {claim.node for claim in claims if claim.offer.site == window.site and claim.live}
    if not there:
        return ()
    return tuple(
        job
        for job in jobs
        if job.running
        and not there.isdisjoint(job.nodes)
        and (job.time_limit is None or job.started is None or job.started + job.time_limit > window.begin)
    )


def warn_of_overstays(view: View, claims: Mapping[str, Claim], memory: Memory) -> tuple[Memory, list[Note]]:
    """Return what is remembered of the warnings given, and those to be given now: one when a maintenance is near, one
    when it has begun, and only while jobs run that it finds there."""
    if view.snapshot is None:
        return memory, []  # not known, which is not the same as none
    told: dict[str, str] = {}
    notes: list[Note] = []
    for site, window in upcoming(view.world.operator, view.now).items():
        mark, stage = str(window.number), _stage(window, view.now)
        before = memory.overstays.get(mark, "")
        if stage and stage != before and (jobs := jobs_past(window, claims.values(), view.snapshot.jobs)):
            # where Slurm hides jobs, users may read what is about theirs: so it is about none if it names others', too
            one_user = len({job.user for job in jobs}) == 1
            about = tuple(f"job {job.id}" for job in jobs) if one_user else ()
            notes.append(Note(view.now, "alarm", site, _words(window, jobs, view.now), about))
            before = stage
        if before:
            told[mark] = before
    return (memory if told == memory.overstays else replace(memory, overstays=told)), notes


def _stage(window: Maintenance, now: datetime) -> str:
    if window.begin <= now:
        return _ON
    return _SOON if window.begin - now <= LEAST_AHEAD else ""


def _words(window: Maintenance, jobs: tuple[Job, ...], now: datetime) -> str:
    which = ", ".join(f"{job.id} ({job.user})" for job in jobs[:_NAMED])
    more = f" and {len(jobs) - _NAMED} more" if len(jobs) > _NAMED else ""
    if window.begin <= now:
        return f"the {window} has begun, and jobs still run there: {which}{more}; they are not killed"
    left = show_duration(window.begin - now)
    return f"the {window} begins in {left}, and jobs may still run there by then: {which}{more}; they are not killed"
