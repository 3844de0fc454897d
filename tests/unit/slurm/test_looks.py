"""One look after another: what is remembered of the last one saves work and changes nothing."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from clues.model import ClusterSnapshot
from lrms.slurm.charges import Charges, Told
from lrms.slurm.snapshot import Form, RawSnapshot, SnapshotReader, read_snapshot
from tests.lab.synthetic import TAKEN_AT, as_raw, make_job, make_raw, node_line, pending_record
from tests.unit.slurm.test_golden import recorded

_ARRAYS = ("", "_[0-9]", "_[4-9%3]", "_[4-9%2]", "_[7]")
_KEPT = make_job(random.Random(1), 1001, ())


@st.composite
def _jobs(draw: st.DrawFn) -> tuple[dict[str, str], str]:
    """A job's record, and what is told of it when it is looked for again."""
    number, array = str(draw(st.integers(1, 4))), draw(st.sampled_from(_ARRAYS))
    record = {
        **_KEPT,
        "JobID": number,
        "JobArrayID": number + array,
        "State": draw(st.sampled_from(("PENDING", "RUNNING"))),
        "PriorityLong": draw(st.sampled_from(("5", "6", "none"))),
    }
    if record["State"] == "RUNNING":
        return record | {"JobArrayID": number + draw(st.sampled_from(("", "_1", "_2")))}, ""
    later = record | {"JobArrayID": number + draw(st.sampled_from((array, "_[7]")))}
    return record, pending_record(later, draw(st.sampled_from(("", "cpu-3")))) if draw(st.booleans()) else ""


@st.composite
def _nodes(draw: st.DrawFn) -> str:
    name = draw(st.sampled_from(("cpu-1", "cpu-2", "gpu-1")))
    state = draw(st.sampled_from(("IDLE+CLOUD", "MIXED+CLOUD", "IDLE+CLOUD+DRAIN+POWERED_DOWN")))
    load = draw(st.sampled_from(("0.1", "0.2")))
    line = node_line(
        name,
        state=state,
        cpus_used=4 * ("MIXED" in state),
        gres="(null)",
        gres_used="gpu:0",
        active="cpu",
        address="10.77.1.1",
        started="None",
        last_busy="Unknown",
        load=load,
    )
    return line if draw(st.integers(0, 9)) else line.replace("CPUTot=8", "CPUTot=many").replace("CPUEfctv=8", "")


@st.composite
def _looks(draw: st.DrawFn) -> RawSnapshot:
    jobs = draw(st.lists(_jobs(), max_size=6))
    raw = as_raw(
        [record for record, _ in jobs], "".join(later for _, later in jobs), "".join(draw(st.lists(_nodes()))), 5
    )
    return raw if draw(st.booleans()) else replace(raw, pending=None)


@given(st.lists(_looks(), max_size=5))
def test_a_look_reads_the_same_whatever_was_read_before(looks: list[RawSnapshot]) -> None:
    reader = SnapshotReader()
    for raw in looks:
        assert reader.read(raw, TAKEN_AT) == read_snapshot(raw, TAKEN_AT)


def _are_the_same(one: ClusterSnapshot, other: ClusterSnapshot) -> bool:
    jobs = all(a is b for a, b in zip(one.jobs, other.jobs, strict=True))
    return jobs and all(node is other.nodes[name] for name, node in one.nodes.items())


def test_what_reads_the_same_is_the_same_object_in_text_and_in_json() -> None:
    for raw in (make_raw(nodes=10, jobs=30), recorded("22.05.8", Form.TEXT), recorded("23.11", Form.JSON)):
        reader = SnapshotReader()
        first = reader.read(raw, TAKEN_AT)
        assert _are_the_same(first, reader.read(raw, TAKEN_AT))
        assert not first.jobs or not _are_the_same(first, read_snapshot(raw, TAKEN_AT))


def test_a_node_of_which_only_the_load_has_changed_is_the_same_object() -> None:
    raw = make_raw(nodes=10, jobs=30)
    reader = SnapshotReader()
    first = reader.read(raw, TAKEN_AT)
    assert _are_the_same(first, reader.read(replace(raw, nodes=raw.nodes.replace("0.37", "7.00")), TAKEN_AT))


def test_what_has_left_is_forgotten() -> None:
    raw = make_raw(nodes=10, jobs=30)
    reader = SnapshotReader()
    first = reader.read(raw, TAKEN_AT)
    reader.read(replace(raw, jobs="", nodes="", pending=""), TAKEN_AT)
    again = reader.read(raw, TAKEN_AT)
    assert first == again
    assert not any(one is other for one, other in zip(first.jobs, again.jobs, strict=True))
    assert not any(node is again.nodes[name] for name, node in first.nodes.items())


def test_a_job_whose_charges_stay_is_the_same_object_with_them() -> None:
    snapshot = read_snapshot(make_raw(nodes=5, jobs=4), TAKEN_AT)
    told = Told({job.id: ("physics", "normal") for job in snapshot.jobs})
    now = 0.0
    charges = Charges(lambda: now)
    first = charges.put_on(snapshot, lambda: told)
    assert {job.account for job in first.jobs} == {"physics"}
    assert _are_the_same(first, charges.put_on(snapshot, lambda: told))
    now = 100.0
    other = Told({job.id: ("chemistry", "normal") for job in snapshot.jobs})
    assert {job.account for job in charges.put_on(snapshot, lambda: other).jobs} == {"chemistry"}
