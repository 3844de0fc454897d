"""What two looks share as the very same objects saves work; what is decided follows from the values alone."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clues.ledger import Commit, open_ledger
from clues.model import Observed, Plan, World
from clues.planner import decide
from clues.reconciler.books import Books
from lrms.slurm.snapshot import SnapshotReader, read_snapshot
from tests.lab.steady import CLUSTER, SteadyCluster


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 1000), st.integers(2, 6))
def test_a_daemon_of_many_looks_decides_as_one_that_sees_the_world_for_the_first_time(seed: int, looks: int) -> None:
    cluster = SteadyCluster(nodes=60, jobs=120, seed=seed)
    ledger = open_ledger(None)
    ledger.commit(Commit(tuple(cluster.claims.values())))
    books, reader, plan = Books(ledger, cluster.now), SnapshotReader(), Plan()
    started_at = cluster.now - timedelta(hours=3)
    for _ in range(looks):
        raw, now = cluster.look(), cluster.now
        world = World(
            lrms=Observed(reader.read(raw, now), now),
            listings=cluster.listings(),
            claims=books.claims,
            memory=books.memory,
            cluster=CLUSTER,
            generations=books.generations,
            started_at=started_at,
            seen=plan.seen,
        )
        plan = decide(world, cluster.settings, now)
        anew = deepcopy(replace(world, lrms=Observed(read_snapshot(raw, now), now)))
        assert plan == decide(_unshared(anew), deepcopy(cluster.settings), now)
        books.commit(Commit(plan.claims, plan.notes, plan.memory))
        books.commit(Commit(tuple(cluster.obey(plan.actions, books.claims))))
        books.commit(Commit(tuple(cluster.go_on(books.claims))))
    ledger.close()


def _unshared(world: World) -> World:
    """Return an equal world in which no two jobs or nodes share an object."""
    snapshot = world.lrms.value
    assert snapshot is not None
    apart = replace(
        snapshot,
        jobs=tuple(deepcopy(job) for job in snapshot.jobs),
        nodes={name: deepcopy(node) for name, node in snapshot.nodes.items()},
    )
    return replace(world, lrms=Observed(apart, world.lrms.taken_at))
