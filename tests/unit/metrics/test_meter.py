"""What happens is counted once, as what it is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from clues.errors import NoCapacity, Throttled
from clues.metrics import Meter, metered
from clues.model import ClaimState, LaunchOutcome
from tests.unit.builders import ago, make_claim

LABELS = {"site": "cesnet", "pool": "cpu"}


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def test_a_life_is_counted_step_by_step(registry: CollectorRegistry) -> None:
    meter = Meter(registry)
    planned = make_claim(state=ClaimState.PLANNED, launched_at=None, launches=0, enrolled_at=None, ready_at=None)
    launching = replace(planned, state=ClaimState.LAUNCHING, launches=1, launched_at=ago(seconds=90))
    enrolled = replace(launching, state=ClaimState.JOINING, enrolled_at=ago(seconds=30))
    ready = replace(enrolled, state=ClaimState.READY, ready_at=ago(seconds=10))
    for before, after in (
        (None, planned),
        (planned, launching),
        (launching, enrolled),
        (enrolled, ready),
        (ready, ready),
    ):
        meter.moved(before, after)
    value = registry.get_sample_value
    assert value("clues_launches_total", {**LABELS, "market": "on-demand"}) == 1
    assert value("clues_boot_seconds_sum", LABELS) == 60
    assert value("clues_boot_seconds_count", LABELS) == 1
    assert value("clues_join_seconds_sum", LABELS) == 20


def test_a_failure_counts_once_by_its_code(registry: CollectorRegistry) -> None:
    meter = Meter(registry)
    booting = make_claim(state=ClaimState.BOOTING)
    failed = replace(booting, state=ClaimState.FAILED, failure="boot")
    meter.moved(booting, failed)
    meter.moved(failed, replace(failed, state=ClaimState.GONE))
    assert registry.get_sample_value("clues_claim_failures_total", {**LABELS, "failure": "boot"}) == 1


def test_a_vm_that_was_found_tells_no_boot_time(registry: CollectorRegistry) -> None:
    Meter(registry).moved(None, make_claim(launched_at=ago(minutes=9), enrolled_at=ago(minutes=8)))
    assert registry.get_sample_value("clues_boot_seconds_count", LABELS) is None


class _Cloud:
    """A connector that has no room, is throttled when it lists, and has a word of its own."""

    batch = 7

    def launch(self, requests: list[str]) -> list[LaunchOutcome]:
        return [LaunchOutcome(one, error=NoCapacity("full")) for one in requests]

    def list_instances(self) -> None:
        raise Throttled("slowly")

    def quota(self) -> None:
        raise ZeroDivisionError


def test_calls_count_by_operation_and_outcome(registry: CollectorRegistry) -> None:
    cloud = metered(_Cloud(), "aws", Meter(registry))  # type: ignore[arg-type]
    assert cloud.launch(["k"])[0].error is not None  # type: ignore[list-item]
    with pytest.raises(Throttled):
        cloud.list_instances()
    with pytest.raises(ZeroDivisionError):
        cloud.quota()
    assert cloud.batch == 7  # type: ignore[attr-defined]

    def count(operation: str, outcome: str) -> float | None:
        labels = {"site": "aws", "operation": operation, "outcome": outcome}
        return registry.get_sample_value("clues_provider_request_seconds_count", labels)

    assert count("launch", "no-capacity") == count("list_instances", "throttled") == count("quota", "unforeseen") == 1
