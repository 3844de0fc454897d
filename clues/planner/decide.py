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
    Outlook,
    Plan,
    Settings,
    Verdict,
    Wish,
    World,
)
from clues.planner import eager
from clues.planner.buying.demand import find_demand
from clues.planner.buying.pins import keep_together, with_own_constraints
from clues.planner.buying.placement import Buyer
from clues.planner.capacity.closed_pools import close_pools
from clues.planner.capacity.cures import cure
from clues.planner.capacity.quota import Quotas
from clues.planner.claims.adopt import adopt
from clues.planner.claims.effects import provider_actions
from clues.planner.credentials import warn_of_credentials
from clues.planner.doors import door_actions
from clues.planner.eager_mates import let_mates_go
from clues.planner.eager_tries import tries
from clues.planner.forecasts.accuracy import learn_from_queue
from clues.planner.forecasts.forecast import forecast
from clues.planner.lessons import find_misread, learn_from_moves
from clues.planner.maintenance.overstay import warn_of_overstays
from clues.planner.maintenance.reserving import reservations
from clues.planner.money.budget import warn_of_budgets
from clues.planner.phases import advance
from clues.planner.phases.common import sites_cut_off, with_listing, with_price, with_tunnel, with_way
from clues.planner.routers import buy_routers, find_unroutable, give_up, let_waiting_go, promising, rest_routers
from clues.planner.supply import learn_lulls, let_go, too_few, unbacked
from clues.planner.view import View, make_view


def decide(world: World, settings: Settings, now: datetime) -> Plan:
    """Return what shall be done about *world*; a pure function of its arguments.

    The plan holds every claim that changed, to be committed before any of its actions is carried out.
    """
    view = make_view(world, settings, now)
    told = view.snapshot
    if told is not None and world.memory.pins:
        view = replace(view, snapshot=with_own_constraints(told, world.memory, settings.sites))
    found, strangers = adopt(view, world.claims)
    claims = {**world.claims, **found}
    # one move for each claim and decision: every state is committed before the next follows from it
    holders = eager.holders_of(view)
    cut_off = sites_cut_off(view)
    claims = {
        key: with_way(with_tunnel(with_listing(with_price(claim, view), view), view), view, cut_off)
        for key, claim in claims.items()
    }
    claims |= {key: eager.with_job(claim, view, holders) for key, claim in claims.items() if holders}
    leaving = {key for key, claim in claims.items() if claim.state is ClaimState.DRAINING}
    claims |= {key: advance(claim, view) for key, claim in claims.items() if key not in found and key not in leaving}
    # what has just failed is not bought again in the same breath
    memory = learn_from_moves(world.memory, world.claims, claims, now, settings.pace)
    quotas = Quotas(view, claims)
    memory, tidings = close_pools(view, world.memory, cure(view, memory, quotas))
    if memory is not world.memory:
        view = replace(view, world=replace(world, memory=memory))
    unroutable = find_unroutable(view, claims, quotas)
    claims |= give_up(view, claims, unroutable)
    buyer = Buyer(view, claims, unroutable, quotas)
    hopeless = _serve_slurm(view, claims, buyer, holders)
    if not world.operator.paused:
        _buy_directly(view, claims, buyer)
    demand = find_demand(view, promising(claims, unroutable), buyer)
    if not world.operator.paused:
        _try_for_tasks(view, buyer, demand.outlooks)
    claims |= let_waiting_go(view, claims, demand.needed, demand.outlooks)
    buy_routers(view, claims, buyer)
    claims |= {claim.key: advance(claim, view) for claim in buyer.bought}
    # before anything is let go: a node that goes unused teaches
    memory, lessons = find_misread(view, claims, demand.outlooks)
    surplus = let_go(view, claims, demand.needed, demand.outlooks)
    moved = surplus.changed
    moved |= let_mates_go(view, {**claims, **moved}, hopeless, buyer)
    moved |= rest_routers(view, {**claims, **moved})
    # those that leave go on only now: a job may have called them back
    moved |= {key: advance(claims[key], view) for key in leaving if key not in moved and key not in found}
    claims |= moved
    memory = learn_lulls(view, memory, claims)
    changed, actions = provider_actions(view, claims, buyer.gates)
    claims |= changed
    if told is not None:  # a gang is pinned before its nodes are opened
        memory, orders, words = keep_together(view, told, claims, memory, demand.served_at)
        actions += orders
        lessons += words
    actions += eager.give_up(view, claims, hopeless, holders)
    actions += reservations(view, claims)  # before the doors: what is opened is kept free already
    actions += door_actions(view, claims, eager.openings(view, buyer))
    actions += tries(view, claims, buyer)
    memory, warnings = warn_of_credentials(view, memory)
    memory, overstays = warn_of_overstays(view, claims, memory)
    forecasts = forecast(view, claims, demand)
    memory, seen = learn_from_queue(memory, world.seen, told, forecasts)
    memory, bills = warn_of_budgets(settings, world.spent, memory, now)
    changes = [claim for key, claim in claims.items() if _has_changed(world.claims.get(key), claim)]
    notes = [note for claim in changes for note in _notes_on(world.claims.get(claim.key), claim, now)]
    heard, forget = eager.answer(view.snapshot.requests if view.snapshot is not None else ())
    actions += forget
    notes += [*tidings, *lessons, *warnings, *overstays, *bills, *heard, *_notes_on_hopeless(hopeless, now)]
    live = [claim for claim in claims.values() if claim.live and claim.state is not ClaimState.PLANNED]
    return Plan(
        claims=tuple(changes),
        actions=tuple(actions),
        notes=tuple(notes),
        outlooks=demand.outlooks,
        forecasts=forecasts,
        seen=seen,
        memory=memory,
        granted=_granted(world, claims),
        orphans=strangers,
        cost_per_hour=sum(claim.offer.price_per_hour or 0.0 for claim in live),
        short_of_quota=frozenset(quotas.short_at),
        again_at=min(
            (at for at in (surplus.again_at, *(one.until for one in demand.holds.values())) if at is not None),
            default=None,
        ),
    )


Hopeless = list[tuple[eager.Want, Mapping[str, str]]]


def _serve_slurm(view: View, claims: Mapping[str, Claim], buyer: Buyer, holders: eager.Holders) -> Hopeless:
    """Buy for the nodes that Slurm waits for; return those of eager pools that nothing can be had for, with why."""
    hopeless = []
    nodes = unbacked(view, claims)
    for node in nodes:
        ours = not eager.is_eager(view, node.name) and node.machine_asked_for
        if ours and not view.world.operator.paused:
            _buy_one(view, buyer, node.name, "Slurm has allocated it and waits")
    for want in eager.wants(view, (node for node in nodes if eager.is_eager(view, node.name)), holders):
        refusals = eager.serve(view, claims, want, buyer)
        if refusals is not None:
            hopeless.append((want, refusals))
    return hopeless


def _notes_on_hopeless(hopeless: Hopeless, now: datetime) -> list[Note]:
    notes = []
    for want, refusals in hopeless:
        about = (*(node.name for node in want.nodes), *([f"job {want.job.id}"] if want.job is not None else []))
        notes.append(Note(now, "eager", want.nodes[0].name, f"given up: {eager.told(want, refusals)}", about))
    return notes


def _buy_directly(view: View, claims: Mapping[str, Claim], buyer: Buyer) -> None:
    """Buy for particular nodes: those that an operator wants on, those to keep warm."""
    wishes = view.world.operator.wishes
    for pool in view.settings.pools.values():
        for node in list(buyer.vacant(pool)) if Wish.ON in wishes.values() else ():
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
    for offer in sorted(pool.offers, key=lambda one: view.expected_cost(pool, one)):
        if not buyer.why_not(pool, offer, 1):
            buyer.buy(pool, offer, node, (), reason)
            return


def _try_for_tasks(view: View, buyer: Buyer, outlooks: Mapping[str, Outlook]) -> None:
    """Try single VMs of pools whose boots failed lately, where a task waits that needs more at once than is risked."""
    if not buyer.gates.too_large:
        return
    blocked = {one.pool for one in outlooks.values() if one.verdict is Verdict.BLOCKED}
    for (name, offer), count in buyer.gates.too_large.items():
        pool = view.settings.pools[name]
        nodes = list(buyer.vacant(pool))[:count] if name in blocked else []
        for node in nodes:
            if not buyer.why_not(pool, offer, 1):
                buyer.buy(pool, offer, node, (), f"tries whether VMs of pool {name} come up again")


def _has_changed(before: Claim | None, claim: Claim) -> bool:
    return before is not claim and before != claim  # most are the very same: comparing all fields takes its time


def _notes_on(before: Claim | None, claim: Claim, now: datetime) -> list[Note]:
    """Return one note for each change of state that people would want to read about."""
    if before is not None and before.state is claim.state:
        return []
    was = before.state if before is not None else "new"
    about = (claim.key, *(f"job {job}" for job in claim.jobs), claim.offer.site)
    text = f"{was} -> {claim.state}: {claim.reason or 'as planned'} [{claim.offer.key}]"
    leaked = before is None and claim.adopted and claim.state is ClaimState.STOPPING
    return [Note(now, "alarm" if leaked else "claim", claim.node, text, about)]


def _granted(world: World, claims: Mapping[str, Claim]) -> tuple[str, ...]:
    """Return the nodes whose wish is fulfilled: on once it serves, off and drain once no VM is left."""
    if not world.operator.wishes:
        return ()
    live = {claim.node: claim for claim in claims.values() if claim.live}
    done = []
    for name, wish in world.operator.wishes.items():
        claim = live.get(name)
        if (wish is Wish.ON and claim is not None and claim.state is ClaimState.READY) or (
            wish in (Wish.OFF, Wish.DRAIN) and claim is None
        ):
            done.append(name)
    return tuple(done)
