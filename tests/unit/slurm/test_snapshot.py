"""The whole parser, on a synthetic cluster."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from clues.errors import LrmsError
from lrms.slurm.snapshot import read_snapshot
from tests.lab import synthetic

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def test_the_synthetic_cluster_is_read_without_a_problem() -> None:
    raw = synthetic.make_raw(nodes=200, jobs=300)
    assert raw == synthetic.make_raw(nodes=200, jobs=300)
    snapshot = synthetic.parse(raw)
    assert (len(snapshot.nodes), len(snapshot.jobs)) == (200, 300)
    assert not snapshot.problems
    assert all(node.understood for node in snapshot.nodes.values())
    assert {job.state for job in snapshot.jobs} == {"PENDING", "RUNNING"}
    assert snapshot.default_partition == "cpu"
    assert snapshot.partitions == {"cpu": True, "gpu": True}
    assert snapshot.version == "22.05.8"


@pytest.mark.parametrize(
    ("part", "text"),
    [("jobs", "7\x1fPENDING"), ("nodes", "NodeName=c1 State=IDLE"), ("pending", "7\x1f")],
)
def test_an_output_that_was_cut_off_makes_no_snapshot(part: str, text: str) -> None:
    raw = synthetic.make_raw(nodes=5, jobs=5)
    cut = {"jobs": replace(raw, jobs=text), "nodes": replace(raw, nodes=text), "pending": replace(raw, pending=text)}
    with pytest.raises(LrmsError, match="cannot be read"):
        read_snapshot(cut[part], NOW)


def test_a_flood_of_problems_is_counted_and_not_kept() -> None:
    raw = synthetic.make_raw(nodes=5, jobs=200)
    spoiled = replace(raw, jobs=raw.jobs.replace("PENDING", "PEND\nING"))
    problems = read_snapshot(spoiled, NOW).problems
    assert len(problems) == 51
    assert problems[-1] == "and 130 more problems like these"


def test_a_partition_that_takes_no_jobs_is_down() -> None:
    raw = synthetic.make_raw(nodes=5, jobs=0)
    text = raw.partitions.replace("State=UP", "State=DRAIN", 1)
    assert read_snapshot(replace(raw, partitions=text), NOW).partitions == {"cpu": False, "gpu": True}
