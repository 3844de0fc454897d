"""Every reason of Slurm 22.05, and what a new node would do about it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from clues.model import Verdict
from clues.planner import decide
from clues.planner.queue.reasons import Need, need_of
from tests.unit.builders import NOW, make_job, make_node, make_settings, make_world

NODES = """None Priority Resources ReqNodeNotAvail NodeDown"""
WAITS = """Prolog Dependency BeginTime Licenses Reservation FrontEndDown SchedDefer SystemFailure Cleaning MpiPortsBusy
JobArrayTaskLimit BurstBufferResources BurstBufferStageIn BurstBufferOperation FedJobLock ReservationDeleted
AssociationJobLimit QOSJobLimit QOSGrpCpuLimit QOSGrpCPUMinutesLimit QOSGrpCPURunMinutesLimit QOSGrpJobsLimit
QOSGrpMemLimit QOSGrpNodeLimit QOSGrpSubmitJobsLimit QOSGrpWallLimit QOSMaxCpuPerUserLimit QOSMaxJobsPerUserLimit
QOSMaxNodePerUserLimit QOSMaxSubmitJobPerUserLimit AssocGrpCpuLimit AssocGrpCPUMinutesLimit AssocGrpCPURunMinutesLimit
AssocGrpJobsLimit AssocGrpMemLimit AssocGrpNodeLimit AssocGrpSubmitJobsLimit AssocGrpWallLimit AssocMaxJobsLimit
AssocMaxSubmitJobLimit AssocGrpGRES QOSGrpGRES QOSMaxGRESPerUser QOSGrpLicense MaxBBPerAccount MaxCpuPerAccount
MaxGRESPerAccount MaxNodePerAccount MaxMemoryPerAccount MaxJobsPerAccount AssocGrpBilling QOSGrpBilling
MaxBillingPerAccount MaxPoweredUpNodes"""
NEVER = """PartitionNodeLimit PartitionTimeLimit PartitionDown PartitionInactive PartitionConfig JobHeldAdmin
JobHeldUser AssociationResourceLimit AssociationTimeLimit BadConstraints JobLaunchFailure NonZeroExitCode TimeLimit
InactiveLimit InvalidAccount InvalidQOS QOSUsageThreshold QOSResourceLimit QOSTimeLimit QOSNotAllowed AccountNotAllowed
DependencyNeverSatisfied QOSMaxCpuPerJobLimit QOSMaxCpuMinutesPerJobLimit QOSMaxNodePerJobLimit QOSMaxMemoryPerNode
QOSMaxWallDurationPerJobLimit QOSMinCpuNotSatisfied AssocMaxCpuPerJobLimit AssocMaxCpuMinutesPerJobLimit
AssocMaxNodePerJobLimit AssocMaxWallDurationPerJobLimit JobHoldMaxRequeue AssocMaxGRESPerJob QOSMinGRES DeadLine
MaxMemPerLimit AccountingPolicy OutOfMemory QOSMinBilling"""
UNKNOWN = "PowerNotAvail PowerReserved RaisedSignal SomethingOfNextYear"

TABLE = [
    (reason, need)
    for need, names in ((Need.NODES, NODES), (Need.WAITS, WAITS), (Need.NEVER, NEVER), (Need.UNKNOWN, UNKNOWN))
    for reason in names.split()
]


@pytest.mark.parametrize(("reason", "need"), TABLE)
def test_what_a_node_would_do_about_a_reason(reason: str, need: Need) -> None:
    assert need_of(reason) is need


@pytest.mark.parametrize(
    "reason",
    [
        "ReqNodeNotAvail, UnavailableNodes:cpu-[1-3]",
        "ReqNodeNotAvail,_Reserved_for_maintenance",
        "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions",
        "",
    ],
)
def test_reasons_with_more_words_are_read_by_the_first(reason: str) -> None:
    assert need_of(reason) is Need.NODES


@pytest.mark.parametrize(
    ("reason", "verdict"),
    [
        ("JobHeldUser", Verdict.NEVER),
        ("Dependency", Verdict.WAITS),
        ("AssocGrpCpuLimit", Verdict.WAITS),
        ("AssocMaxCpuPerJobLimit", Verdict.NEVER),
        ("launch failed requeued held", Verdict.NEVER),
        ("job requeued in held state", Verdict.NEVER),
        ("SomethingOfNextYear", Verdict.UNKNOWN),
        ("BeginTime", Verdict.WAITS),
    ],
)
def test_a_job_that_nodes_do_not_help_buys_nothing_and_is_told(reason: str, verdict: Verdict) -> None:
    plan = decide(make_world([make_node()], [make_job(reason=reason)]), make_settings(), NOW)
    assert plan.claims == ()
    assert plan.outlooks["101"].verdict is verdict
    assert reason in plan.outlooks["101"].text


def test_a_begin_time_is_waited_for_and_a_clock_that_lags_behind_slurms_is_not() -> None:
    """With all nodes closed Slurm 22.05 says ReqNodeNotAvail of both."""
    later = NOW + timedelta(minutes=30)
    begin = make_job(reason="ReqNodeNotAvail", submitted=NOW, eligible=later)
    assert decide(make_world([make_node()], [begin]), make_settings(), NOW).outlooks["101"].verdict is Verdict.WAITS
    at_once = make_job(reason="ReqNodeNotAvail", submitted=later, eligible=later)
    assert decide(make_world([make_node()], [at_once]), make_settings(), NOW).outlooks["101"].verdict is Verdict.BUYING
