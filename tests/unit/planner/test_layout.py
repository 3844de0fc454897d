"""How a request lies on nodes of one size: enough nodes, and not more."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clues.model import Gpu, Request, Resources
from clues.planner.queue.layout import Layout, lay_out

GiB = 1024
SIZE = Resources(8, 30 * GiB)
TWO_GPUS = Resources(8, 60 * GiB, (Gpu("a10", 2),))


def gpus(count: int, kind: str = "") -> Resources:
    return Resources(gpus=(Gpu(kind, count),))


def ask(**more: object) -> Request:
    return Request(**{"memory_per_node_mib": 1024, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("request_", "size", "nodes", "cpus", "memory", "gpu_count"),
    [
        (ask(), SIZE, 1, 1, 1024, 0),
        (ask(tasks=8, cpus_total=8), SIZE, 1, 8, 1024, 0),
        (ask(tasks=9, cpus_total=9), SIZE, 2, 5, 1024, 0),
        (ask(tasks=4, cpus_per_task=4, cpus_total=16), SIZE, 2, 8, 1024, 0),
        (ask(tasks=3, cpus_per_task=5, cpus_total=15), SIZE, 3, 5, 1024, 0),  # five and five do not go on eight
        (ask(nodes_min=2, nodes_max=4, tasks=2, cpus_total=2), SIZE, 2, 1, 1024, 0),
        (ask(nodes_min=2, nodes_max=4, tasks=24, cpus_total=24), SIZE, 3, 8, 1024, 0),
        (ask(tasks=4, tasks_per_node=2, cpus_total=4), SIZE, 2, 2, 1024, 0),
        (ask(tasks=2, tasks_per_node=2, cpus_per_task=5, cpus_total=10), SIZE, 2, 5, 1024, 0),  # at most two on a node
        (ask(memory_per_node_mib=0, memory_per_cpu_mib=6 * GiB, tasks=8, cpus_total=8), SIZE, 2, 4, 24 * GiB, 0),
        (ask(memory_per_node_mib=0), SIZE, 1, 1, 30 * GiB, 0),  # no memory asked for: the whole node's
        (ask(gpus_per_node=gpus(1)), TWO_GPUS, 1, 1, 1024, 1),
        (ask(gpus_per_node=gpus(2, "a10"), nodes_min=2, nodes_max=2, tasks=2, cpus_total=2), TWO_GPUS, 2, 1, 1024, 2),
        (ask(gpus_per_job=gpus(2)), TWO_GPUS, 1, 1, 1024, 2),
        (ask(gpus_per_job=gpus(4), tasks=4, cpus_total=4), TWO_GPUS, 2, 2, 1024, 2),
        (ask(gpus_per_task=gpus(1), tasks=3, cpus_total=3), TWO_GPUS, 2, 2, 1024, 2),
        (ask(exclusive=True), SIZE, 1, 8, 30 * GiB, 0),
    ],
)
def test_simple_requests(
    request_: Request, size: Resources, nodes: int, cpus: int, memory: int, gpu_count: int
) -> None:
    layout = lay_out(request_, size, 0)
    assert layout is not None
    assert (layout.nodes, layout.each.cpus, layout.each.memory_mib, layout.each.gpu_count) == (
        nodes,
        cpus,
        memory,
        gpu_count,
    )


@pytest.mark.parametrize(
    "request_",
    [
        ask(cpus_per_task=9, cpus_total=9),
        ask(memory_per_node_mib=31 * GiB),
        ask(nodes_min=1, nodes_max=1, tasks=9, cpus_total=9),
        ask(gpus_per_node=gpus(1)),
        ask(memory_per_node_mib=0, memory_per_cpu_mib=31 * GiB),
    ],
)
def test_what_no_node_holds_has_no_layout(request_: Request) -> None:
    assert lay_out(request_, SIZE, 0) is None


def test_a_gpu_of_another_type_does_not_do() -> None:
    assert lay_out(ask(gpus_per_node=gpus(1, "v100")), TWO_GPUS, 0) is None


def test_the_default_memory_of_the_cluster_counts_for_each_cpu() -> None:
    layout = lay_out(Request(tasks=8, cpus_total=8), SIZE, 2 * GiB)
    assert layout == Layout(1, Resources(8, 16 * GiB))


def test_gpus_of_a_job_are_spread_over_nodes_though_it_has_one_task() -> None:
    """``--gpus=4`` without ``-N``: Slurm may take two nodes of two GPUs each."""
    layout = lay_out(ask(gpus_per_job=gpus(4)), TWO_GPUS, 0)
    assert layout is not None
    assert layout.nodes == 2


@given(st.integers(1, 60), st.integers(1, 10), st.integers(1, 4000))
def test_the_layout_fits_and_fewer_nodes_would_not(tasks: int, per_task: int, per_cpu: int) -> None:
    request = Request(tasks=tasks, cpus_per_task=per_task, cpus_total=tasks * per_task, memory_per_cpu_mib=per_cpu)
    layout = lay_out(request, SIZE, 0)
    on_one = min(SIZE.cpus // per_task, SIZE.memory_mib // (per_cpu * per_task))
    if on_one == 0:
        assert layout is None
        return
    assert layout is not None
    assert layout.each.fits_in(SIZE)
    assert layout.each.cpus * layout.nodes >= tasks * per_task
    assert layout.nodes == -(-tasks // on_one)


@given(
    st.builds(
        Request,
        nodes_min=st.integers(1, 4),
        nodes_max=st.none() | st.integers(1, 6),
        tasks=st.integers(1, 40),
        cpus_per_task=st.integers(1, 9),
        cpus_total=st.integers(1, 40),
        tasks_per_node=st.none() | st.integers(1, 8),
        memory_per_cpu_mib=st.integers(0, 9000),
        gpus_per_job=st.sampled_from([Resources(), gpus(1), gpus(3)]),
        exclusive=st.booleans(),
    )
)
def test_whatever_is_asked_for_fits_when_it_is_laid_out(request: Request) -> None:
    layout = lay_out(request, TWO_GPUS, 0)
    if layout is None:
        return
    assert layout.each.fits_in(TWO_GPUS)
    assert layout.nodes >= request.nodes_min
    assert layout.each.cpus * layout.nodes >= request.cpus_total
    assert layout.each.gpu_count * layout.nodes >= request.gpus_per_job.gpu_count
