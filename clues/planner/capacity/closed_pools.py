"""A pool whose VMs come to nothing at all of its offers is closed: what is wrong is its own, mostly its image.

Each of its offers rests by itself after a failure; so a pool with many offers would go on to buy many dead VMs. Closed,
it has one try after its back-off, whichever offer that is of, and the first VM that passes its checks opens it again.
This follows from the breakers of its offers alone, at each decision.
"""

from __future__ import annotations

from dataclasses import replace

from clues.model import Breaker, Memory, Note, Pool, pool_key
from clues.planner.capacity.breaker import INVALID, back_off, holds, own_key, without
from clues.planner.view import View
from clues.units import show_duration

#: The code of a closed pool.
DEAD = "boots"


def close_pools(view: View, before: Memory, memory: Memory) -> tuple[Memory, list[Note]]:
    """Return *memory* with the pools closed, and open again, that it says so of; and a note about each change since
    *before*."""
    notes: list[Note] = []
    for pool in view.settings.pools.values():
        closed = memory.breakers.get(pool_key(pool.name))
        failed = _failed(pool, memory)
        if failed and (
            closed is not None or sum(one.failures for one in failed) >= view.settings.pace.close_pool_after
        ):
            last = max(failed, key=lambda one: (one.failed_at or one.since, one.key))
            if closed is None or (last.failed_at or last.since) > (closed.failed_at or closed.since):
                after = _closed(pool, failed, last, closed, view)
                memory = replace(memory, breakers={**memory.breakers, after.key: after})
                notes.append(_note(after, closed, view))
        elif closed is not None:
            memory = without(memory, [closed.key])
    notes += [
        Note(
            view.now, "pool", key.removeprefix("pool "), "open again: a VM of it has come up, or its offers are others"
        )
        for key, one in before.breakers.items()
        if key == pool_key(one.owner) and key not in memory.breakers
    ]
    return memory, notes


def _failed(pool: Pool, memory: Memory) -> list[Breaker]:
    """Return what is held against the VMs of each of a pool's offers; empty where one of them has nothing against it,
    or has worked since."""
    found = []
    for offer in pool.offers:
        breaker = memory.breakers.get(own_key(pool.name, offer))
        if breaker is None or breaker.allowed > 1 or not holds(breaker, offer):
            return []
        found.append(breaker)
    # requests that are refused as invalid cost nothing, and rest for long by themselves
    return found if any(one.code != INVALID for one in found) else []


def _closed(pool: Pool, failed: list[Breaker], last: Breaker, before: Breaker | None, view: View) -> Breaker:
    pace, key = view.settings.pace, pool_key(pool.name)
    failures = sum(one.failures for one in failed) if before is None else before.failures + 1
    at = last.failed_at or last.since
    rest = back_off(key, failures, (pace.retry_offer, pace.retry_offer_longest))
    return Breaker(
        key=key,
        code=DEAD,
        words=f"{last.code} of {last.offer}: {last.words}",
        since=at if before is None else before.since,
        until=at + rest,
        failures=failures,
        failed_at=at,
        owner=pool.name,
        offer=last.offer,
    )


def _note(after: Breaker, before: Breaker | None, view: View) -> Note:
    again = f"one is tried in {show_duration(max(after.until, view.now) - view.now)}"
    if before is None:
        return Note(view.now, "alarm", after.owner, f"{why_closed(after)}; {again}", (after.key,))
    return Note(
        view.now, "pool", after.owner, f"still closed, as the VM that was tried failed, too; {again}", (after.key,)
    )


def why_closed(breaker: Breaker) -> str:
    """Return in words why a pool is closed."""
    count = breaker.failures
    return f"closed: its VMs came to nothing {count} times in a row, at all of its offers; the last: {breaker.words}"
