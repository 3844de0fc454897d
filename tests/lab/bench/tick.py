"""How much work one tick is at 5,000 nodes and 10,000 jobs: parse what Slurm prints, decide, commit to the disk.

Each round is a process of its own, so that peak memory is that of one daemon, with garbage searched for as the daemon
does. Two kinds of tick are measured:

* the *first*: nothing is remembered, every node without a VM is free to be bought, and as many are as the brake allows,
  which is the dearest kind of tick;
* a *steady* one: every node has its claim, and since the last look about one node and job in fifty has changed
  (``tests/lab/steady.py``). Reading what Slurm prints includes accounts, the commit includes what the VMs cost.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from statistics import median

from clues import garbage
from clues.ledger import Commit, open_ledger
from clues.model import Listing, Memory, Observed, Offer, Pool, Resources, Seen, Settings, Site, World, make_gpus
from clues.model.resources import Gpu
from clues.planner import decide
from clues.planner.money.payers import payers
from clues.reconciler.books import Books
from lrms.slurm.charges import Charges, Told, read_charges
from lrms.slurm.snapshot import SnapshotReader, read_snapshot
from tests.lab.bench.figures import Figure
from tests.lab.steady import CLUSTER, SteadyCluster
from tests.lab.synthetic import TAKEN_AT, make_raw

ROUNDS = 5
#: so many ticks of a steady round are measured, after as many as it takes for claims to be in all their phases
STEADY, BEFORE = 9, 6


def run() -> list[Figure]:
    """Measure in *ROUNDS* fresh processes for each kind; medians."""
    first, steady = ([_process(kind) for _ in range(ROUNDS)] for kind in ("first", "steady"))

    def middle(results: list[dict[str, float]], name: str) -> float:
        return median(one[name] for one in results)

    return [
        Figure("cpu_seconds", middle(first, "cpu_seconds"), "s", "under 1.0 (CLUES 2.3: 40 for the nodes)"),
        Figure("parse_cpu_seconds", middle(first, "parse"), "s"),
        Figure("decide_cpu_seconds", middle(first, "decide"), "s"),
        Figure("commit_cpu_seconds", middle(first, "commit"), "s"),
        Figure("peak_memory_mib", middle(first, "peak_memory_mib"), "MiB", "under 200"),
        Figure("claims_bought", middle(first, "claims"), "claims"),
        Figure("steady_cpu_seconds", middle(steady, "cpu_seconds"), "s", "at most 0.3: 5,000 claims, one transaction"),
        Figure("steady_parse_cpu_seconds", middle(steady, "parse"), "s"),
        Figure("steady_decide_cpu_seconds", middle(steady, "decide"), "s"),
        Figure("steady_commit_cpu_seconds", middle(steady, "commit"), "s"),
        Figure("steady_peak_memory_mib", middle(steady, "peak_memory_mib"), "MiB", "under 200"),
        Figure("steady_claims_changed", middle(steady, "claims"), "claims"),
    ]


def _process(kind: str) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.lab.bench.tick", kind]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def _first(folder: Path) -> dict[str, float]:
    raw = make_raw()
    settings = _settings(raw.nodes)
    ledger = open_ledger(folder / "ledger.db")
    garbage.search_seldom()
    times = [time.process_time()]
    snapshot = read_snapshot(raw, TAKEN_AT)
    times.append(time.process_time())
    listings = {site: Observed(Listing(site, TAKEN_AT, ()), TAKEN_AT) for site in settings.sites}
    plan = decide(World(Observed(snapshot, TAKEN_AT), listings, {}, cluster="0" * 36), settings, TAKEN_AT)
    times.append(time.process_time())
    ledger.commit(Commit(claims=plan.claims, notes=plan.notes, memory=Memory()))
    times.append(time.process_time())
    ledger.close()
    return _told(times, len(plan.claims))


def _steady(folder: Path) -> dict[str, float]:
    cluster = SteadyCluster()
    ledger = open_ledger(folder / "ledger.db")
    ledger.commit(Commit(claims=tuple(cluster.claims.values())))
    books = Books(ledger, cluster.now)
    reader, charges, seen = SnapshotReader(), Charges(), Seen()
    started_at = cluster.now - timedelta(hours=3)
    garbage.search_seldom()
    found = []
    for _ in range(BEFORE + STEADY):
        raw, listings, now = cluster.look(), cluster.listings(), cluster.now
        accounts, mark = cluster.charges()
        times = [time.process_time()]
        snapshot = charges.put_on(reader.read(raw, now), lambda: Told(read_charges(accounts, mark)))  # noqa: B023
        times.append(time.process_time())
        world = World(
            Observed(snapshot, now),
            listings,
            books.claims,
            books.memory,
            cluster=CLUSTER,
            generations=books.generations,
            started_at=started_at,
            seen=seen,
            spent=books.spent,
        )
        plan = decide(world, cluster.settings, now)
        times.append(time.process_time())
        spend = books.spend_until(now, payers(books.claims.values(), snapshot))
        memory = plan.memory if plan.memory != books.memory else None
        books.commit(Commit(plan.claims, plan.notes, memory, spend=spend, booked_at=now))
        books.booked(spend, now)
        times.append(time.process_time())
        seen = plan.seen
        found.append(_told(times, len(plan.claims)))
        books.commit(Commit(tuple(cluster.obey(plan.actions, books.claims))))
        books.commit(Commit(tuple(cluster.go_on(books.claims))))
    ledger.close()
    return {name: median(one[name] for one in found[BEFORE:]) for name in found[0]}


def _told(times: list[float], claims: int) -> dict[str, float]:
    parse, deciding, commit = (after - before for before, after in pairwise(times))
    # ru_maxrss is in KiB on Linux; it includes the interpreter, all imports and the raw text
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "cpu_seconds": times[-1] - times[0],
        "parse": parse,
        "decide": deciding,
        "commit": commit,
        "peak_memory_mib": memory,
        "claims": claims,
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


_KINDS: dict[str, Callable[[Path], dict[str, float]]] = {"first": _first, "steady": _steady}

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as path:
        print(json.dumps(_KINDS[sys.argv[1]](Path(path))))
