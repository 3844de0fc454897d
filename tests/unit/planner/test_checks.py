"""A worker that is less than its node promises is not opened, and the reason names found and wanted."""

from __future__ import annotations

from datetime import timedelta

import pytest

from clues.model import Facts, Gpu, Pace, Resources, make_gpus
from clues.planner.claims.checks import check_facts

SHAPE = Resources(8, 60000, (Gpu("a10", 2),))
PACE = Pace(memory_share=0.9, clock_skew=timedelta(seconds=60))


def facts(
    cpus: int = 8, memory: int = 60000, gpus: tuple[tuple[str, int], ...] = (("a10", 2),), skew: float = 0
) -> Facts:
    return Facts(cpus, memory, Resources(gpus=make_gpus(Gpu(*gpu) for gpu in gpus)), skew)


@pytest.mark.parametrize(
    "good",
    [
        facts(),
        facts(cpus=16, memory=99999),
        facts(memory=54000),
        facts(gpus=(("", 2),)),
        facts(gpus=(("a10", 1), ("", 1))),
        facts(gpus=(("a10", 4), ("t4", 1))),
        facts(skew=60),
        facts(skew=-60),
    ],
)
def test_what_is_enough_is_opened(good: Facts) -> None:
    assert check_facts(good, SHAPE, PACE) == []


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (facts(cpus=7), "it has 7 CPUs, 8 are wanted"),
        (
            facts(memory=53999),
            "it has 53999 MiB of memory, at least 54000 are wanted (90% of 60000 MiB)",
        ),
        (facts(gpus=()), "it has no GPU, 2 GPUs a10 wanted"),
        (facts(gpus=(("a10", 1),)), "it has 1 GPU a10, 2 GPUs a10 wanted"),
        (facts(gpus=(("t4", 2),)), "it has 2 GPUs t4, 2 GPUs a10 wanted"),
        (facts(gpus=(("", 1),)), "it has 1 GPU, 2 GPUs a10 wanted"),
        (facts(gpus=(("t4", 1), ("", 1))), "it has 1 GPU and 1 GPU t4, 2 GPUs a10 wanted"),
        (facts(skew=61), "its clock is 61 s ahead, at most 60 s are allowed"),
        (facts(skew=-3600), "its clock is 3600 s behind, at most 60 s are allowed"),
    ],
)
def test_what_is_less_is_told(bad: Facts, reason: str) -> None:
    assert check_facts(bad, SHAPE, PACE) == [reason]


def test_every_reason_is_told_at_once() -> None:
    assert len(check_facts(Facts(clock_skew_seconds=1e6), SHAPE, PACE)) == 4


def test_gpus_of_any_type_are_counted_in_all() -> None:
    shape = Resources(gpus=(Gpu("", 1), Gpu("a10", 1)))
    assert check_facts(facts(gpus=(("a10", 1), ("t4", 1))), shape, PACE) == []
    assert check_facts(facts(gpus=(("a10", 1),)), shape, PACE) != []
