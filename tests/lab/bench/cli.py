"""Process time of `clues status` against a daemon's API that shows 1,000 nodes: start, request, decode, print."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from clues.api.app import make_app
from clues.api.server import ApiServer
from clues.model import Published
from clues.planner.explain import explain
from tests.lab.bench.figures import Figure
from tests.unit.api.memory_control import MemoryControl
from tests.unit.builders import (
    BUSY,
    OFF,
    make_claim,
    make_job,
    make_node,
    make_pool,
    make_published,
    make_settings,
    make_world,
)

RUNS = 15


def run() -> list[Figure]:
    """Measure `clues status` at 1,000 nodes and `clues nodes -o json` at 5,000; medians of *RUNS*."""
    return [
        Figure("status_cpu_seconds", _measure(1000, ["status"]), "s", "under 0.3"),
        Figure("nodes_json_5000_cpu_seconds", _measure(5000, ["nodes", "-o", "json"]), "s"),
    ]


def _measure(nodes: int, words: Sequence[str]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        socket = Path(folder) / "clues.sock"
        server = ApiServer(make_app(MemoryControl(_large(nodes)), explain), socket)
        server.start()
        try:
            command = [str(Path(sys.executable).parent / "clues"), "--socket", str(socket), *words]
            return median(_child_seconds(command) for _ in range(RUNS))
        finally:
            server.stop()


def _child_seconds(argv: Sequence[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(argv, stdout=subprocess.DEVNULL, env={**os.environ, "COLUMNS": "120"}, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: exit {done.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _large(count: int) -> Published:
    """A cluster of *count* nodes, half of them busy, with as many pending jobs."""
    names = tuple(f"cpu-{number:04}" for number in range(1, count + 1))
    busy = names[: count // 2]
    nodes = [make_node(name, BUSY if name in set(busy) else OFF) for name in names]
    jobs = [make_job(str(number), "RUNNING", nodes=(name,)) for number, name in enumerate(busy, start=1)]
    jobs += [make_job(str(number), reason="Resources") for number in range(count, 2 * count)]
    world = make_world(nodes, jobs, [make_claim(name) for name in busy])
    return make_published(make_settings([make_pool(nodes=names)]), world)
