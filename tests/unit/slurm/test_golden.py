"""What a real 22.05.8 printed, and hand-made JSON of the documented 23.11 schema (``tests/golden/slurm/README.md``)."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from clues.errors import LrmsError
from clues.model import ClusterSnapshot, Gpu, Resources
from lrms.slurm import json_reader
from lrms.slurm.counters import read_counters
from lrms.slurm.snapshot import Form, RawSnapshot, read_snapshot

GOLDEN = Path(__file__).parents[2] / "golden" / "slurm"


def text(name: str) -> str:
    return (GOLDEN / name).read_text(encoding="utf-8")


def recorded(folder: str, form: Form) -> RawSnapshot:
    end = "json" if form is Form.JSON else "txt"
    return RawSnapshot(
        jobs=text(f"{folder}/jobs.{end}"),
        nodes=text(f"{folder}/nodes.{end}"),
        reservations=text(f"{folder}/reservations.txt"),
        partitions=text(f"{folder}/partitions.txt"),
        config=text(f"{folder}/config.txt"),
        pending=text(f"{folder}/pending.txt") if form is Form.TEXT else None,
        mark="0123456789abcdef" * 2,
        form=form,
    )


def golden(folder: str, form: Form) -> ClusterSnapshot:
    return read_snapshot(recorded(folder, form), datetime(2026, 11, 22, tzinfo=UTC))


def gpus(kind: str, count: int) -> Resources:
    return Resources(gpus=(Gpu(kind, count),))


# --- 22.05.8 ----------------------------------------------------------------------------------------------------------


def test_a_real_controller_is_read_without_a_problem() -> None:
    snapshot = golden("22.05.8", Form.TEXT)
    assert not snapshot.problems
    assert snapshot.version == "22.05.8"
    assert (snapshot.default_partition, snapshot.default_memory_per_cpu_mib) == ("cpu", 0)
    assert snapshot.partitions == {"cpu": True, "gpu": True, "short": True}
    assert len(snapshot.nodes) == 15
    assert all(node.understood for node in snapshot.nodes.values())


def test_real_nodes() -> None:
    nodes = golden("22.05.8", Form.TEXT).nodes
    up = nodes["gpu-01"]
    assert up.flags == {"MIXED", "CLOUD"}
    assert up.capacity == Resources(8, 60000, (Gpu("a10", 2),))
    assert up.used == Resources(4, 2524, (Gpu("a10", 1),))
    assert (up.address, up.reason) == ("127.0.0.1", "")
    assert up.active_features == {"gpu", "upv"}
    assert up.slurmd_started is not None
    assert nodes["cpu-002"].kept_by_admin
    assert nodes["cpu-002"].reason == "bad disk, see #7"
    assert nodes["cpu-003"].flags == {"DOWN", "CLOUD", "POWERED_DOWN"}  # power_down took the DRAIN away
    assert nodes["cpu-001"].off
    assert nodes["cpu-001"].reason == "clues:off"


def test_real_jobs() -> None:
    jobs = {job.id: job for job in golden("22.05.8", Form.TEXT).jobs}
    assert jobs["3070"].nodes == ("gpu-01",)
    assert jobs["3070"].time_limit == timedelta(hours=1)
    array = jobs["3071"]
    assert (array.array_id, array.count, array.count_pending, array.reason) == ("3071", 0, 17, "JobArrayTaskLimit")
    assert jobs["3071_1"].array_id == "3071"
    assert (jobs["3078"].request.nodes_min, jobs["3078"].request.nodes_max) == (2, 4)
    assert jobs["3078"].request.tasks_per_node == 2
    assert (jobs["3079"].request.exclusive, jobs["3079"].request.memory_per_node_mib) == (True, 5120)
    assert (jobs["3080"].request.memory_per_cpu_mib, jobs["3080"].request.cpus_per_task) == (500, 4)
    assert jobs["3081"].count == 1335  # 0-4000:3 and 7, far more than the 64 characters of an array's short form
    assert (jobs["3083"].constraint, jobs["3083"].licenses) == ("upv&cpu", "matlab:2")
    assert jobs["3084"].constraint == "[upv|cesnet]"
    assert jobs["3085"].wanted_nodes == {"cpu-003"}
    assert jobs["3085"].excluded_nodes == {"cpu-004", "cpu-005"}
    assert jobs["3086"].dependency == ""  # of a job that had never been: Slurm dropped it
    later = jobs["3087"]
    assert later.eligible is not None
    assert later.submitted is not None
    assert later.eligible - later.submitted == timedelta(hours=1)
    assert (jobs["3088"].reason, jobs["3088"].priority) == ("JobHeldUser", 0)
    assert jobs["3076"].request.gpus_per_job == gpus("", 3)
    assert jobs["3077"].request.gpus_per_task == gpus("", 1)
    assert (jobs["3090"].request.memory_per_node_mib, jobs["3090"].request.cpus_total) == (2000, 4)
    assert [jobs[f"3091+{part}"].het_id for part in (0, 1)] == ["3091", "3091"]


def test_a_real_reservation() -> None:
    reservations = {one.name: one for one in golden("22.05.8", Form.TEXT).reservations}
    assert set(reservations) == {"maint1", "r2"}
    reservation = reservations["maint1"]
    assert reservation.nodes == {"gpu-02"}
    assert reservation.end - reservation.start == timedelta(hours=1)
    assert "MAINT" in reservation.flags


def test_the_counters_of_sdiag() -> None:
    counters = read_counters(text("22.05.8/sdiag.txt"))
    assert set(counters) == {"submitted", "started", "completed", "canceled", "failed"}
    assert counters["submitted"] > counters["started"] > 0


def test_an_sdiag_that_tells_less_is_an_error_and_no_zero() -> None:
    with pytest.raises(LrmsError, match="4 of the five"):
        read_counters(text("22.05.8/sdiag.txt").replace("Jobs started:", "Tasks started:"))


# --- 23.11, made by hand ----------------------------------------------------------------------------------------------


def test_json_of_newer_slurm_makes_the_same_kind_of_snapshot() -> None:
    snapshot = golden("23.11", Form.JSON)
    assert not snapshot.problems
    assert (snapshot.version, snapshot.default_memory_per_cpu_mib) == ("23.11.0", 500)
    assert snapshot.partitions == {"cpu": True, "gpu": False}
    jobs = {job.id: job for job in snapshot.jobs}
    assert set(jobs) == {"1", "2", "3", "8", "8_0", "10", "19+0", "19+1"}  # those that have ended are not there
    assert (jobs["1"].request.memory_per_cpu_mib, jobs["1"].request.cpus_per_task) == (1000, 2)
    assert (jobs["1"].request.nodes_max, jobs["1"].time_limit) == (None, timedelta(hours=1))
    assert jobs["2"].reason == "ReqNodeNotAvail, UnavailableNodes:gpu-[01-04]"
    assert (jobs["2"].partitions, jobs["2"].constraint) == (("gpu", "short"), "upv|cesnet")
    assert jobs["2"].request.gpus_per_node == gpus("a10", 1)
    assert jobs["2"].wanted_nodes == {"gpu-01"}
    assert jobs["2"].excluded_nodes == {"gpu-03", "gpu-04"}
    assert (jobs["3"].request.nodes_min, jobs["3"].request.nodes_max) == (2, 4)
    assert (jobs["3"].request.exclusive, jobs["3"].request.tasks_per_node) == (True, 2)
    assert (jobs["8"].count, jobs["8"].count_pending) == (2, 20)
    assert (jobs["8_0"].state, jobs["8_0"].nodes) == ("RUNNING", ("cpu-001",))
    assert (jobs["10"].state, jobs["10"].nodes) == ("COMPLETING", ("cpu-001", "cpu-002"))
    assert (jobs["19+1"].het_id, jobs["19+1"].request.gpus_per_job) == ("19", gpus("", 3))
    assert jobs["19+1"].request.cpus_total == 6


def test_nodes_of_newer_slurm() -> None:
    nodes = golden("23.11", Form.JSON).nodes
    assert nodes["gpu-01"].flags == {"MIXED", "CLOUD"}
    assert nodes["gpu-01"].used == Resources(1, 1024, (Gpu("a10", 1),))
    assert nodes["gpu-01"].active_features == {"gpu", "upv"}
    assert (nodes["gpu-02"].off, nodes["gpu-02"].reason, nodes["gpu-02"].slurmd_started) == (True, "clues:off", None)
    assert nodes["gpu-03"].kept_by_admin
    assert not nodes["gpu-04"].understood


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (5, 5),
        ("5", 5),
        (5.0, 5),
        ({"set": True, "infinite": False, "number": 5}, 5),
        ({"set": False, "infinite": False, "number": 5}, None),
        ({"set": False, "infinite": True, "number": 0}, None),
        ({"infinite": True, "number": 0}, None),
        (None, None),
        (2**32 - 2, None),
        (2**64 - 2, None),
        (-2, None),
        ("", None),
    ],
)
def test_a_number_in_each_of_its_forms(value: object, found: int | None) -> None:
    assert json_reader.number(value) == found


@pytest.mark.parametrize("value", [True, [], "five"])
def test_what_is_no_number_is_refused(value: object) -> None:
    with pytest.raises(ValueError):
        json_reader.number(value)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"jobs": {}}', '{"jobs": [], "errors": [{"error": "no connection"}]}', '{"jobs": [']
)
def test_json_that_is_not_a_whole_list_is_no_empty_queue(text: str) -> None:
    with pytest.raises(ValueError):
        json_reader.read_jobs(text)


def test_one_broken_record_does_not_hide_the_others() -> None:
    jobs = [{"job_id": 1, "job_state": "PENDING", "partition": "cpu"}, {"job_id": [], "job_state": ["PENDING"]}]
    found, problems = json_reader.read_jobs(json.dumps({"jobs": jobs}))
    assert [job.id for job in found] == ["1"]
    assert len(problems) == 1
