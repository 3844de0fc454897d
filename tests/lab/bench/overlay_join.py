"""How soon a site behind NAT is part of the network: from the moment that its router is wanted to the first answer that
a worker of the other site gets from a worker there. A real cluster, with the local connector and no boot time."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median

from clues.model import Claim, Kind
from tests.lab.bench.figures import Figure
from tests.lab.cluster import Cluster, Plan
from tests.lab.frontend import wait_for

ROUNDS = 7
SLEEP = "sleep 300"


def run(folder: Path) -> list[Figure]:
    """Bring the site up and down *ROUNDS* times; a worker at the other site stays."""
    times, tunnels = [], []
    with Cluster(folder, Plan(overlay=True, idle="1s", router={"linger": "1s"})) as cluster:
        cluster.front.wait_job(cluster.front.sbatch(SLEEP, "-C", "cesnet"), "RUNNING", timeout=60)
        for _ in range(ROUNDS):
            with first_answer(cluster) as answered:
                job = cluster.front.sbatch(SLEEP, "-C", "upv")
                answered_at = wait_for("an answer from upv", partial(_first, answered), 60)
            router = max((one for one in cluster.claims() if one.kind is Kind.ROUTER), key=lambda one: one.created_at)
            times.append(answered_at - router.created_at.timestamp())
            tunnels.append(router.ready_at.timestamp() - router.created_at.timestamp() if router.ready_at else 0.0)
            cluster.front.run(["scancel", str(job)])
            wait_for("upv to be empty", lambda: True if not cluster.processes("upv") else None, 60)
            wait_for("its router's claim to end", lambda: _none_left(cluster.claims()), 60)
    return [
        Figure("join_median_seconds", median(times), "s", "under 3"),
        Figure("join_longest_seconds", max(times), "s"),
        Figure("router_ready_median_seconds", median(tunnels), "s"),
    ]


def _first(found: list[float]) -> float | None:
    return found[0] if found else None


def _none_left(claims: list[Claim]) -> bool | None:
    return None if any(one.live and one.offer.site == "upv" for one in claims) else True


@contextlib.contextmanager
def first_answer(cluster: Cluster) -> Iterator[list[float]]:
    """Ping every address that a worker at upv may get, from the worker at cesnet; note when the first one answers."""
    (worker,) = cluster.processes("cesnet").values()
    found: list[float] = []
    words = ["nsenter", f"--net=/proc/{worker.pid}/ns/net", "ping", "-n", "-D", "-i", "0.02", "-W", "1"]
    beats = [
        subprocess.Popen([*words, f"10.77.2.{host}"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for host in range(10, 16)
    ]

    def listen(process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if " bytes from " in line:
                found.append(time.time())
                return

    listeners = [threading.Thread(target=listen, args=(one,), daemon=True) for one in beats]
    for one in listeners:
        one.start()
    try:
        yield found
    finally:
        for process in beats:
            process.terminate()
            process.wait(10)
