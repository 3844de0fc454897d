"""Routers on demand: started with a site's first worker, kept while one lives, replaced when they die.

Workers wait for their router, and not the other way round: they stay on paper until it is ready.  If it cannot be
started now, those on paper are given up, so that their jobs find another site; those that have a VM are left alone,
since nobody knows what runs there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from clues.model import COMING, Attach, Claim, ClaimState, Kind, Outlook, Site, Verdict, Wish
from clues.planner.buying.placement import Buyer
from clues.planner.capacity.breaker import why_left_alone
from clues.planner.capacity.limits import Used, over_limit, used_by_site
from clues.planner.capacity.quota import Quotas
from clues.planner.claims.moves import move
from clues.planner.phases.common import ENDING_WISHES, router_plan
from clues.planner.supply import is_kept_warm
from clues.planner.view import View, routers_by_site
from clues.units import show_duration

#: A worker in one of these has use for a router.
_WANTS_ONE = COMING | {ClaimState.READY, ClaimState.DRAINING}


def find_unroutable(view: View, claims: Mapping[str, Claim], quotas: Quotas | None = None) -> dict[str, str]:
    """Return the sites that need a router and cannot be given one now, with the reason.

    :param quotas: what the providers allow; without it, reckoned here.
    """
    sites = list(_router_sites(view))
    if not sites:
        return {}
    carrying, used = routers_by_site(claims), used_by_site(claims.values())
    quotas = Quotas(view, claims) if quotas is None else quotas
    found = {}
    for site in sites:
        wish = view.world.operator.wishes.get(site.router_node)
        if wish in ENDING_WISHES:
            found[site.name] = f"operator: {wish}"
        elif site.name in carrying:
            if carrying[site.name].by_operator:
                found[site.name] = "an operator has it stopped"
        elif why := _why_none(view, site, claims, used.get(site.name, Used()), quotas):
            found[site.name] = why
    return found


def give_up(view: View, claims: Mapping[str, Claim], unroutable: Mapping[str, str]) -> dict[str, Claim]:
    """Return the workers on paper whose router cannot be started: another site may have them."""
    return {
        claim.key: move(claim, ClaimState.GONE, f"its router cannot be started: {why}", view.now)
        for claim in _waiting(view, claims)
        if (why := unroutable.get(claim.offer.site))
    }


def promising(claims: Mapping[str, Claim], unroutable: Mapping[str, str]) -> dict[str, Claim]:
    """Return the claims without those that cannot come before their site has a router again: nothing to count on."""
    return {
        key: claim
        for key, claim in claims.items()
        if claim.offer.site not in unroutable or claim.kind is Kind.ROUTER or claim.state not in COMING
    }


def let_waiting_go(
    view: View, claims: Mapping[str, Claim], needed: Iterable[str], outlooks: Mapping[str, Outlook]
) -> dict[str, Claim]:
    """Return the workers on paper, waiting for their router, that nobody wants any more.

    One that tries whether VMs of its pool come up again belongs to no job: it stays while a task is blocked by that.
    Else it would be let go at every look, and bought again.
    """
    if view.snapshot is None or view.world.operator.paused:
        return {}
    wanted = frozenset(needed)
    starting = {job for job, outlook in outlooks.items() if outlook.verdict is Verdict.STARTING}
    blocked = {outlook.pool for outlook in outlooks.values() if outlook.verdict is Verdict.BLOCKED}
    changed = {}
    for claim in _waiting(view, claims):
        if not claim.jobs and claim.pool in blocked:
            continue
        if claim.node in wanted or not starting.isdisjoint(claim.jobs) or _wanted_without_job(claim, view):
            continue
        changed[claim.key] = move(claim, ClaimState.GONE, "no job waits for it any more", view.now)
    return changed


def buy_routers(view: View, claims: Mapping[str, Claim], buyer: Buyer) -> None:
    """Buy a router for each site that has a worker and no router; its predecessor must be gone."""
    if view.world.operator.paused:
        return
    routed = {claim.offer.site for claim in claims.values() if claim.kind is Kind.ROUTER and claim.live}
    for site in _router_sites(view):
        workers = [one for one in (*claims.values(), *buyer.bought) if _is_worker_at(one, site.name, _WANTS_ONE)]
        if site.name in routed or site.name not in view.listings or not workers:
            continue
        used = used_by_site([*claims.values(), *buyer.bought]).get(site.name, Used())
        if view.world.operator.wishes.get(site.router_node) in ENDING_WISHES:
            continue
        if not _why_none(view, site, claims, used, buyer.quotas):
            buyer.buy_router(site, f"for the workers of {site.name}")


def rest_routers(view: View, claims: Mapping[str, Claim]) -> dict[str, Claim]:
    """Return the routers that change with the workers of their sites: those without any go after their linger."""
    changed = {}
    for claim in claims.values():
        before = view.world.claims.get(claim.key)
        if claim.kind is not Kind.ROUTER or before is None or before.state is not claim.state:
            continue
        after = _rested(claim, view, any(_is_worker_at(one, claim.offer.site) for one in claims.values()))
        if after != claim:
            changed[claim.key] = after
    return changed


def _rested(claim: Claim, view: View, has_workers: bool) -> Claim:
    if has_workers:
        claim = replace(claim, idle_since=None)
        if claim.state is ClaimState.DRAINING and not claim.by_operator:
            return move(claim, ClaimState.READY, "wanted again", view.now)
        return claim
    if claim.state is ClaimState.PLANNED:
        return move(claim, ClaimState.GONE, "its site has no worker any more", view.now)
    if claim.state is ClaimState.DRAINING:
        return move(claim, ClaimState.STOPPING, claim.reason, view.now)
    if claim.state not in {ClaimState.JOINING, ClaimState.READY} or view.world.operator.paused:
        return claim
    site = view.settings.sites.get(claim.offer.site)
    if site is None or site.disabled or site.attach is not Attach.ROUTER:
        return move(claim, ClaimState.DRAINING, "its site needs no router any more", view.now)
    idle_since = claim.idle_since or view.now
    idle = view.now - idle_since
    if idle >= router_plan(claim, view).linger:
        return move(claim, ClaimState.DRAINING, f"without a worker for {show_duration(idle)}", view.now)
    return replace(claim, idle_since=idle_since)


def _why_none(view: View, site: Site, claims: Mapping[str, Claim], used: Used, quotas: Quotas) -> str:
    """Return why this site's router cannot be started now. Where workers run that it cut off by its death, the limits
    and the budget do not stand against it: it was counted when they were bought."""
    if site.router is None:
        return "none is configured"
    offer = site.router.offer
    if why := why_left_alone(view.world.memory, site.router_node, offer, view.now):
        return why
    if any(one.instance_id for one in claims.values() if _is_worker_at(one, site.name, _WANTS_ONE)):
        return ""
    if site.disabled:
        return "out of service by the configuration"
    counted = any(one.kind is Kind.ROUTER and one.offer.site == site.name and one.live for one in claims.values())
    if counted:
        return ""
    return over_limit(site.limits, used, site.router.shape, offer, 1) or quotas.short(site.router.shape, offer, 1)


def _router_sites(view: View) -> Iterable[Site]:
    return (site for site in view.settings.sites.values() if site.attach is Attach.ROUTER)


def _is_worker_at(claim: Claim, site: str, states: Iterable[ClaimState] | None = None) -> bool:
    fits = claim.live if states is None else claim.state in states
    return fits and claim.kind is Kind.WORKER and claim.offer.site == site


def _waiting(view: View, claims: Mapping[str, Claim]) -> Iterable[Claim]:
    """Workers on paper that wait for their router, from an earlier decision."""
    behind = {site.name for site in _router_sites(view) if not view.linked(site.name)}
    return [
        claim
        for claim in claims.values()
        if claim.state is ClaimState.PLANNED and claim.kind is Kind.WORKER and claim.offer.site in behind
        if claim.key in view.world.claims
    ]


def _wanted_without_job(claim: Claim, view: View) -> bool:
    """Whether somebody else than a pending job wants this node: an operator, the pool's warm nodes, Slurm itself."""
    pool, node = view.pool(claim), view.node(claim.node)
    if claim.probe:
        return True
    if view.world.operator.wishes.get(claim.node) is Wish.ON or (pool is not None and is_kept_warm(view, pool)):
        return True
    return node is None or node.busy or bool(node.flags & {"POWERING_UP", "POWER_UP"})
