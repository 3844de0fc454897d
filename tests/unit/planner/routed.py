"""A cluster with a site behind a router, its router in each phase, and worlds in which its tunnel is up or not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from clues.model import (
    Attach,
    Claim,
    ClaimState,
    HubStatus,
    Kind,
    Observed,
    OverlayStatus,
    Plan,
    Resources,
    RouterPlan,
    Settings,
    Tunnel,
    World,
)
from clues.planner import decide
from tests.unit.builders import NOW, ago, make_claim, make_node, make_offer, make_pool, make_settings, make_site
from tests.unit.planner.deciding import cluster

S = ClaimState
SMALL = Resources(1, 2048)
ROUTER_OFFER = make_offer("upv", "small", price_per_hour=0.02)
WORKER_OFFER = make_offer("upv", "large")
PLAN = RouterPlan(
    ROUTER_OFFER,
    SMALL,
    linger=timedelta(minutes=10),
    boot_deadline=timedelta(minutes=10),
    join_deadline=timedelta(minutes=2),
    silent_after=timedelta(minutes=1),
)


def routed_settings(**site: Any) -> Settings:
    """Return one pool of four nodes, at the site upv behind its router, and failing that at aws."""
    upv = make_site("upv", **{"attach": Attach.ROUTER, "router": PLAN, **site})
    return make_settings([make_pool(offers=[WORKER_OFFER, make_offer("aws", "c7i", price_per_hour=0.5)])], [upv, AWS])


AWS = make_site("aws")
SETTINGS = routed_settings()


def router(state: ClaimState = S.READY, **more: Any) -> Claim:
    """Return upv's router; since an hour ready with its tunnel up, if it is ready."""
    up = {"ready_at": ago(hours=1), "tunnel_since": ago(hours=1)} if state in {S.READY, S.DRAINING} else {}
    vm = {"launched_at": ago(minutes=2), "launches": 1, "tunnel": "10.77.252.10"} if state is not S.PLANNED else {}
    values = {"kind": Kind.ROUTER, "pool": "", "offer": ROUTER_OFFER, "shape": SMALL, **up, **vm, **more}
    return make_claim("router-upv", state, **values)


def worker(node: str = "cpu-1", state: ClaimState = S.READY, **more: Any) -> Claim:
    return make_claim(node, state, **{"offer": WORKER_OFFER, **more})


def told(*keys: str, at: datetime = NOW, hub: bool = True) -> Observed[OverlayStatus]:
    """Return the word of a central point that has the tunnels of these claims."""
    tunnels = {key: Tunnel(key, "main", "198.51.100.7:4096", "10.77.252.10", ago(hours=1)) for key in keys}
    return Observed(OverlayStatus(at, (HubStatus("main", hub, at),), tunnels), at)


UP = told("router-upv-1")
DOWN = told()
NO_HUB = told(hub=False)
NOT_READ = replace(told(at=ago(minutes=5)), error="the broker's word cannot be read")


def world(*claims: Claim, jobs: Iterable[Any] = (), overlay: Observed[OverlayStatus] = UP, **more: Any) -> World:
    """Return a world with these claims, their nodes as *flags* has them, else off."""
    flags = more.pop("flags", {})
    nodes = [make_node(name, some, reason=more.pop("reason", "")) for name, some in flags.items()]
    return cluster(jobs, claims, more.pop("settings", SETTINGS), nodes=nodes, overlay=overlay, **more)


def planned(seen: World, settings: Settings = SETTINGS) -> Plan:
    return decide(seen, settings, NOW)


def after(seen: World, node: str = "router-upv", settings: Settings = SETTINGS) -> Claim:
    """Return a node's claim after the decision, as it shall be committed."""
    claims = {**seen.claims, **{claim.key: claim for claim in planned(seen, settings).claims}}
    return next(claim for claim in claims.values() if claim.node == node)


def kinds(decided: Plan) -> list[tuple[str, ClaimState]]:
    """Return what was newly bought, and in which state it begins."""
    return [(one.node, one.state) for one in decided.claims if one.created_at == NOW and not one.adopted]
