"""From sbatch to the launch call, to the job's first line; and from a node's opening to its job's start.

A real Slurm, the local connector with no boot time, one job at a time on an empty cluster, each on a node of its own
that is stopped before the next. The launch call is timed by the connector's own log, the start by the job itself.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from statistics import median
from typing import Any

from clues.model import Claim
from tests.lab.bench.figures import Figure, percentile
from tests.lab.cluster import Cluster, Plan
from tests.lab.frontend import wait_for

JOBS = 20
BLACK_HOLE_JOBS = 5
#: the daemon's own defaults, not the lab's hurried ones
DEFAULT_PACE = {"look": "10s", "poke": "1s", "look_busy": "1s", "listing": "30s", "listing_busy": "5s"}


def run(folder: Path) -> list[Figure]:
    """Measure; takes about five minutes."""
    with Cluster(folder, Plan(idle="1s", pace=DEFAULT_PACE)) as cluster:
        rounds = [_one(cluster, number) for number in range(JOBS)]
        holed = _with_black_hole(cluster)
    launches = [one["launch"] for one in rounds]
    return [
        Figure("launch_median_seconds", median(launches), "s", "under 1.5 (CLUES 2.3: 65 to 71)"),
        Figure("launch_p95_seconds", percentile(launches, 0.95), "s", "under 3"),
        Figure("output_median_seconds", median(one["output"] for one in rounds), "s", "under 5"),
        Figure("open_to_start_seconds", median(one["open_to_start"] for one in rounds), "s", "under 2"),
        Figure("open_to_start_black_hole_seconds", median(holed), "s", "under 2"),
    ]


def _one(cluster: Cluster, number: int) -> dict[str, float]:
    mark = cluster.home / f"mark-{time.monotonic_ns()}"
    # a random-ish phase against the daemon's rhythm, the same in every run
    time.sleep(0.37 * (number % 5))
    job = cluster.front.sbatch(f"date +%s.%N >{mark}", "--cpus-per-task=4", "--time=5")
    submitted = time.time()
    cluster.front.wait_job(job, "COMPLETED", timeout=60)
    output = float(mark.read_text())
    claim = _claim_for(cluster, job)
    launch = next(float(call["at"]) for call in _launches(cluster) if claim.key in call["keys"])
    opened = _opened(cluster, claim)
    cluster.wait_empty()
    # Slurm lets a node rest for SuspendTimeout before it counts as off
    wait_for("nodes to be off", lambda: _all_off(cluster) or None, 30)
    return {"launch": launch - submitted, "output": output - submitted, "open_to_start": output - opened}


def _with_black_hole(cluster: Cluster) -> list[float]:
    """Opening to start, while another node serves whose network is dead."""
    dead = cluster.front.sbatch("sleep 600", "--cpus-per-task=4", "--time=15")
    cluster.front.wait_job(dead, "RUNNING", timeout=60)
    claim = _claim_for(cluster, dead)
    _cut_off(claim.address)
    waits = []
    for number in range(BLACK_HOLE_JOBS):
        mark = cluster.home / f"mark-{time.monotonic_ns()}"
        time.sleep(0.37 * number)
        job = cluster.front.sbatch(f"date +%s.%N >{mark}", "--cpus-per-task=4", "--time=5")
        cluster.front.wait_job(job, "COMPLETED", timeout=90)
        waits.append(float(mark.read_text()) - _opened(cluster, _claim_for(cluster, job)))
        wait_for("its node to be gone", lambda job=job: _claim_for(cluster, job).ended_at, 60)  # type: ignore[misc]
        time.sleep(6)
    return waits


def _cut_off(address: str) -> None:
    """Drop everything to and from an address, silently, as a broken network does."""
    subprocess.run(["ip", "route", "add", "blackhole", f"{address}/32"], check=True)


def _claim_for(cluster: Cluster, job: int) -> Claim:
    return next(claim for claim in reversed(cluster.claims()) if str(job) in claim.jobs)


def _launches(cluster: Cluster) -> list[dict[str, Any]]:
    return [call for site in cluster.plan.vms for call in cluster.calls(site) if call.get("call") == "launch"]


def _opened(cluster: Cluster, claim: Claim) -> float:
    """When the daemon decided to open the node: the order to Slurm follows within milliseconds."""
    assert claim.ready_at is not None
    return claim.ready_at.timestamp()


def _all_off(cluster: Cluster) -> bool:
    return all("POWERED_DOWN" in node["slurm"] and "DRAIN" in node["slurm"] for node in cluster.nodes().values())
