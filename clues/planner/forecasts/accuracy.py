"""How good the forecasts were: every start is held against what was first told of it.

The first forecast that says by when is kept for each pending job, since that is the one that its user plans by; a later
one is easier.  A job that vanishes without having started is not counted.  On the way it is noted which share of its
time limit each job used, which makes the next forecasts better.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from clues.model import Accuracy, ClusterSnapshot, Forecast, Job, Memory, Seen

#: So many jobs' shares are kept, those of the jobs that ended last.
RUNS_KEPT = 100

#: Slurm tells starts to the second.
_TICK = timedelta(seconds=1)


def learn_from_queue(
    memory: Memory, seen: Seen, snapshot: ClusterSnapshot | None, forecasts: Mapping[str, Forecast]
) -> tuple[Memory, Seen]:
    """Return *memory* with what the starts and ends since the last look teach, and what this look saw.

    :param seen: what the last one saw. Without a snapshot it stands, and nothing is learnt.
    """
    if snapshot is None or snapshot.taken_at == seen.at:
        return memory, seen
    promised = dict(seen.promised)
    accuracy = memory.accuracy
    running: dict[str, tuple[datetime, timedelta]] = {}
    for job in snapshot.jobs:
        if not job.running or job.started is None:
            continue
        if job.time_limit:
            running[job.id] = (job.started, job.time_limit)
        name = _promise_of(job, seen)
        if name in promised:
            accuracy = _judged(accuracy, promised.pop(name), job.started)
    ended = [one for name, one in seen.running.items() if name not in running and name not in forecasts]
    if ended or accuracy is not memory.accuracy:
        used = [round((snapshot.taken_at - started) / limit, 3) for started, limit in ended]
        runs = (*memory.runs, *(one for one in used if 0 <= one <= 2))[-RUNS_KEPT:]
        memory = replace(memory, runs=runs, accuracy=accuracy)
    kept = {name: promised.get(name) or (told if told.known else None) for name, told in forecasts.items()}
    return memory, Seen(snapshot.taken_at, kept, running)


def _promise_of(job: Job, seen: Seen) -> str:
    """Return under which name a start was forecast: an array's next task stands under the array's."""
    if not job.array_id or job.id in seen.promised:
        return job.id
    fresh = seen.at is not None and job.started is not None and job.started >= seen.at - _TICK
    return job.array_id if fresh else ""


def _judged(accuracy: Accuracy, told: Forecast | None, started: datetime) -> Accuracy:
    if told is None or told.late is None or told.early is None:
        return replace(accuracy, untold=accuracy.untold + 1)
    error = (started - (told.likely or told.late)).total_seconds()
    inside = told.early - _TICK <= started <= told.late + _TICK
    return replace(
        accuracy,
        told=accuracy.told + 1,
        inside=accuracy.inside + inside,
        bias_seconds=round(accuracy.bias_seconds + error, 1),
        error_seconds=round(accuracy.error_seconds + abs(error), 1),
    )
