"""Job records: what was asked for, arrays with their throttle, and no way for a user to forge a record."""

from datetime import UTC, datetime, timedelta

import pytest

from clues.model import Gpu, Job, Resources
from lrms.slurm import jobs
from tests.lab.synthetic import MARK
from tests.unit.slurm.job_records import read, record


def one(**fields: str) -> Job:
    found, problems = read(record(**fields))
    assert not problems
    (job,) = found
    return job


def test_a_plain_job() -> None:
    job = one()
    assert (job.id, job.user, job.state, job.reason, job.partitions) == ("7", "alice", "PENDING", "Resources", ("cpu",))
    assert job.submitted == datetime(2026, 11, 22, 18, 39, 58, tzinfo=UTC)
    assert job.started is None
    assert job.expected is None
    assert one(StartTime="1795372800").expected == datetime(2026, 11, 22, 18, 40, tzinfo=UTC)
    assert job.time_limit is None
    assert (job.count, job.count_pending, job.array_id, job.het_id) == (1, 1, "", "")
    request = job.request
    assert (request.nodes_min, request.nodes_max, request.tasks, request.cpus_total) == (1, 1, 1, 1)
    assert request.memory_per_node_mib == request.memory_per_cpu_mib == 0


def test_a_running_job_has_its_nodes_and_its_start() -> None:
    job = one(State="RUNNING", NodeList="gpu-[01-02],cpu-003", StartTime="1795372800", TimeLimit="1-02:04:00")
    assert job.nodes == ("gpu-01", "gpu-02", "cpu-003")
    assert job.started == datetime(2026, 11, 22, 18, 40, tzinfo=UTC)
    assert job.time_limit == timedelta(days=1, hours=2, minutes=4)


def test_what_else_a_job_may_ask_for() -> None:
    job = one(
        Feature="upv|cesnet",
        ReqNodes="cpu-003",
        Reservation="maint",
        Dependency="afterok:2(unfulfilled)",
        Licenses="matlab:2",
        Partition="short,cpu",
        EligibleTime="1795376398",
    )
    assert job.constraint == "upv|cesnet"
    assert job.wanted_nodes == {"cpu-003"}
    assert (job.reservation, job.dependency, job.licenses) == ("maint", "afterok:2(unfulfilled)", "matlab:2")
    assert job.partitions == ("short", "cpu")
    assert job.eligible == datetime(2026, 11, 22, 19, 39, 58, tzinfo=UTC)


def test_excluded_nodes_come_from_their_own_listing() -> None:
    pending = f"7\x1f7\x1fcpu-[001-002]\x1f{MARK}\n8\x1f8\x1f\x1f{MARK}\n"
    (job,), problems = read(record(), pending=pending)
    assert job.excluded_nodes == {"cpu-001", "cpu-002"}
    assert not problems


def test_a_job_that_starts_while_the_nodes_are_read_is_pending_no_more() -> None:
    (started, waits, runs), problems = read(
        record(),
        record(JobArrayID="8", JobID="8"),
        record(JobArrayID="9", JobID="9", State="RUNNING", NodeList="cpu-001"),
        pending=f"8\x1f8\x1f\x1f{MARK}\n",
    )
    assert not problems
    assert (started.pending, waits.pending, runs.pending) == (False, True, False)
    assert (started.nodes, runs.nodes) == ((), ("cpu-001",))


def test_of_an_array_those_tasks_are_pending_that_are_so_after_the_nodes_were_read() -> None:
    (array,), problems = read(
        record(JobArrayID="7_[1-8]"), pending=f"7\x1f7_[3-8]\x1f\x1f{MARK}\n10\x1f10\x1f\x1f{MARK}\n"
    )
    assert not problems
    assert (array.id, array.pending, array.count_pending) == ("7", True, 6)


def test_an_empty_queue_after_the_nodes_were_read_leaves_nothing_pending() -> None:
    (job,), _ = read(record(), pending="")
    assert not job.pending


@pytest.mark.parametrize(
    ("fields", "least", "most"),
    [
        ({"NumNodes": "4", "MaxNodes": "4", "tres_alloc": "cpu=4,mem=60000M,node=2,billing=4"}, 2, 4),  # --nodes=2-4
        ({"NumNodes": "3", "MaxNodes": "3", "tres_alloc": "cpu=3,mem=90000M,node=3,billing=3"}, 3, 3),  # -N3
        ({"NumNodes": "3", "MaxNodes": "3", "tres_alloc": "cpu=20,mem=30000M,node=1,billing=20"}, 1, None),  # -n20
        ({"NumNodes": "1", "MaxNodes": "1", "tres_alloc": "cpu=1,mem=30000M,node=1,billing=1"}, 1, 1),
    ],
)
def test_the_least_and_the_most_nodes(fields: dict[str, str], least: int, most: int | None) -> None:
    request = one(**fields).request
    assert (request.nodes_min, request.nodes_max) == (least, most)


@pytest.mark.parametrize(
    ("memory", "cpus", "tres", "per_node", "per_cpu"),
    [
        ("5G", "2", "cpu=2,mem=10G,node=2,billing=2", 5120, 0),  # -N2 --mem=5G
        ("500M", "4", "cpu=4,mem=2000M,node=1,billing=4", 0, 500),  # -c4 --mem-per-cpu=500
        ("2G", "6", "cpu=6,mem=12G,node=2,billing=6", 0, 2048),  # -N2 -n6 --mem-per-cpu=2G
        ("2000M", "4", "cpu=4,mem=2000M,node=1,billing=4", 2000, 0),  # -c4 --mem=2000
        ("0", "1", "cpu=1,mem=30000M,node=1,billing=1", 0, 0),  # no --mem: Slurm reckons a whole node's
    ],
)
def test_memory_is_told_apart_by_node_and_by_cpu(
    memory: str, cpus: str, tres: str, per_node: int, per_cpu: int
) -> None:
    request = one(MinMemory=memory, NumCPUs=cpus, tres_alloc=tres).request
    assert (request.memory_per_node_mib, request.memory_per_cpu_mib) == (per_node, per_cpu)


def gpus(kind: str, count: int) -> Resources:
    return Resources(gpus=(Gpu(kind, count),))


@pytest.mark.parametrize(
    ("fields", "per_node", "per_job", "per_task"),
    [
        ({"tres_per_node": "gres:gpu:a10:1"}, gpus("a10", 1), Resources(), Resources()),
        ({"tres_per_job": "gres:gpu:3"}, Resources(), gpus("", 3), Resources()),
        ({"tres_per_task": "gres:gpu:1"}, Resources(), Resources(), gpus("", 1)),
        ({"tres_per_socket": "gres:gpu:1", "Sockets": "2"}, gpus("", 2), Resources(), Resources()),
        ({"tres_per_node": "gres/gpu:a10:2"}, gpus("a10", 2), Resources(), Resources()),
        ({"tres_per_node": "gres:shard:2"}, gpus("shard:", 2), Resources(), Resources()),
    ],
)
def test_gpus_in_all_their_forms(
    fields: dict[str, str], per_node: Resources, per_job: Resources, per_task: Resources
) -> None:
    request = one(**fields).request
    assert (request.gpus_per_node, request.gpus_per_job, request.gpus_per_task) == (per_node, per_job, per_task)


def test_cpus_and_memory_by_gpu_are_added_up() -> None:
    request = one(tres_per_job="gres:gpu:2", cpus_per_tres="gres:gpu:2").request
    assert request.cpus_total == 4
    request = one(tres_per_job="gres:gpu:2", mem_per_tres="gres:gpu:1000", tres_alloc="cpu=1,mem=2000M,node=1").request
    assert request.memory_per_node_mib == 2000


def test_least_cpus_of_a_node_count_for_the_job() -> None:
    assert one(MinCpus="4").request.cpus_total == 4


@pytest.mark.parametrize(("shared", "exclusive"), [("OK", False), ("YES", False), ("NO", True), ("USER", True)])
def test_exclusive_jobs(shared: str, exclusive: bool) -> None:
    assert one(OverSubscribe=shared).request.exclusive is exclusive


def test_an_array_starts_as_many_tasks_as_its_throttle_leaves() -> None:
    running = [record(JobArrayID=f"8_{task}", JobID=str(100 + task), State="RUNNING", NodeList="c1") for task in (0, 1)]
    found, _ = read(record(JobArrayID="8_[2-99%5]", JobID="8"), *running)
    array = found[0]
    assert (array.id, array.array_id, array.count, array.count_pending) == ("8", "8", 3, 98)
    assert (found[1].id, found[1].array_id, found[1].count) == ("8_0", "8", 1)


def test_an_array_at_its_throttle_starts_none() -> None:
    running = record(JobArrayID="8_0", JobID="100", State="COMPLETING", NodeList="c1")
    found, _ = read(record(JobArrayID="8_[1-99%1]", JobID="8"), running)
    assert found[0].count == 0


def test_an_array_without_a_throttle_starts_all() -> None:
    assert one(JobArrayID="9_[1,3,7-9]").count == 5


def test_the_parts_of_a_heterogeneous_job_share_their_id() -> None:
    found, _ = read(record(JobArrayID="19+0", HetJobID="19"), record(JobArrayID="19+1", HetJobID="19"))
    assert [(job.id, job.het_id) for job in found] == [("19+0", "19"), ("19+1", "19")]


# --- forging ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["Feature", "Reservation", "Licenses", "Dependency", "Reason", "UserName"])
def test_a_record_written_into_a_field_makes_no_job(field: str) -> None:
    """Even if a user could write a whole record into a field, it lacks the mark, which nobody can know."""
    forged = record(JobArrayID="777", UserName="root").replace(MARK, "guessed-mark")
    found, problems = read(record(**{field: f"x\n{forged}"}), record(JobArrayID="8"))
    assert [job.id for job in found] == ["8"]
    assert len(problems) == 1


@pytest.mark.parametrize("value", ["a\x1fb", "a\nb", "\x1f" * 40])
def test_a_separator_in_a_field_costs_the_record_and_is_told(value: str) -> None:
    found, problems = read(record(Feature=value), record(JobArrayID="8"))
    assert [job.id for job in found] == ["8"]
    assert len(problems) == 1


def test_no_field_that_a_user_writes_freely_is_asked_for() -> None:
    free = {"name", "comment", "admin_comment", "account", "command", "workdir", "wckey", "stdout", "stderr", "stdin"}
    assert not free & {name.lower() for name in jobs.FIELDS}
    for letter in "jkaowZq":
        assert f"%{letter}" not in jobs.pending_format(MARK)


def test_an_output_that_was_cut_off_is_no_shorter_queue() -> None:
    with pytest.raises(ValueError, match="middle of a record"):
        read(record(), record(JobArrayID="8")[:-10])


@pytest.mark.parametrize("fields", [{"NumCPUs": "many"}, {"JobArrayID": "8_[x]"}, {"tres_per_node": "gres:gpu:a:b:1"}])
def test_a_record_that_makes_no_sense_is_left_out_and_told(fields: dict[str, str]) -> None:
    found, problems = read(record(**fields), record(JobArrayID="9"))
    assert [job.id for job in found] == ["9"]
    assert len(problems) == 1
