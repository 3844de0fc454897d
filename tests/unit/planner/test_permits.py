"""A job that could not start for want of a licence, or for a limit, buys nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clues.model import Job, JobLimit, Plan, Verdict
from tests.unit.builders import make_settings
from tests.unit.planner.deciding import bought, cluster, job, plan

SETTINGS = make_settings()


def decided(*licenses: str, free: int = 2, count: int = 1) -> Plan:
    jobs = [job(n, cpus=8, licenses=text, count=count, count_pending=count) for n, text in enumerate(licenses, 1)]
    world = cluster(jobs, settings=SETTINGS)
    assert world.lrms.value is not None
    snapshot = replace(world.lrms.value, licenses={"matlab": free, "ansys@flex": 0})
    return plan(replace(world, lrms=replace(world.lrms, value=snapshot)), SETTINGS)


def test_earlier_jobs_take_licences_and_the_next_that_can_start_is_bought_for() -> None:
    made = decided("matlab", "matlab:2", "", "matlab")
    assert [made.outlooks[str(n)].verdict for n in (1, 2, 3, 4)] == [
        Verdict.BUYING,
        Verdict.WAITS,
        Verdict.BUYING,
        Verdict.BUYING,
    ]
    assert made.outlooks["2"].text == "waits for licence matlab: it needs 2, 1 left for it"
    assert len(bought(made)) == 3


def test_an_array_buys_for_as_many_tasks_as_have_a_licence() -> None:
    assert len(bought(decided("matlab", count=5, free=3))) == 3


@pytest.mark.parametrize("text", ["octave:9", "matlab:9|octave", "nonsense::"])
def test_what_is_not_known_limits_nothing(text: str) -> None:
    assert len(bought(decided(text))) == 1


def test_all_of_several_licences_are_needed() -> None:
    assert bought(decided("matlab,ansys@flex:1")) == []


# --- limits ----------------------------------------------------------------------------------------------------------


def limited(*limits: JobLimit, jobs: list[Job]) -> Plan:
    world = cluster(jobs, settings=SETTINGS)
    assert world.lrms.value is not None
    snapshot = replace(world.lrms.value, limits=limits)
    return plan(replace(world, lrms=replace(world.lrms, value=snapshot)), SETTINGS)


def test_while_no_job_runs_only_as_many_are_bought_for_as_may_run() -> None:
    """Slurm says ReqNodeNotAvail of all of them as long as every node is closed."""
    two = JobLimit("MaxJobsPU of QOS normal", "jobs", 2, qos="normal", user="alice")
    jobs = [job(n, cpus=8, qos="normal", reason="ReqNodeNotAvail, UnavailableNodes:cpu-1") for n in range(1, 5)]
    made = limited(two, jobs=jobs)
    assert len(bought(made)) == 2
    assert made.outlooks["3"].verdict is Verdict.WAITS
    assert made.outlooks["3"].text == ("waits for a limit, MaxJobsPU of QOS normal (2): that many run or are to start")
    assert len(bought(limited(two, jobs=[replace(one, user="bob") for one in jobs]))) == 4


def test_what_runs_has_used_its_limit() -> None:
    four = JobLimit("GrpTRES=cpu of account physics", "cpus", 16, accounts=frozenset({"physics", "plasma"}))
    running = job(9, cpus=8, account="plasma", state="RUNNING", nodes=1)
    jobs = [job(n, cpus=8, account="physics") for n in (1, 2)]
    made = limited(four, jobs=[running, *jobs, job(3, cpus=8, account="chemistry")])
    assert [made.outlooks[str(n)].verdict for n in (1, 2, 3)] == [Verdict.BUYING, Verdict.WAITS, Verdict.BUYING]
    assert made.outlooks["2"].text.endswith("(16): it needs 8, 0 left for it")


def test_an_array_is_cut_to_its_limit() -> None:
    three = JobLimit("MaxTRESPU=node of QOS normal", "nodes", 3, user="alice")
    assert len(bought(limited(three, jobs=[job(1, cpus=8, count=9, count_pending=9)]))) == 3
