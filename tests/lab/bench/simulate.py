"""How fast the simulated world is, and how policies do on traces.

Speed: events in a second with every invariant looked at, and jobs of a trace in a CPU-second. That trace is made here,
with a seed: short jobs of one to sixteen CPUs that come at all times of day. The work of one job does not grow with
their number, which a second, larger round shows.

Policies: jobs of each trace that is named (SWF, output of sacct, CSV of GPU pods) under the planner as it is and under
every baseline: same pools, same prices, same boot times, no faults for anybody. The baselines give a job of several
nodes whatever nodes there are; so may ``clues`` here (``span: true``), but for the rows that say otherwise.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

from clues.model import ANY_GPU, Gpu, Limits, Offer, Pool, Resources, Settings, Site
from clues.simulation.play import play
from clues.simulation.trials.fitting import fit
from clues.simulation.trials.outcome import Outcome
from clues.simulation.trials.peers import PEERS
from clues.simulation.trials.policies import BOUND, Policy
from clues.simulation.trials.side_by_side import play_all
from clues.simulation.trials.traces import Trace, TraceJob, read_trace
from clues.simulation.trials.trial import Conditions, run_trial
from clues.simulation.worlds.scenarios import SCENARIOS
from tests.lab.bench.figures import Figure

#: A trace that lasts longer, in seconds, is not played under TARDIS' rules, which start VMs every half minute.
LONG = 30 * 86400.0
#: Whom nobody can beat, and nobody is.
BEST = "clairvoyant_bound"
#: A year of so many jobs is to take ten minutes.
YEAR = 500_000


def run(jobs: int) -> list[Figure]:
    """Measure speed."""
    began, events = time.process_time(), 0
    for name in ("storm", "storm-private", "errors", "kind"):
        for seed in range(2):
            events += play(name, seed).time.count
    rate = events / (time.process_time() - began)
    small, large = _jobs_per_second(jobs), _jobs_per_second(3 * jobs)
    return [
        Figure("events_per_second", rate, "1/s", "with every invariant looked at after each event"),
        Figure("scenarios", len(SCENARIOS), "kinds of worlds"),
        Figure("jobs_per_cpu_second", small, "1/s", f"{YEAR / 600:.0f} ({YEAR:,} jobs in ten minutes)"),
        Figure("jobs_per_cpu_second_of_more", large, "1/s", "from three times as many: no growth"),
        Figure("minutes_per_year", YEAR / large / 60, "min", f"under 10, for {YEAR:,} jobs"),
    ]


def play_traces(paths: Sequence[Path], part: tuple[int, int], seed: int, processes: int) -> list[Figure]:
    """Play the jobs from one number up to another of each trace under every policy."""
    figures: list[Figure] = []
    for path in paths:
        figures += _policies(part_of(read_trace(path, part[1]), part[0]), Conditions(seed), processes)
    return figures


def part_of(trace: Trace, skip: int) -> Trace:
    """Return a trace without its first jobs, beginning at time 0."""
    left = trace.jobs[skip:]
    begin = left[0].submitted if left else 0.0
    return replace(trace, jobs=tuple(replace(job, submitted=job.submitted - begin) for job in left))


def play_year(count: int) -> list[Figure]:
    """Play a whole year of so many jobs, and tell how far it is as it goes."""
    settings, apart = _crowd(), 365 * 86400.0 / count
    fitted = fit(_jobs(count, apart), settings)
    before, cpu, wall = _peak_mib(), time.process_time(), time.monotonic()
    told = 0.0

    def tell(share: float) -> None:
        nonlocal told
        if share >= told + 0.01:
            told = share
            spent = time.process_time() - cpu
            print(f"{share:.0%}: {share * count / spent:.0f} jobs a CPU-second, {_peak_mib():.0f} MiB", file=sys.stderr)

    outcome = run_trial("clues", settings, fitted, Conditions(), tell)
    if len(outcome.waits) != count:
        raise AssertionError(f"{count - len(outcome.waits)} jobs did not end")
    spent = time.process_time() - cpu
    return [
        Figure("year_jobs", count, "jobs", "in 365 days, at all times of day"),
        Figure("year_cpu_minutes", spent / 60, "min", f"under 10, for {YEAR:,} jobs"),
        Figure("year_wall_minutes", (time.monotonic() - wall) / 60, "min"),
        Figure("year_jobs_per_cpu_second", count / spent, "1/s", f"{YEAR / 600:.0f}"),
        Figure("year_peak_memory", _peak_mib(), "MiB", f"{before:.0f} of it for the trace, before anything is played"),
        Figure("year_vms", outcome.total.vms, "VMs"),
        Figure("year_mean_wait", outcome.mean_wait, "s"),
    ]


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _policies(trace: Trace, conditions: Conditions, processes: int) -> list[Figure]:
    settings = _with_used_pools(_two_sites(), trace)
    ours = [
        Policy("clues_idle_10min", _with(settings, idle=timedelta(minutes=10))),
        Policy("clues_idle_3min", _with(settings, idle=timedelta(minutes=3))),
        Policy("clues_idle_auto", _with(settings, idle_auto=True)),
        Policy("clues_by_price", _with(settings, idle_by_price=True)),
        Policy("clues_defaults", _with(settings, idle_by_price=True, span=False)),
        Policy("clues_idle_10min_gangs_at_one_site", _with(settings, idle=timedelta(minutes=10), span=False)),
        Policy("clues_idle_3min_gangs_at_one_site", _with(settings, idle=timedelta(minutes=3), span=False)),
    ]
    short = trace.lasts < LONG
    peers = [Policy(name.replace("-", "_"), settings, name) for name in PEERS if short or name != "tardis"]
    policies = [*ours, *peers, Policy(BEST, settings, BOUND)]
    told = 0

    def tell(done: int, share: float) -> None:
        nonlocal told
        if int(100 * share) > told:
            told = int(100 * share)
            print(f"{trace.name}: {done} of {len(policies)} policies played, {told} %", file=sys.stderr)

    outcomes = play_all(policies, trace.jobs, conditions, processes, tell)
    played = {one.label: outcome for one, outcome in zip(policies, outcomes, strict=True)}
    return figures_of(Path(trace.name).stem, played, [one.label for one in ours])


def figures_of(label: str, played: Mapping[str, Outcome], ours: Sequence[str]) -> list[Figure]:
    """Return waits and costs, and how ours stand against the two managers that people have."""
    figures = [Figure(f"{label}.jobs", len(played["static"].waits), "jobs")]
    for name, one in played.items():
        figures.append(Figure(f"{label}.{name}.mean_wait", one.mean_wait / 60, "min"))
        figures.append(Figure(f"{label}.{name}.cost", one.total.cost, one.currency))
        if name in ours:
            beaten = any(_is_beaten(one, other) for key, other in played.items() if key not in (name, BEST))
            figures.append(Figure(f"{label}.{name}.on_the_front", float(not beaten), "", "1: no other is better"))
    for name in ("clues", "parallelcluster"):
        peer = played[name]
        waits = [played[one].mean_wait for one in ours if played[one].total.cost <= peer.total.cost]
        costs = [played[one].total.cost for one in ours if played[one].mean_wait <= peer.mean_wait]
        if waits:
            figures.append(Figure(f"{label}.wait_at_cost_of_{name}", min(waits) / peer.mean_wait, "", "at most 0.5"))
        if costs:
            figures.append(Figure(f"{label}.cost_at_wait_of_{name}", min(costs) / peer.total.cost, "", "at most 0.8"))
    return figures


def _is_beaten(one: Outcome, other: Outcome) -> bool:
    """Whether the other waits and costs no more, and less of one of the two."""
    ours, theirs = (one.mean_wait, one.total.cost), (other.mean_wait, other.total.cost)
    return theirs != ours and theirs[0] <= ours[0] and theirs[1] <= ours[1]


def _jobs_per_second(count: int) -> float:
    settings = _crowd()
    began = time.process_time()
    outcome = run_trial("clues", settings, fit(_jobs(count), settings), Conditions())
    if len(outcome.waits) != count:
        raise AssertionError(f"{count - len(outcome.waits)} jobs did not end")
    return count / (time.process_time() - began)


def _jobs(count: int, apart: float = 60.0) -> list[TraceJob]:
    """Return short jobs, so many seconds apart on average."""
    chance, at, jobs = Random(1), 0.0, []
    for number in range(count):
        at += chance.expovariate(1 / apart)
        runs = chance.lognormvariate(6.5, 1.0)
        jobs.append(TraceJob(str(number), at, runs, chance.choice([1, 1, 2, 4, 8, 16]), runs * 2))
    return jobs


def _crowd() -> Settings:
    offers = (Offer("own", "m", "i", price_per_hour=0.1), Offer("rented", "m", "i", price_per_hour=0.3))
    nodes = tuple(f"cpu-{number:03}" for number in range(1, 101))
    pool = Pool("cpu", nodes, Resources(8, 32768), offers, partitions=("cpu",), idle=timedelta(minutes=10))
    sites = {"own": Site("own", "simulated", limits=Limits(vms=10)), "rented": Site("rented", "simulated")}
    return Settings("bench", sites, {"cpu": pool})


def _two_sites() -> Settings:
    """Forty nodes of eight CPUs, ten of them cheap; forty of eight GPUs."""
    cpu = (Offer("own", "m", "i", price_per_hour=0.1), Offer("rented", "m", "i", price_per_hour=0.4))
    gpu = (Offer("rented", "g", "i", price_per_hour=12.0),)
    pools = {
        "cpu": Pool(
            "cpu", tuple(f"cpu-{n:02}" for n in range(1, 41)), Resources(8, 64 * 1024), cpu, partitions=("cpu",)
        ),
        "gpu": Pool(
            "gpu",
            tuple(f"gpu-{n:02}" for n in range(1, 41)),
            Resources(128, 1024 * 1024, (Gpu(ANY_GPU, 8),)),
            gpu,
            partitions=("gpu",),
        ),
    }
    sites = {"own": Site("own", "simulated", limits=Limits(vms=10)), "rented": Site("rented", "simulated")}
    return _with(Settings("bench", sites, pools), span=True)


def _with_used_pools(settings: Settings, trace: Trace) -> Settings:
    """Return *settings* without the pools that no job of the trace has use for: they would cost some policies a lot."""
    used = {job.partition for _, job in fit(trace.jobs, settings).jobs}
    return replace(settings, pools={name: pool for name, pool in settings.pools.items() if name in used})


def _with(settings: Settings, **more: Any) -> Settings:
    """Return *settings* with something else in each pool."""
    return replace(settings, pools={name: replace(pool, **more) for name, pool in settings.pools.items()})
