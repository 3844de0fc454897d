"""Jobs: what those that wait are waiting for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, Metric

from clues.api.lens import Lens
from clues.metrics.picture.gauges import gauge, single
from clues.model import Verdict
from clues.planner.queue.reasons import REASONS, first_word


def families(lens: Lens) -> Iterator[Metric]:
    """Go through the families of jobs; a pending array counts with all its tasks."""
    outlooks = lens.published.plan.outlooks
    verdicts: Counter[tuple[str, str]] = Counter({(verdict.value, ""): 0 for verdict in Verdict})
    reasons: Counter[tuple[str]] = Counter()
    for job in lens.jobs:
        if not job.pending:
            continue
        count = max(1, job.count_pending)
        reasons[(_word(job.reason),)] += count
        outlook = outlooks.get(job.id)
        if outlook is not None:
            verdicts[outlook.verdict.value, outlook.pool] += count
    yield gauge(
        "clues_jobs_waiting",
        "Pending jobs by what stands between them and their nodes, and the pool that is to serve them.",
        ("verdict", "pool"),
        verdicts.items(),
    )
    yield gauge("clues_jobs_pending", "Pending jobs by Slurm's reason.", ("reason",), reasons.items())
    yield single("clues_jobs_running", "Jobs that run.", sum(1 for job in lens.jobs if job.running))
    yield from _forecasts(lens)


def _forecasts(lens: Lens) -> Iterator[Metric]:
    """Go through how good the forecasts of starts were: sums since the ledger began, so that rates can be taken."""
    accuracy, forecasts = lens.published.plan.memory.accuracy, lens.published.plan.forecasts
    known = sum(1 for one in forecasts.values() if one.known)
    yield gauge(
        "clues_forecasts",
        "Pending jobs by whether it can be told by when they start.",
        ("known",),
        ((("yes",), known), (("no",), len(forecasts) - known)),
    )
    starts = CounterMetricFamily(
        "clues_forecast_starts",
        "Jobs that started: within the first forecast that said by when, outside of it, or without one.",
        labels=("told",),
    )
    for told, amount in (("inside", accuracy.inside), ("outside", accuracy.told - accuracy.inside)):
        starts.add_metric((told,), amount)
    starts.add_metric(("not",), accuracy.untold)
    yield starts
    yield CounterMetricFamily(
        "clues_forecast_error_seconds",
        "Sum of the absolute differences between the likely start of the first forecast and the start.",
        value=accuracy.error_seconds,
    )
    yield single(
        "clues_forecast_bias_seconds",
        "How much later than likely jobs started, on average since the ledger began; negative: earlier.",
        accuracy.bias_seconds / accuracy.told if accuracy.told else 0.0,
    )


def _word(reason: str) -> str:
    """Return a reason's first word where it is one that is known: their number has to be bounded."""
    first = first_word(reason)
    return first if first in REASONS else "other"
