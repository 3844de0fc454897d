"""How much work one tick is at 5,000 nodes and 10,000 jobs: parse what Slurm prints, decide, commit to the disk.

Each round is a process of its own, so that peak memory is that of one daemon and nothing is remembered from before.
The cluster's pools start empty-handed: every node without a VM is free to be bought, so the first tick buys as much as
the brake allows, which is the dearest kind of tick.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import median

from clues.ledger import Commit, open_ledger
from clues.model import Listing, Memory, Observed, Offer, Pool, Resources, Settings, Site, World, make_gpus
from clues.model.resources import Gpu
from clues.planner import decide
from lrms.slurm.snapshot import read_snapshot
from tests.lab.bench.figures import Figure
from tests.lab.synthetic import TAKEN_AT, make_raw

ROUNDS = 5


def run() -> list[Figure]:
    """Measure in *ROUNDS* fresh processes; medians."""
    results = []
    for _ in range(ROUNDS):
        done = subprocess.run(
            [sys.executable, "-m", "tests.lab.bench.tick"], capture_output=True, text=True, check=True
        )
        results.append(json.loads(done.stdout))
    return [
        Figure(
            "cpu_seconds", median(one["cpu_seconds"] for one in results), "s", "under 1.0 (CLUES 2.3: 40 for the nodes)"
        ),
        Figure("parse_cpu_seconds", median(one["parse"] for one in results), "s"),
        Figure("decide_cpu_seconds", median(one["decide"] for one in results), "s"),
        Figure("commit_cpu_seconds", median(one["commit"] for one in results), "s"),
        Figure("peak_memory_mib", median(one["peak_memory_mib"] for one in results), "MiB", "under 200"),
        Figure("claims_bought", median(one["claims"] for one in results), "claims"),
    ]


def _round() -> dict[str, float]:
    raw = make_raw()
    settings = _settings(raw.nodes)
    with tempfile.TemporaryDirectory() as folder:
        ledger = open_ledger(Path(folder) / "ledger.db")
        times = [time.process_time()]
        snapshot = read_snapshot(raw, TAKEN_AT)
        times.append(time.process_time())
        listings = {site: Observed(Listing(site, TAKEN_AT, ()), TAKEN_AT) for site in settings.sites}
        plan = decide(World(Observed(snapshot, TAKEN_AT), listings, {}, cluster="0" * 36), settings, TAKEN_AT)
        times.append(time.process_time())
        ledger.commit(Commit(claims=plan.claims, notes=plan.notes, memory=Memory()))
        times.append(time.process_time())
        ledger.close()
    parse, deciding, commit = (after - before for before, after in pairwise(times))
    # ru_maxrss is in KiB on Linux; it includes the interpreter, all imports and the raw text
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "cpu_seconds": times[-1] - times[0],
        "parse": parse,
        "decide": deciding,
        "commit": commit,
        "peak_memory_mib": memory,
        "claims": len(plan.claims),
    }


def _settings(nodes: str) -> Settings:
    names = [line.split(" ", 1)[0].removeprefix("NodeName=") for line in nodes.splitlines()]
    offers = (Offer("cesnet", "m", "i"), Offer("upv", "m", "i", price_per_hour=0.1))
    cpu = Pool(
        "cpu", tuple(one for one in names if one.startswith("cpu")), Resources(8, 30720), offers, partitions=("cpu",)
    )
    gpus = Resources(8, 61440, make_gpus([Gpu("a10", 2)]))
    gpu = Pool("gpu", tuple(one for one in names if one.startswith("gpu")), gpus, offers, partitions=("gpu",))
    settings = Settings("bench", {name: Site(name, "local") for name in ("cesnet", "upv")}, {"cpu": cpu, "gpu": gpu})
    return replace(settings, pace=replace(settings.pace, launches_per_tick=1000))


if __name__ == "__main__":
    print(json.dumps(_round()))
