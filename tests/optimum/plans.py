"""A plan in the yardstick's own words, and every rule that it has to keep, looked at without the planner's code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from clues.model import Plan, Verdict
from tests.optimum.instances import Ask, Instance

Vector = tuple[int, int, int]

#: in so many orders room on open nodes is looked for
_ORDERS = 60


@dataclass
class Bought:
    """One new node and what of each ask shall run on it, by job."""

    pool: str
    site: str
    #: tasks by the name of a job, ``ASK.NUMBER``
    tasks: Counter[str] = field(default_factory=Counter)


@dataclass
class Bill:
    """What a plan buys, and which jobs it lets start; those without a task on a new node run on open ones."""

    bought: list[Bought]
    served: set[str]
    #: those that are told to get nodes by purchases of this plan
    on_new: set[str]


def bill_of(plan: Plan) -> Bill:
    """Return what a plan of the planner buys, and for whom."""
    bought = [
        Bought(
            claim.pool,
            claim.offer.site,
            Counter(dict(zip(claim.jobs, claim.tasks or (1,) * len(claim.jobs), strict=True))),
        )
        for claim in plan.claims
        if claim.generation == 1 and claim.used_at is None
    ]
    hopeful = {Verdict.SERVED, Verdict.STARTING, Verdict.BUYING}
    served = {name for name, outlook in plan.outlooks.items() if outlook.verdict in hopeful}
    on_new = {name for name, outlook in plan.outlooks.items() if outlook.verdict is Verdict.BUYING}
    return Bill(bought, served, on_new)


def cost_of(instance: Instance, bill: Bill) -> float:
    """Return dollars an hour."""
    return sum(instance.pools[one.pool].prices[one.site] for one in bill.bought)


def on_new_nodes(bill: Bill) -> dict[str, tuple[int, int]]:
    """Return how many jobs of each ask use new nodes, and how many nodes' worth of them there is."""
    jobs: dict[str, set[str]] = {}
    shares: Counter[str] = Counter()
    for one in bill.bought:
        for job, tasks in one.tasks.items():
            name = job.rsplit(".", 1)[0]
            jobs.setdefault(name, set()).add(job)
            shares[name] += tasks
    return {name: (len(jobs[name]), shares[name]) for name in shares}


def served_by_ask(instance: Instance, bill: Bill) -> dict[str, int]:
    """Return how many jobs of each ask start."""
    return dict(Counter(name.rsplit(".", 1)[0] for name in bill.served))


def violations(instance: Instance, bill: Bill) -> list[str]:
    """Return in words every rule that a plan breaks."""
    asks = {ask.name: ask for ask in instance.asks}
    return [
        *_limits(instance, bill),
        *_nodes(instance, bill, asks),
        *_jobs(bill, asks),
        *_room(instance, bill, asks),
        *_priorities(instance, bill),
    ]


def _limits(instance: Instance, bill: Bill) -> list[str]:
    found = []
    for site in instance.sites.values():
        mine = [instance.pools[one.pool] for one in bill.bought if one.site == site.name]
        cpus, gib, gpus = (sum(pool.size[axis] for pool in mine) for axis in range(3))
        cost = sum(pool.prices[site.name] for pool in mine)
        for what, used, most in (
            ("VMs", len(mine), site.vms),
            ("CPUs", cpus, site.cpus),
            ("GPUs", gpus, site.gpus),
            ("GiB", gib, site.gib),
            ("dollars", cost, site.cost),
            ("CPUs of quota", cpus, site.quota_cpus),
        ):
            if most is not None and used > most + 1e-6:
                found.append(f"{site.name}: {used} of {most} {what}")
    for name, count in Counter(one.pool for one in bill.bought).items():
        if count > instance.pools[name].most:
            found.append(f"pool {name}: {count} of {instance.pools[name].most} nodes")
    return found


def _nodes(instance: Instance, bill: Bill, asks: Mapping[str, Ask]) -> list[str]:
    found = []
    for one in bill.bought:
        load = [0, 0, 0]
        if not one.tasks:
            found.append(f"{one.pool} at {one.site}: bought for nobody")
        for job, tasks in one.tasks.items():
            ask = asks[job.rsplit(".", 1)[0]]
            load = [have + more * tasks for have, more in zip(load, ask.each, strict=True)]
            if ask.site and ask.site != one.site:
                found.append(f"{job} is pinned to {ask.site}, and its node is at {one.site}")
        if any(have > most for have, most in zip(load, instance.pools[one.pool].size, strict=True)):
            found.append(f"{one.pool}: {load} on {instance.pools[one.pool].size}")
    return found


def _jobs(bill: Bill, asks: Mapping[str, Ask]) -> list[str]:
    """Whole gangs at one site, on nodes of their own; nothing twice."""
    found = []
    nodes: Counter[str] = Counter()
    sites: dict[str, set[str]] = {}
    for one in bill.bought:
        for job, tasks in one.tasks.items():
            nodes[job] += 1
            sites.setdefault(job, set()).add(one.site)
            if tasks != 1:
                found.append(f"{job}: {tasks} tasks on one node")
    for job, count in nodes.items():
        ask = asks[job.rsplit(".", 1)[0]]
        if count > ask.nodes or (count < ask.nodes and ask.nodes == 1):
            found.append(f"{job}: {count} of {ask.nodes} nodes")
        if len(sites[job]) > 1:
            found.append(f"{job}: at {sorted(sites[job])}")
        if job not in bill.served:
            found.append(f"{job}: has nodes, and is not told so")
    return found + [f"{job}: told of nodes that nobody buys" for job in bill.on_new if not nodes[job]]


def _room(instance: Instance, bill: Bill, asks: Mapping[str, Ask]) -> list[str]:
    """Whether those that shall run on open nodes have room there, by first fit of the largest."""
    have: Counter[str] = Counter()
    for one in bill.bought:
        have.update(one.tasks.keys())
    rest: Counter[str] = Counter()
    for job in bill.served:
        rest[job] += asks[job.rsplit(".", 1)[0]].nodes - have[job]
    jobs = [job for job in rest if rest[job] > 0]

    # there may be room although one order of laying them finds none: by priority, by size, then any orders of the asks
    def of(job: str) -> Ask:
        return asks[job.rsplit(".", 1)[0]]

    lost = _lost(instance, sorted(jobs, key=lambda job: (-of(job).priority, job)), rest, asks)
    if lost:
        lost = min(lost, _lost(instance, sorted(jobs, key=lambda job: of(job).each, reverse=True), rest, asks))
    chance, names = Random(1), sorted({of(job).name for job in jobs})
    for _ in range(_ORDERS):
        if not lost:
            return []
        chance.shuffle(names)
        place = {name: at for at, name in enumerate(names)}
        lost = min(lost, _lost(instance, sorted(jobs, key=lambda job: place[of(job).name]), rest, asks))
    return [f"{lost} tasks have no room on open nodes"] if lost else []


def _lost(instance: Instance, order: Sequence[str], rest: Mapping[str, int], asks: Mapping[str, Ask]) -> int:
    free: Counter[tuple[str, Vector]] = Counter()
    for room in instance.room:
        free[room.site, room.free] += room.count
    lost = 0
    for job in order:
        ask = asks[job.rsplit(".", 1)[0]]
        for _ in range(rest[job]):
            spots = [
                (room[2], room[0], room[1], site)
                for (site, room), count in free.items()
                if count and ask.site in ("", site) and all(map(int.__ge__, room, ask.each))
            ]
            if not spots:
                lost += 1
                continue
            gpus, cpus, gib, site = min(spots)
            free[site, (cpus, gib, gpus)] -= 1
            free[site, (cpus - ask.cpus, gib - ask.gib, gpus - ask.gpus)] += 1
    return lost


def _priorities(instance: Instance, bill: Bill) -> list[str]:
    """No node is bought that only lesser jobs use while a higher one, that it would hold, has none."""
    served = served_by_ask(instance, bill)
    starved = [ask for ask in instance.asks if served.get(ask.name, 0) < ask.count and ask.nodes == 1]
    priority = {ask.name: ask.priority for ask in instance.asks}
    found = []
    for one in bill.bought:
        best = max(priority[job.rsplit(".", 1)[0]] for job in one.tasks) if one.tasks else 0
        size = instance.pools[one.pool].size
        for ask in starved:
            fits = all(map(int.__le__, ask.each, size)) and ask.site in ("", one.site)
            if fits and ask.priority > best:
                found.append(f"{one.pool} at {one.site} is bought for lesser jobs than {ask.name}, which has none")
    return found


def ratios(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and the worst."""
    return sum(values) / len(values), max(values)
