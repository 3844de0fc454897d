"""One decision: what is, against what is wanted, gives what to do.

The order matters.  First every claim takes its own next step, so that the queue is laid over the room that there really
is; then the queue buys and calls back; then what is idle is let go.  Commands follow last, from the states alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from clues.model import (
    Claim,
    ClaimState,
    Note,
    Plan,
    Settings,
    Wish,
    World,
)
from clues.planner.adopt import adopt
from clues.planner.demand import find_demand, unbacked
from clues.planner.doors import door_actions
from clues.planner.effects import provider_actions
from clues.planner.lessons import find_misread, learn_from_moves
from clues.planner.phases import advance
from clues.planner.phases.common import with_listing
from clues.planner.placement import Buyer
from clues.planner.supply import let_go, too_few
from clues.planner.view import View, make_view


def decide(world: World, settings: Settings, now: datetime) -> Plan:
    """Return what shall be done about *world*; a pure function of its arguments.

    The plan holds every claim that changed, to be committed before any of its actions is carried out.
    """
    view = make_view(world, settings, now)
    found, strangers = adopt(view, world.claims)
    claims = {**world.claims, **found}
    # one move for each claim and decision: every state is committed before the next follows from it
    claims = {key: with_listing(claim, view) for key, claim in claims.items()}
    leaving = {key for key, claim in claims.items() if claim.state is ClaimState.DRAINING}
    claims |= {key: advance(claim, view) for key, claim in claims.items() if key not in found and key not in leaving}
    # what has just failed is not bought again in the same breath
    memory = learn_from_moves(world.memory, world.claims, claims, now, settings.pace)
    view = replace(view, world=replace(world, memory=memory))
    buyer = Buyer(view, claims)
    if not world.operator.paused:
        _buy_directly(view, claims, buyer)
    demand = find_demand(view, claims, buyer)
    claims |= {claim.key: advance(claim, view) for claim in buyer.bought}
    # before anything is let go: a node that goes unused teaches
    memory, lessons = find_misread(view, claims, demand.outlooks)
    moved = let_go(view, claims, demand.needed)
    # those that leave go on only now: a job may have called them back
    moved |= {key: advance(claims[key], view) for key in leaving if key not in moved and key not in found}
    claims |= moved
    changed, actions = provider_actions(view, claims)
    claims |= changed
    actions += door_actions(view, claims)
    changes = [claim for key, claim in claims.items() if world.claims.get(key) != claim]
    notes = [note for claim in changes for note in _notes_on(world.claims.get(claim.key), claim, now)] + lessons
    live = [claim for claim in claims.values() if claim.live and claim.state is not ClaimState.PLANNED]
    return Plan(
        claims=tuple(changes),
        actions=tuple(actions),
        notes=tuple(notes),
        outlooks=demand.outlooks,
        memory=memory,
        granted=_granted(world, claims),
        orphans=strangers,
        cost_per_hour=sum(claim.offer.price_per_hour or 0.0 for claim in live),
    )


def _buy_directly(view: View, claims: Mapping[str, Claim], buyer: Buyer) -> None:
    """Buy for particular nodes: those that Slurm waits for, those that an operator wants on, those to keep warm."""
    wishes = view.world.operator.wishes
    for node in unbacked(view, claims):
        _buy_one(view, buyer, node.name, "Slurm has allocated it and waits")
    for pool in view.settings.pools.values():
        for node in list(buyer.vacant(pool)):
            if wishes.get(node.name) is Wish.ON:
                _buy_one(view, buyer, node.name, "operator: on")
    for name, count in too_few(view, claims).items():
        pool = view.settings.pools[name]
        for node in list(buyer.vacant(pool))[:count]:
            _buy_one(view, buyer, node.name, "kept warm")


def _buy_one(view: View, buyer: Buyer, name: str, reason: str) -> None:
    pool, node = view.pool_by_node[name], view.node(name)
    if node is None:
        return
    for offer in sorted(pool.offers, key=lambda one: one.price_per_hour or 0.0):
        if not buyer.why_not(pool, offer, 1):
            buyer.buy(pool, offer, node, (), reason)
            return


def _notes_on(before: Claim | None, claim: Claim, now: datetime) -> list[Note]:
    """Return one note for each change of state that people would want to read about."""
    if before is not None and before.state is claim.state:
        return []
    was = before.state if before is not None else "new"
    about = (claim.key, *(f"job {job}" for job in claim.jobs), claim.offer.site)
    text = f"{was} -> {claim.state}: {claim.reason or 'as planned'} [{claim.offer.key}]"
    return [Note(now, "claim", claim.node, text, about)]


def _granted(world: World, claims: Mapping[str, Claim]) -> tuple[str, ...]:
    """Return the nodes whose wish is fulfilled: on once it serves, off and drain once no VM is left."""
    live = {claim.node: claim for claim in claims.values() if claim.live}
    done = []
    for name, wish in world.operator.wishes.items():
        claim = live.get(name)
        if (wish is Wish.ON and claim is not None and claim.state is ClaimState.READY) or (
            wish in (Wish.OFF, Wish.DRAIN) and claim is None
        ):
            done.append(name)
    return tuple(done)
