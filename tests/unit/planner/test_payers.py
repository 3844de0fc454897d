"""Who pays for a VM."""

from __future__ import annotations

import pytest

from clues.model import ClusterSnapshot, Request
from clues.planner.money.payers import payers
from tests.unit.builders import NOW, make_claim, make_job


def shares(*jobs: tuple[str, int, tuple[str, ...]], used: bool = True) -> dict[str, float]:
    queue = tuple(
        make_job(str(number), "RUNNING", account=account, request=Request(cpus_total=cpus), nodes=nodes)
        for number, (account, cpus, nodes) in enumerate(jobs)
    )
    claim = make_claim(account="astronomy", used_at=NOW if used else None)
    return dict(payers([claim], ClusterSnapshot(NOW, {}, queue))[claim.key])


def test_jobs_pay_by_their_cpus_on_the_node() -> None:
    paid = shares(("physics", 4, ("cpu-1", "cpu-2")), ("biology", 1, ("cpu-1",)), ("", 1, ("cpu-1",)), used=False)
    assert paid == pytest.approx({"physics": 0.5, "biology": 0.25, "": 0.25})
    assert shares(("physics", 1, ("cpu-1",))) == {"physics": 1.0}


def test_the_boot_is_paid_by_whom_it_was_bought_for_and_idle_time_by_nobody() -> None:
    assert shares(("physics", 4, ("cpu-2",)), used=False) == {"astronomy": 1.0}
    assert shares(("physics", 4, ("cpu-2",))) == {"": 1.0}
    claim = make_claim(account="astronomy")
    assert payers([claim], None) == {claim.key: {"astronomy": 1.0}}
