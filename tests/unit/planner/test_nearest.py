"""Jobs that no pool can ever run are told which pool comes nearest, and what it lacks."""

from __future__ import annotations

from typing import Any

import pytest

from clues.model import Outlook, Resources, Verdict
from tests.unit.builders import GPU_SHAPE, make_node, make_offer, make_pool, make_settings
from tests.unit.planner.deciding import cluster, gpu, job, plan

CPU = make_pool("cpu", count=4)
BIG = Resources(64, 512 * 1024)
GPU = make_pool("gpu", count=2, shape=GPU_SHAPE, partitions=("gpu",))


def outlook(*nodes: Any, pools: Any = (CPU, GPU), **asked: Any) -> Outlook:
    configured = make_settings(list(pools))
    world = cluster([job(**asked)], settings=configured, nodes=nodes)
    return plan(world, configured).outlooks["101"]


@pytest.mark.parametrize(
    ("asked", "lacks"),
    [
        ({"cpus": 10}, "cpu, lacks 2 CPUs: its nodes have 8 CPUs, 30 GiB"),
        ({"ask": {"memory_per_node_mib": 31 * 1024}}, "cpu, lacks 1 GiB of memory: its nodes have 8 CPUs, 30 GiB"),
        (
            {"partitions": ("gpu",), "cpus": 9, "ask": {"gpus_per_node": gpu(1, "a100")}},
            "gpu, lacks 1 CPU and 1 GPU a100: its nodes have 8 CPUs, 60 GiB, 1 GPU a10",
        ),
        (
            {"partitions": ("gpu",), "ask": {"gpus_per_node": gpu(2)}},
            "gpu, lacks 1 GPU: its nodes have 8 CPUs, 60 GiB, 1 GPU a10",
        ),
        ({"constraint": "cesnet&fast"}, "cpu, lacks feature fast"),
        ({"partitions": ("long", "huge")}, "cpu, lacks partition long or huge: its nodes are in cpu"),
        ({"nodes": 6}, "cpu, lacks 2 nodes: it has 4 and the job needs 6"),
    ],
    ids=["cpus", "memory", "two", "any-gpu", "feature", "partition", "nodes"],
)
def test_the_nearest_pool_and_what_it_lacks_are_told(asked: dict[str, Any], lacks: str) -> None:
    found = outlook(**asked)
    assert found.verdict is Verdict.NEVER
    assert found.text == f"no pool can ever run it; the nearest, {lacks}"


def test_nearest_is_what_lacks_fewest_things_then_the_smaller_part_then_the_first() -> None:
    small = make_pool("small", count=4, shape=Resources(4, 30 * 1024), partitions=("cpu",))
    twin = make_pool("twin", count=4, partitions=("cpu",))
    found = outlook(pools=(small, twin, CPU, GPU), cpus=10)
    assert "the nearest, twin, lacks 2 CPUs" in found.text
    assert list(found.sites) == ["pool cpu", "pool small", "pool gpu"]
    assert found.sites["pool gpu"].startswith("lacks partition cpu and 2 CPUs: its nodes are in gpu; its nodes have 8")


def test_a_little_of_two_things_is_farther_than_much_of_one() -> None:
    narrow = make_pool("narrow", count=4, shape=Resources(2, 64 * 1024), partitions=("cpu",))
    found = outlook(pools=(CPU, narrow), cpus=9, ask={"memory_per_node_mib": 31 * 1024})
    assert "the nearest, narrow, lacks 7 CPUs: " in found.text
    assert found.sites["pool cpu"].startswith("lacks 1 CPU and 1 GiB of memory: ")


def test_a_job_that_static_nodes_can_run_waits_for_them() -> None:
    static = make_node("big-1", {"ALLOCATED"}, capacity=BIG, used=BIG, partitions=frozenset({"big"}))
    found = outlook(static, partitions=("big",), cpus=32)
    assert (found.verdict, found.text) == (Verdict.WAITS, "waits for nodes outside the pools, such as big-1")
    assert outlook(static, partitions=("big",), cpus=65).verdict is Verdict.NEVER


def test_a_gang_larger_than_its_pool_may_lie_on_two_pools_of_one_partition() -> None:
    more = make_pool("more", count=4, partitions=("cpu",), offers=[make_offer()])
    assert outlook(pools=(CPU, more), nodes=6).verdict is Verdict.BUYING
