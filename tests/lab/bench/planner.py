"""How good and how quick the planner is: fifty seeded snapshots against what they cost at least, and its CPU time.

The snapshots, the bound and the checks are those of ``tests/optimum``. First-fit-decreasing is re-implemented there,
and is given the same in the same run.
"""

from __future__ import annotations

import sys
import time
import tracemalloc
from dataclasses import replace
from statistics import mean

from clues.garbage import search_seldom
from clues.planner import decide
from tests.lab.bench.figures import Figure
from tests.optimum.bound import least_cost
from tests.optimum.instances import Instance, make_instance
from tests.optimum.peer import first_fit_decreasing
from tests.optimum.plans import Bill, bill_of, cost_of, on_new_nodes, violations
from tests.optimum.world import as_settings, as_world
from tests.unit.builders import NOW

INSTANCES = 50
#: ten thousand jobs of fifty shapes, and a thousand nodes that are half free
LARGE = 20


def run() -> list[Figure]:
    """Measure all; a quarter of an hour."""
    ours, peers, broken = [], [], 0
    for seed in range(INSTANCES):
        instance = make_instance(seed)
        bill = bill_of(decide(as_world(instance), as_settings(instance), NOW))
        broken += len(violations(instance, bill))
        ours.append(_ratio(instance, bill))
        peers.append(_ratio(instance, first_fit_decreasing(instance)))
        print(f"{instance.name}: {ours[-1]:.3f}, first-fit-decreasing {peers[-1]:.3f}", file=sys.stderr, flush=True)
    plan_cpu, tick_cpu, each = _large()
    return [
        Figure("cost_ratio_mean", mean(ours), "x", "at most 1.03"),
        Figure("cost_ratio_worst", max(ours), "x", "at most 1.10"),
        Figure("violations", broken, "", "0"),
        Figure("ffd_cost_ratio_mean", mean(peers), "x", "first-fit-decreasing, re-implemented"),
        Figure("ffd_cost_ratio_worst", max(peers), "x"),
        Figure("plan_cpu_seconds", plan_cpu, "s", "at most 0.5: 10,000 jobs of 50 shapes, 1,000 half-free nodes"),
        Figure("tick_cpu_seconds", tick_cpu, "s", "at most 0.3: deciding with the claims of that plan all there"),
        Figure("bytes_per_claim", each, "B", "at most 5120"),
    ]


def _ratio(instance: Instance, bill: Bill) -> float:
    bound = least_cost(instance, on_new_nodes(bill)).cost
    return cost_of(instance, bill) / bound if bound > 1e-6 else 1.0


def _large() -> tuple[float, float, float]:
    search_seldom()  # as the daemon does
    instance = make_instance(LARGE)
    world, settings = as_world(instance), as_settings(instance)
    began = time.process_time()
    plan = decide(world, settings, NOW)
    planned = time.process_time() - began
    later = replace(world, claims={**world.claims, **{claim.key: claim for claim in plan.claims}})
    began = time.process_time()
    decide(later, settings, NOW)
    ticked = time.process_time() - began
    tracemalloc.start()
    kept = decide(world, settings, NOW).claims
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return planned, ticked, size / max(1, len(kept))
