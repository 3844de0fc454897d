"""Counts and durations since the daemon started: of launches, failures, boots, calls to providers, and ticks."""

from __future__ import annotations

from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Histogram

from clues.model import Claim, ClaimState

#: Seconds that a VM may take to boot, and a worker to join: from a container's to a large bare machine's.
_BOOT = (1, 2, 5, 10, 20, 30, 45, 60, 90, 120, 180, 300, 600, 900, 1800)
_CALL = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_TICK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)


class Meter:
    """Counts what happens. Its methods may be called from any thread."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._launches = Counter(
            "clues_launches",
            "VMs that a provider was asked for; a launch that is repeated counts again.",
            ["site", "pool", "market"],
            registry=registry,
        )
        self._failures = Counter(
            "clues_claim_failures",
            "VMs that came to nothing or were lost, by what made them fail.",
            ["site", "pool", "failure"],
            registry=registry,
        )
        self._boots = Histogram(
            "clues_boot_seconds",
            "Time from the launch of a VM to its enrolment.",
            ["site", "pool"],
            buckets=_BOOT,
            registry=registry,
        )
        self._joins = Histogram(
            "clues_join_seconds",
            "Time from the enrolment of a worker to its opening, or of a router to its tunnel.",
            ["site", "pool"],
            buckets=_BOOT,
            registry=registry,
        )
        self._calls = Histogram(
            "clues_provider_request_seconds",
            "Time that calls to a provider took, waits for its rate limit included, by operation and outcome.",
            ["site", "operation", "outcome"],
            buckets=_CALL,
            registry=registry,
        )
        self._ticks = Histogram(
            "clues_tick_cpu_seconds",
            "CPU time of ticks: to decide, to commit, and to send off what was decided.",
            buckets=_TICK,
            registry=registry,
        )

    def moved(self, before: Claim | None, after: Claim) -> None:
        """Count what a committed change of a claim means."""
        labels = (after.offer.site, after.pool)
        if after.launches > (before.launches if before is not None else 0):
            self._launches.labels(*labels, after.offer.market.value).inc()
        if before is None:
            return  # it was found by its tags: when it booted is not known
        if after.failure and not before.failure:
            self._failures.labels(*labels, after.failure).inc()
        if before.enrolled_at is None:
            _observe(self._boots.labels(*labels), after.launched_at, after.enrolled_at)
        if before.ready_at is None and after.state is not ClaimState.FAILED:
            _observe(self._joins.labels(*labels), after.enrolled_at, after.ready_at)

    def called(self, site: str, operation: str, outcome: str, seconds: float) -> None:
        """Count a call to a provider."""
        self._calls.labels(site, operation, outcome).observe(seconds)

    def ticked(self, cpu_seconds: float) -> None:
        """Count a tick."""
        self._ticks.observe(cpu_seconds)


def _observe(histogram: Histogram, began: datetime | None, ended: datetime | None) -> None:
    if began is not None and ended is not None:
        histogram.observe(max(0.0, (ended - began).total_seconds()))
