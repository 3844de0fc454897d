"""First-fit-decreasing, re-implemented as the textbooks have it, with the limits kept: what packing costs by habit.

The largest jobs first; each goes where it first fits, else the cheapest node that holds it is bought. It is given
what the planner is given, and bought for by the same rules: whole gangs at one site, every limit kept.
"""

from __future__ import annotations

from tests.optimum.instances import Ask, Instance, PoolOf
from tests.optimum.plans import Bill, Bought, Vector


def first_fit_decreasing(instance: Instance) -> Bill:
    """Return what it buys."""
    left = {name: _left(instance, name) for name in instance.sites}
    nodes_left = {pool.name: pool.most for pool in instance.pools.values()}
    largest = [max(pool.size[axis] for pool in instance.pools.values()) or 1 for axis in range(3)]
    free: list[tuple[str, list[int], Bought | None]] = [
        (room.site, list(room.free), None) for room in instance.room for _ in range(room.count)
    ]
    bill = Bill([], set(), set())
    asks = sorted(
        instance.asks,
        key=lambda ask: -max(have / most for have, most in zip(ask.each, largest, strict=True)),
    )
    for ask in asks:
        start = 0  # where nothing fits for one of an ask, nothing does for the next
        for number in range(ask.count):
            job = f"{ask.name}.{number}"
            if ask.nodes == 1:
                spot = None
                for index in range(start, len(free)):
                    site, room, _ = free[index]
                    if ask.site in ("", site) and _holds(room, ask.each):
                        spot = index
                        break
                start = len(free) if spot is None else spot
                chosen = [] if spot is None else [spot]
            else:
                chosen = _gang_room(ask, free)
            if not chosen:
                offer = _cheapest(instance, ask, left, nodes_left)
                if offer is None:
                    break
                pool, name = offer
                chosen = list(range(len(free), len(free) + ask.nodes))
                for _ in range(ask.nodes):
                    one = Bought(pool.name, name)
                    bill.bought.append(one)
                    free.append((name, list(pool.size), one))
                _take(left[name], pool, name, ask.nodes)
                nodes_left[pool.name] -= ask.nodes
                bill.on_new.add(job)
            for index in chosen:
                _, room, new = free[index]
                room[:] = [have - need for have, need in zip(room, ask.each, strict=True)]
                if new is not None:
                    new.tasks[job] += 1
            bill.served.add(job)
    return bill


def _holds(room: list[int], each: Vector) -> bool:
    return room[0] >= each[0] and room[1] >= each[1] and room[2] >= each[2]


def _gang_room(ask: Ask, free: list[tuple[str, list[int], Bought | None]]) -> list[int]:
    by_site: dict[str, list[int]] = {}
    for index, (site, room, _) in enumerate(free):
        if ask.site in ("", site) and _holds(room, ask.each):
            spots = by_site.setdefault(site, [])
            spots.append(index)
            if len(spots) == ask.nodes:
                return spots
    return []


def _left(instance: Instance, name: str) -> list[float]:
    site = instance.sites[name]
    limits = (site.vms, site.cpus, site.gib, site.gpus, site.cost, site.quota_cpus)
    return [float("inf") if limit is None else limit for limit in limits]


def _uses(pool: PoolOf, site: str, count: int) -> list[float]:
    cpus, gib, gpus = pool.size
    return [count, cpus * count, gib * count, gpus * count, pool.prices[site] * count, cpus * count]


def _cheapest(
    instance: Instance, ask: Ask, left: dict[str, list[float]], nodes_left: dict[str, int]
) -> tuple[PoolOf, str] | None:
    found = [
        (pool.prices[site], pool.name, site)
        for pool in instance.pools.values()
        for site in pool.prices
        if ask.site in ("", site)
        and _holds(list(pool.size), ask.each)
        and nodes_left[pool.name] >= ask.nodes
        and all(use <= most + 1e-9 for use, most in zip(_uses(pool, site, ask.nodes), left[site], strict=True))
    ]
    if not found:
        return None
    _, name, site = min(found)
    return instance.pools[name], site


def _take(left: list[float], pool: PoolOf, site: str, count: int) -> None:
    left[:] = [most - use for most, use in zip(left, _uses(pool, site, count), strict=True)]
