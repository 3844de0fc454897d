"""What the next tick would do and cost, under the settings in use or others, without doing it.

It is the planner's own decision about the world that the last tick saw. Both are frozen, and nothing of the outcome is
committed or carried out: whoever asks may ask anything.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from clues.model import (
    Change,
    Claim,
    ClaimState,
    Fate,
    Forecast,
    Kind,
    Plan,
    Published,
    Purchase,
    Rehearsal,
    Settings,
    World,
)
from clues.planner.decide import decide
from clues.units import show_duration

_WORDS = {ClaimState.READY: "open", ClaimState.DRAINING: "drain", ClaimState.STOPPING: "end"}


def rehearse(published: Published, settings: Settings, now: datetime) -> Rehearsal:
    """Return what the next tick would do if the daemon went by *settings*.

    :param published: the picture of the last tick.
    """
    before, plan = published.world, published.plan
    world = replace(before, memory=plan.memory, seen=plan.seen)  # its claims are as the tick left them
    then = decide(world, settings, now)
    return Rehearsal(
        at=now,
        settings=settings,
        purchases=_purchases(world, then),
        changes=_changes(world, then),
        jobs=_fates(world, then),
        cost_per_hour_now=plan.cost_per_hour,
        cost_per_hour_then=then.cost_per_hour,
        blind=_blind(world, settings, now),
    )


def _purchases(world: World, plan: Plan) -> tuple[Purchase, ...]:
    alike: dict[tuple[str, str], list[Claim]] = {}
    for claim in plan.claims:
        if claim.key not in world.claims and claim.live and not claim.adopted:
            alike.setdefault((claim.pool, claim.offer.key), []).append(claim)
    return tuple(
        Purchase(
            pool if claims[0].kind is not Kind.ROUTER else "",
            claims[0].offer,
            tuple(one.node for one in claims),
            tuple(dict.fromkeys(job for one in claims for job in one.jobs)),
        )
        for (pool, _), claims in alike.items()
    )


def _changes(world: World, plan: Plan) -> tuple[Change, ...]:
    changes = []
    for claim in plan.claims:
        old = world.claims.get(claim.key)
        if old is not None and old.state is not claim.state and claim.state in _WORDS:
            changes.append(Change(claim.node, _WORDS[claim.state], claim.reason))
    return tuple(changes)


def _fates(world: World, plan: Plan) -> tuple[Fate, ...]:
    users = {job.id: job.user for job in world.lrms.value.jobs} if world.lrms.value is not None else {}
    return tuple(
        Fate(name, users.get(name, ""), outlook, plan.forecasts.get(name, Forecast()))
        for name, outlook in plan.outlooks.items()
    )


def _blind(world: World, settings: Settings, now: datetime) -> str:
    looked, limit = world.lrms, settings.pace.stale_after
    if looked.error:
        return f"Slurm could not be read: {looked.error}"
    if looked.fresh(now, limit) is None:
        age = looked.age(now)
        return "Slurm has not been read yet" if age is None else f"Slurm was read {show_duration(age)} ago"
    return ""
