"""Short words for tests of ``decide``: a cluster in, what was bought, opened, drained and ended out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from clues.model import (
    Action,
    Bind,
    Claim,
    ClaimState,
    Drain,
    Gpu,
    Instance,
    Job,
    Launch,
    Listing,
    Node,
    Observed,
    Open,
    Plan,
    PowerOff,
    Request,
    Reservation,
    Resources,
    Settings,
    Terminate,
    World,
)
from clues.planner import decide
from tests.unit.builders import CPU_SHAPE, GPU_SHAPE, NOW, OFF, make_job, make_node, make_settings, make_world

A = TypeVar("A", bound=Action)

#: features that Slurm shows for a node of a pool
FEATURES = frozenset({"cpu", "gpu", "cesnet", "upv", "aws"})


def ask(cpus: int = 1, nodes: int = 1, **more: Any) -> Request:
    """Return a request of so many CPUs on each of so many nodes, with little memory."""
    return Request(
        **{
            "nodes_min": nodes,
            "nodes_max": nodes,
            "tasks": nodes,
            "cpus_per_task": cpus,
            "cpus_total": nodes * cpus,
            "memory_per_node_mib": 1024,
            **more,
        }
    )


def gpu(count: int = 1, kind: str = "") -> Resources:
    return Resources(gpus=(Gpu(kind, count),))


def job(number: int | str = 101, cpus: int = 1, nodes: int = 1, **more: Any) -> Job:
    request = more.pop("request", None) or ask(cpus, nodes, **more.pop("ask", {}))
    return make_job(str(number), request=request, **more)


def pool_nodes(settings: Settings, flags: Mapping[str, Iterable[str]] | None = None, **more: Any) -> list[Node]:
    """Return all pool nodes, off unless *flags* says otherwise by name."""
    flags = flags or {}
    return [
        make_node(name, flags.get(name, OFF), capacity=pool.shape, partitions=frozenset(pool.partitions), **more)
        for pool in settings.pools.values()
        for name in pool.nodes
    ]


def cluster(
    jobs: Iterable[Job] = (),
    claims: Iterable[Claim] = (),
    settings: Settings | None = None,
    flags: Mapping[str, Iterable[str]] | None = None,
    *,
    nodes: Iterable[Node] = (),
    reservations: tuple[Reservation, ...] = (),
    **more: Any,
) -> World:
    """Return a world of all pool nodes; further *nodes* replace or join them."""
    settings = settings or make_settings()
    known = {node.name: node for node in pool_nodes(settings, flags)} | {node.name: node for node in nodes}
    sites = more.pop("sites", tuple(settings.sites))
    world = make_world(known.values(), jobs, claims, sites=sites, **more)
    if reservations:
        assert world.lrms.value is not None
        world = replace(world, lrms=replace(world.lrms, value=replace(world.lrms.value, reservations=reservations)))
    return world


def listed(world: World, *instances: Instance, site: str = "cesnet") -> World:
    """Return the world with just these instances listed at a site."""
    listing = Observed(Listing(site, NOW, instances), NOW)
    return replace(world, listings={**world.listings, site: listing})


def plan(world: World, settings: Settings | None = None) -> Plan:
    return decide(world, settings or make_settings(), NOW)


def bought(decided: Plan) -> list[str]:
    """Return the nodes that VMs are newly asked for, in the order of the plan."""
    return [claim.node for claim in decided.claims if claim.created_at == NOW and not claim.adopted]


def bought_at(decided: Plan) -> list[str]:
    return [claim.offer.site for claim in decided.claims if claim.created_at == NOW and not claim.adopted]


def state_of(decided: Plan, world: World, node: str = "cpu-1") -> ClaimState | None:
    """Return the state of a node's claim after the plan."""
    claims = {**world.claims, **{claim.key: claim for claim in decided.claims}}
    return next((claim.state for claim in claims.values() if claim.node == node), None)


def of(decided: Plan, kind: type[A]) -> list[A]:
    return [action for action in decided.actions if isinstance(action, kind)]


def opened(decided: Plan) -> list[str]:
    return [name for action in of(decided, Open) for name in action.nodes]


def drained(decided: Plan) -> dict[str, str]:
    return {name: action.reason for action in of(decided, Drain) for name in action.nodes}


def powered_off(decided: Plan) -> list[str]:
    return [name for action in of(decided, PowerOff) for name in action.nodes]


def terminated(decided: Plan) -> list[str]:
    return [action.instance_id for action in of(decided, Terminate)]


def launched(decided: Plan) -> list[str]:
    return [action.key for action in of(decided, Launch)]


def effects(decided: Plan) -> list[Action]:
    """Return every action but binding, which is asserted at each tick."""
    return [action for action in decided.actions if not isinstance(action, Bind)]


__all__ = [
    "CPU_SHAPE",
    "GPU_SHAPE",
    "NOW",
    "ask",
    "bought",
    "bought_at",
    "cluster",
    "drained",
    "effects",
    "gpu",
    "job",
    "launched",
    "listed",
    "of",
    "opened",
    "plan",
    "pool_nodes",
    "powered_off",
    "state_of",
    "terminated",
]
