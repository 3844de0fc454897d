"""An instance as the world and the settings that the planner sees."""

from __future__ import annotations

from dataclasses import replace

from clues.model import (
    Claim,
    ClaimState,
    Gpu,
    Job,
    Limits,
    Node,
    Observed,
    Offer,
    Pace,
    Pool,
    Quota,
    Request,
    Resources,
    Settings,
    Site,
    SiteTerms,
    World,
    make_gpus,
)
from tests.optimum.instances import Ask, Instance, PoolOf
from tests.unit.builders import NOW, OFF, ago, make_claim, make_node, make_world

GiB = 1024


def resources(cpus: int, gib: int, gpus: int) -> Resources:
    return Resources(cpus, gib * GiB, make_gpus([Gpu("a10g", gpus)]))


def as_settings(instance: Instance) -> Settings:
    """Return the pools and sites of an instance; the limits hold what lives there already."""
    room_nodes: dict[str, int] = {}
    for room in instance.room:
        room_nodes[room.pool] = room_nodes.get(room.pool, 0) + room.count
    pools = {
        pool.name: Pool(
            pool.name,
            tuple(f"{pool.name}-{n:05}" for n in range(pool.most + room_nodes.get(pool.name, 0))),
            resources(*pool.size),
            tuple(_offer(pool, site) for site in pool.prices),
            features=frozenset({pool.name}),
            partitions=("all",),
        )
        for pool in instance.pools.values()
    }
    used = _used(instance)
    sites = {}
    for site in instance.sites.values():
        vms, cpus, gib, gpus, cost = used.get(site.name, (0, 0, 0, 0, 0.0))
        limits = Limits(
            vms=None if site.vms is None else site.vms + vms,
            cpus=None if site.cpus is None else site.cpus + cpus,
            gpus=None if site.gpus is None else site.gpus + gpus,
            memory_mib=None if site.gib is None else (site.gib + gib) * GiB,
            cost_per_hour=None if site.cost is None else site.cost + cost,
        )
        sites[site.name] = Site(site.name, "simulated", limits=limits)
    return Settings("yardstick", sites, pools, pace=Pace(launches_per_tick=10**6))


def as_world(instance: Instance) -> World:
    """Return the queue, the open nodes, and what the providers tell."""
    settings = as_settings(instance)
    nodes: list[Node] = []
    claims: list[Claim] = []
    at = {name: pool.most for name, pool in instance.pools.items()}
    for pool in settings.pools.values():
        most = instance.pools[pool.name].most
        nodes += [
            make_node(name, OFF, capacity=pool.shape, partitions=frozenset({"all"})) for name in pool.nodes[:most]
        ]
    for room in instance.room:
        pool = settings.pools[room.pool]
        for _ in range(room.count):
            name = pool.nodes[at[room.pool]]
            at[room.pool] += 1
            used = pool.shape.minus(resources(*room.free))
            features = frozenset({pool.name, room.site})
            nodes.append(
                make_node(
                    name,
                    {"MIXED", "CLOUD"},
                    capacity=pool.shape,
                    used=used,
                    features=features,
                    partitions=frozenset({"all"}),
                )
            )
            offer = next(one for one in pool.offers if one.site == room.site)
            opened = ago(hours=1)
            claims.append(
                make_claim(
                    name,
                    ClaimState.READY,
                    pool=pool.name,
                    offer=offer,
                    shape=pool.shape,
                    opened_at=opened,
                    used_at=opened,
                    ready_at=opened,
                    launched_at=opened,
                )
            )
    # jobs that ask for the same share the very same request, as those that the reader of Slurm's words gives
    requests = [(ask, _request(ask)) for ask in instance.asks]
    jobs = [
        Job(
            id=f"{ask.name}.{number}",
            user="alice",
            state="PENDING",
            reason="Resources",
            priority=ask.priority,
            partitions=("all",),
            request=request,
            constraint=ask.site,
            submitted=ago(minutes=5),
        )
        for ask, request in requests
        for number in range(ask.count)
    ]
    world = make_world(nodes, jobs, claims, sites=tuple(settings.sites))
    return replace(world, terms=_terms(instance, world))


def _request(ask: Ask) -> Request:
    return Request(
        nodes_min=ask.nodes,
        nodes_max=ask.nodes,
        tasks=ask.nodes,
        cpus_per_task=ask.cpus,
        cpus_total=ask.nodes * ask.cpus,
        memory_per_node_mib=ask.gib * GiB,
        gpus_per_node=resources(0, 0, ask.gpus),
    )


def _terms(instance: Instance, world: World) -> dict[str, SiteTerms]:
    terms = {}
    used = _used(instance)
    for site in instance.sites.values():
        if site.quota_cpus is not None:
            vms, cpus, gib, gpus, _ = used.get(site.name, (0, 0, 0, 0, 0.0))
            quota = Quota(Limits(cpus=site.quota_cpus + cpus), resources(cpus, gib, gpus), vms)
            counted = {key: claim for key, claim in world.claims.items() if claim.offer.site == site.name}
            terms[site.name] = SiteTerms(quota=Observed(quota, NOW), prices=Observed({}, NOW), counted=counted)
    return terms


def _used(instance: Instance) -> dict[str, tuple[int, int, int, int, float]]:
    used: dict[str, tuple[int, int, int, int, float]] = {}
    for room in instance.room:
        vms, cpus, gib, gpus, cost = used.get(room.site, (0, 0, 0, 0, 0.0))
        pool = instance.pools[room.pool]
        size, count = pool.size, room.count
        used[room.site] = (
            vms + count,
            cpus + size[0] * count,
            gib + size[1] * count,
            gpus + size[2] * count,
            cost + pool.prices[room.site] * count,
        )
    return used


def _offer(pool: PoolOf, site: str) -> Offer:
    return Offer(site, pool.name, "image", price_per_hour=pool.prices[site])
