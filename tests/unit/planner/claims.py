"""One claim in each phase of its life, and worlds around one claim."""

from __future__ import annotations

from typing import Any

from clues.model import Claim, ClaimState, Facts, InstanceState, Operator, Wish, World
from tests.unit.builders import CLOSED, CPU_SHAPE, NOW, ago, make_claim, make_instance, make_node
from tests.unit.planner.deciding import cluster, listed, plan, state_of

S = ClaimState
GOOD = Facts(CPU_SHAPE.cpus, CPU_SHAPE.memory_mib)


def after(world: World, node: str = "cpu-1") -> ClaimState | None:
    return state_of(plan(world), world, node)


def one(claim: Claim, flags: Any = CLOSED, **more: Any) -> World:
    return cluster(
        more.pop("jobs", ()),
        [claim],
        nodes=[make_node(claim.node, flags, reason=more.pop("reason", "clues:off"))],
        **more,
    )


def shown(claim: Claim, state: InstanceState, flags: Any = CLOSED) -> World:
    return listed(one(claim, flags), make_instance(claim, state=state))


PLANNED = make_claim(state=S.PLANNED, since=NOW)
LAUNCHING = make_claim(state=S.LAUNCHING, since=ago(seconds=30), launched_at=ago(seconds=30), launches=1)
BOOTING = make_claim(state=S.BOOTING, launched_at=ago(minutes=2))
JOINING = make_claim(state=S.JOINING, facts=GOOD, since=ago(seconds=20))
READY = make_claim(opened_at=ago(minutes=5), ready_at=ago(minutes=5))
LEAVING = make_claim(state=S.DRAINING, ready_at=ago(hours=1), opened_at=ago(hours=1))
FAILED = make_claim(state=S.FAILED, failure="boot")
STOPPING = make_claim(state=S.STOPPING, terminated_at=ago(seconds=5))
DISABLED = Operator(wishes={"cpu-1": Wish.DISABLED})
LONG_MISSING: dict[str, Any] = {"launched_at": ago(hours=1), "missing_since": ago(minutes=3)}
