"""Values for tests: each builder gives something plausible, and a test names only what it is about.

``NOW`` is the moment at which everything is taken to be looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from clues.model import (
    Breaker,
    Budget,
    Budgets,
    Claim,
    ClaimState,
    ClusterSnapshot,
    Flavor,
    Forecast,
    Gpu,
    Instance,
    InstanceState,
    Job,
    Kind,
    Limits,
    Listing,
    LoggedNote,
    Market,
    Memory,
    Node,
    Observed,
    Offer,
    Operator,
    Outlook,
    Period,
    Plan,
    Pool,
    Price,
    Published,
    Quota,
    Resources,
    Settings,
    Site,
    SiteTerms,
    Spent,
    Verdict,
    Wish,
    World,
)

NOW = datetime(2026, 3, 2, 14, 0, 0, tzinfo=UTC)

CPU_SHAPE = Resources(cpus=8, memory_mib=30 * 1024)
GPU_SHAPE = Resources(cpus=8, memory_mib=60 * 1024, gpus=(Gpu("a10", 1),))

#: Slurm's flags of a CLOUD node in the moments of its life.
OFF = frozenset({"IDLE", "CLOUD", "DRAIN", "POWERED_DOWN"})
OPEN_OFF = frozenset({"IDLE", "CLOUD", "POWERED_DOWN"})
IDLE = frozenset({"IDLE", "CLOUD"})
CLOSED = frozenset({"IDLE", "CLOUD", "DRAIN"})
BUSY = frozenset({"ALLOCATED", "CLOUD"})
DRAINING = frozenset({"ALLOCATED", "CLOUD", "DRAIN"})
DOWN = frozenset({"DOWN", "CLOUD", "NOT_RESPONDING"})


def ago(**amount: float) -> datetime:
    """Return a moment before NOW: ``ago(minutes=4)``."""
    return NOW - timedelta(**amount)


def ahead(**amount: float) -> datetime:
    """Return a moment after NOW."""
    return NOW + timedelta(**amount)


def make_offer(site: str = "cesnet", flavor: str = "hpc.8core", **more: Any) -> Offer:
    return Offer(**{"site": site, "flavor": flavor, "image": "clues-worker", "price_per_hour": 0.0, **more})


def make_site(name: str = "cesnet", **more: Any) -> Site:
    return Site(**{"name": name, "connector": "local", "limits": Limits(vms=40), **more})


def make_pool(
    name: str = "cpu",
    count: int = 4,
    *,
    shape: Resources = CPU_SHAPE,
    offers: Iterable[Offer] | None = None,
    **more: Any,
) -> Pool:
    """Return a pool of nodes ``NAME-1`` … ``NAME-count``, as many digits as the last one needs."""
    digits = len(str(count))
    nodes = tuple(f"{name}-{number:0{digits}}" for number in range(1, count + 1))
    return Pool(
        **{
            "name": name,
            "nodes": nodes,
            "shape": shape,
            "offers": tuple(offers) if offers is not None else (make_offer(),),
            "features": frozenset({name}),
            "partitions": (name,),
            **more,
        }
    )


def make_settings(pools: Iterable[Pool] | None = None, sites: Iterable[Site] | None = None, **more: Any) -> Settings:
    pools = [make_pool()] if pools is None else list(pools)
    wanted = dict.fromkeys(site for pool in pools for site in pool.sites)
    sites = [make_site(name) for name in wanted] if sites is None else list(sites)
    return Settings(
        **{
            "cluster": "deep",
            "sites": {site.name: site for site in sites},
            "pools": {pool.name: pool for pool in pools},
            **more,
        }
    )


def make_node(name: str = "cpu-1", flags: Iterable[str] = OFF, **more: Any) -> Node:
    return Node(
        **{
            "name": name,
            "flags": frozenset(flags),
            "capacity": CPU_SHAPE,
            "partitions": frozenset({name.partition("-")[0]}),
            "reason": "clues:off" if "DRAIN" in flags else "",
            **more,
        }
    )


def spent(amount: float, pool: str = "cpu", account: str = "") -> Spent:
    """Return what was spent, all of it within the hour."""
    return Spent({period: {(pool, account): amount} for period in Period})


def make_job(job: str = "101", state: str = "PENDING", **more: Any) -> Job:
    return Job(
        **{
            "id": job,
            "user": "alice",
            "state": state,
            "reason": "Resources" if state == "PENDING" else "None",
            "partitions": ("cpu",),
            "submitted": ago(minutes=5),
            "started": None if state == "PENDING" else ago(minutes=2),
            **more,
        }
    )


def make_claim(node: str = "cpu-1", state: ClaimState = ClaimState.READY, **more: Any) -> Claim:
    """Return a claim that came to its state a minute ago; with an instance once it has booted."""
    has_instance = state not in {ClaimState.PLANNED, ClaimState.LAUNCHING}
    generation = more.get("generation", 1)
    return Claim(
        **{
            "key": f"{node}-{generation}",
            "kind": Kind.WORKER,
            "node": node,
            "pool": node.partition("-")[0],
            "generation": generation,
            "offer": make_offer(),
            "shape": CPU_SHAPE,
            "state": state,
            "since": ago(minutes=1),
            "created_at": ago(minutes=10),
            "instance_id": f"i-{node}" if has_instance else "",
            "address": "10.77.1.10" if has_instance else "",
            **more,
        }
    )


def make_instance(claim: Claim | None = None, **more: Any) -> Instance:
    """Return the running instance of a claim."""
    claim = claim or make_claim()
    return Instance(
        **{
            "id": claim.instance_id or f"i-{claim.node}",
            "site": claim.offer.site,
            "state": InstanceState.RUNNING,
            "cluster": "0b5c4f0e-0000-4000-8000-000000000001",
            "launch_key": claim.key,
            "node": claim.node,
            "kind": claim.kind.value,
            "pool": claim.pool,
            "generation": claim.generation,
            "created_at": claim.created_at,
            **more,
        }
    )


def make_snapshot(
    nodes: Iterable[Node] = (), jobs: Iterable[Job] = (), *, taken_at: datetime = NOW, **more: Any
) -> ClusterSnapshot:
    return ClusterSnapshot(
        **{"taken_at": taken_at, "nodes": {node.name: node for node in nodes}, "jobs": tuple(jobs), **more}
    )


def make_world(
    nodes: Iterable[Node] = (),
    jobs: Iterable[Job] = (),
    claims: Iterable[Claim] = (),
    *,
    sites: Iterable[str] = ("cesnet",),
    taken_at: datetime = NOW,
    **more: Any,
) -> World:
    """Return a world in which Slurm and all *sites* were seen at *taken_at*."""
    snapshot = make_snapshot(nodes, jobs, taken_at=taken_at)
    claims = list(claims)
    listings = {
        site: Observed(
            Listing(
                site,
                taken_at,
                tuple(make_instance(one) for one in claims if one.instance_id and one.offer.site == site),
            ),
            taken_at,
        )
        for site in sites
    }
    return World(
        **{
            "lrms": Observed(snapshot, taken_at),
            "listings": listings,
            "claims": {claim.key: claim for claim in claims},
            "cluster": "0b5c4f0e-0000-4000-8000-000000000001",
            **more,
        }
    )


def make_published(
    settings: Settings | None = None,
    world: World | None = None,
    plan: Plan | None = None,
    *,
    ticks: int = 7,
    **more: Any,
) -> Published:
    """Return what a tick published; a pool's nodes that the world lacks are off."""
    settings = settings or make_settings()
    if world is None:
        world = make_world(
            [make_node(name) for pool in settings.pools.values() for name in pool.nodes], sites=settings.sites
        )
    return Published(
        **{
            "at": NOW,
            "started_at": ago(hours=1),
            "ticks": ticks,
            "settings": settings,
            "world": world,
            "plan": plan or Plan(memory=world.memory),
            **more,
        }
    )


def make_note(number: int = 1, subject: str = "cpu-1", text: str = "node opened", **more: Any) -> LoggedNote:
    return LoggedNote(
        **{"id": number, "at": ago(minutes=1), "kind": "opened", "subject": subject, "text": text, **more}
    )


def hybrid() -> Published:
    """Return a hybrid cluster in the middle of its work, with a bit of everything that screens show."""
    spot = make_offer("aws", "g5.2xlarge", market=Market.SPOT, price_per_hour=0.49)
    a10 = make_offer("cesnet", "gpu.a10")
    cpu = make_pool("cpu", 100, offers=[make_offer(), make_offer("upv", "medium")])
    gpu = make_pool("gpu", 16, shape=GPU_SHAPE, offers=[a10, spot])
    sites = [
        make_site("cesnet", connector="openstack", limits=Limits(vms=40, cpus=320, gpus=8)),
        make_site("upv", connector="opennebula", limits=Limits(vms=20)),
        make_site("aws", connector="ec2", limits=Limits(gpus=8, cost_per_hour=25.0)),
    ]
    claims = [
        *(
            make_claim(f"cpu-00{n}", since=ago(hours=2), idle_since=ago(minutes=3) if n == 4 else None)
            for n in range(1, 5)
        ),
        make_claim("gpu-01", offer=a10, shape=GPU_SHAPE, since=ago(hours=2)),
        make_claim("gpu-02", ClaimState.JOINING, offer=spot, shape=GPU_SHAPE, since=ago(seconds=48)),
        make_claim("gpu-03", ClaimState.LAUNCHING, offer=spot, shape=GPU_SHAPE, since=ago(seconds=4)),
        make_claim("gpu-04", ClaimState.FAILED, offer=spot, shape=GPU_SHAPE, reason="1 GPU a10 wanted, none found"),
    ]
    flags: Mapping[str, frozenset[str]] = {
        **dict.fromkeys(("cpu-001", "cpu-002", "cpu-003", "gpu-01"), BUSY),
        "cpu-004": IDLE,
        **dict.fromkeys(("gpu-02", "gpu-04"), CLOSED),
    }
    names = (*cpu.nodes, *gpu.nodes)
    nodes = [
        make_node(name, flags.get(name, OFF), capacity=gpu.shape if "gpu" in name else cpu.shape) for name in names
    ]
    nodes[4] = make_node("cpu-005", OFF, reason="broken fan [root]")
    nodes.append(make_node("login-01", {"IDLE"}, partitions=frozenset({"local"})))
    jobs = [
        make_job("4188", "RUNNING", nodes=("gpu-01",), partitions=("gpu",)),
        *(make_job(f"4100_{n}", "RUNNING", nodes=(f"cpu-00{n}",), user="bob") for n in range(1, 4)),
        make_job("4240_[1-2]", count=2, count_pending=2, partitions=("gpu",), priority=90),
        make_job("4242", partitions=("gpu",), priority=80),
        make_job("4250", reason="Dependency"),
    ]
    outlooks = {
        "4240_[1-2]": Outlook("4240_[1-2]", Verdict.STARTING, "2 nodes of pool gpu are starting at aws", "gpu", 2),
        "4242": Outlook(
            "4242", Verdict.BLOCKED, "4 nodes of pool gpu at one site: cesnet has 8 of 8 GPUs in use", "gpu", 4
        ),
        "4250": Outlook("4250", Verdict.WAITS, "waits for another job (Dependency)", "cpu"),
    }
    memory = Memory(
        breakers={
            spot.key: Breaker(
                spot.key, "no-capacity", "no capacity for g5.2xlarge", ago(minutes=9), ahead(seconds=40), 3
            )
        }
    )
    world = make_world(nodes, jobs, claims, sites=("cesnet", "upv"), memory=memory, spent=spent(14.3))
    throttled = Observed(Listing("aws", ago(minutes=4), ()), ago(minutes=4), "throttled, again in 40 s")
    listings = {**world.listings, "upv": Observed(Listing("upv", ago(seconds=3), ()), ago(seconds=3)), "aws": throttled}
    operator = Operator(wishes={"cpu-006": Wish.DISABLED})
    world = World(
        lrms=Observed(world.lrms.value, ago(seconds=0.4)),
        listings=listings,
        claims=world.claims,
        memory=memory,
        operator=operator,
        cluster=world.cluster,
        spent=spent(14.3),
    )
    forecasts = {
        "4240_[1-2]": Forecast(ahead(minutes=3), ahead(minutes=4), ahead(minutes=5), "2 nodes that start"),
        "4242": Forecast(ahead(minutes=38), ahead(minutes=50), ahead(minutes=75), "running jobs of gpu"),
        "4250": Forecast(waits_for="other jobs"),
    }
    plan = Plan(outlooks=outlooks, forecasts=forecasts, memory=memory, cost_per_hour=1.92)
    settings = make_settings([cpu, gpu], sites, budgets=Budgets(Budget(per_day=200.0)))
    return make_published(settings, world, plan)


def told_terms() -> dict[str, SiteTerms]:
    """Return what the sites of :func:`hybrid` tell of their terms: one tells much, one little, one nothing."""
    onprem = SiteTerms(
        quota=Observed(Quota(Limits(vms=8, cpus=96), Resources(cpus=48), 6), ago(minutes=2)),
        prices=Observed({}, ago(minutes=2)),
        flavors=Observed({"hpc.8core": Flavor("hpc.8core", Resources(8, 32 * 1024))}, ago(minutes=2)),
    )
    upv_price = Price(0.02, "USD", "the template's cost")
    lone = SiteTerms(
        quota=Observed(None, ago(minutes=2)), prices=Observed({"upv/medium/on-demand": upv_price}, ago(minutes=2))
    )
    aws = SiteTerms(credentials=Observed(ahead(hours=20), ago(minutes=4)), quota=Observed(error="403 not authorized"))
    return {"cesnet": onprem, "upv": lone, "aws": aws}


def haggled() -> Published:
    """Return the cluster of :func:`hybrid` with what its sites tell of their terms."""
    published = hybrid()
    pools = {
        name: replace(pool, offers=tuple(_unpriced(one) if one.site == "upv" else one for one in pool.offers))
        for name, pool in published.settings.pools.items()
    }
    terms = told_terms()
    counted = {key: one for key, one in published.world.claims.items() if one.offer.site == "cesnet"}
    return replace(
        published,
        settings=replace(published.settings, pools=pools),
        world=replace(published.world, terms={**terms, "cesnet": replace(terms["cesnet"], counted=counted)}),
    )


def _unpriced(offer: Offer) -> Offer:
    return replace(offer, price_per_hour=None)
