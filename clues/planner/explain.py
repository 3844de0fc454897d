"""Why something is as it is, in a few plain sentences: for a job, a node, a pool or a site.

Everything told here was decided or observed before; nothing is decided for the telling.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from clues.errors import NotFound
from clues.model import (
    Attach,
    Claim,
    ClaimState,
    ClusterSnapshot,
    Job,
    Kind,
    LoggedNote,
    Node,
    Outlook,
    Published,
    Site,
    Verdict,
    pool_key,
)
from clues.planner.capacity import breaker
from clues.planner.capacity.closed_pools import why_closed
from clues.planner.capacity.limits import used_by_site
from clues.planner.capacity.quota import Quotas
from clues.planner.credentials import credentials_end
from clues.planner.forecasts.telling import tell
from clues.planner.market import standings
from clues.planner.money.budget import standing_of
from clues.planner.routers import find_unroutable
from clues.planner.supply import why_kept
from clues.planner.view import make_view, routers_by_site
from clues.units import show_duration

#: How many of the latest notes are told.
_TOLD = 5

#: Of a worker in one of these it does not matter any more whether it can be reached.
_ON_THE_WAY_OUT = {ClaimState.FAILED, ClaimState.STOPPING, ClaimState.GONE}


def explain(published: Published, subject: str, notes: Sequence[LoggedNote]) -> str:
    """Return the explanation of a job id, the name of a node, router, pool or site, in a few lines.

    :param notes: entries of the event log about the subject, oldest first.
    :raises NotFound: nothing here has that name.
    """
    snapshot = published.world.lrms.value
    name = subject.removeprefix("job ").strip()
    jobs = [job for job in snapshot.jobs if name in (job.id, job.array_id)] if snapshot else []
    if jobs:
        return _with_notes([line for job in jobs for line in _job(published, job)], notes)
    if name in published.settings.sites:
        return _with_notes(_site(published, name), notes)
    if name in published.settings.pools:
        return _with_notes(_pool(published, name), notes)
    routed = [site for site in published.settings.sites.values() if site.router_node == name]
    if routed and (routed[0].attach is Attach.ROUTER or _claims_of(published, name)):
        return _with_notes(_router(published, routed[0]), notes)
    pool = published.settings.pool_of(name)
    node = snapshot.nodes.get(name) if snapshot else None
    if pool is not None:
        return _with_notes(_node(published, name, node), notes)
    if node is not None:
        return f"Node {name} belongs to no pool: clues never changes it. Slurm says {'+'.join(sorted(node.flags))}."
    if notes:
        return _with_notes([f"Nothing is known of {name} now."], notes)
    raise NotFound(f"nothing here is called {name!r}: name a job id, a node, a pool or a site")


def _with_notes(lines: list[str], notes: Sequence[LoggedNote]) -> str:
    if notes:
        lines = [*lines, "Lately:", *(f"  {note.at:%H:%M:%S}  {note.text}" for note in notes[-_TOLD:])]
    return "\n".join(lines)


def _job(published: Published, job: Job) -> list[str]:
    who = f"Job {job.id} ({job.user})"
    if not job.pending:
        where = f" on {', '.join(job.nodes)}" if job.nodes else ""
        return [f"{who} is {job.state.lower()}{where}."]
    outlook = published.plan.outlooks.get(job.id)
    if outlook is None:
        return [f"{who} is pending ({job.reason}); the next tick will look at it."]
    lines = [f"{who}: {_verdict(outlook)}"]
    width = max((len(site) for site in outlook.sites), default=0)
    lines += [f"  {site:<{width}}  {why}" for site, why in outlook.sites.items() if site]
    if outlook.verdict is Verdict.BLOCKED and published.world.operator.paused:
        lines.append("Buying is paused by an operator: clues resume.")
    forecast = published.plan.forecasts.get(job.id)
    return lines if forecast is None else [*lines, tell(forecast, published.at)]


def _verdict(outlook: Outlook) -> str:
    if outlook.verdict is Verdict.BLOCKED:
        return f"{outlook.text}:" if outlook.sites else outlook.text
    return f"{outlook.text}."


def _node(published: Published, name: str, node: Node | None) -> list[str]:
    now, snapshot = published.at, published.world.lrms.value
    claims = _claims_of(published, name)
    lines = [text for claim in claims for text in (_claim(claim, now), *_way_to(published, claim))] or [
        f"Node {name} is off: it has no VM, and Slurm keeps it closed."
    ]
    if node is None:
        lines.append("Slurm does not list it." if snapshot else "Slurm could not be read yet.")
    else:
        lines.append(
            f"Slurm says {'+'.join(sorted(node.flags))}" + (f", reason: {node.reason}." if node.reason else ".")
        )
        if node.kept_by_admin:
            lines.append("That reason is not ours: it stays out of service until somebody resumes it in Slurm.")
        if not node.understood:
            lines.append("Slurm shows a flag that is not known here, so the node is left as it is.")
    if any(claim.state is ClaimState.READY for claim in claims):
        view = make_view(published.world, published.settings, now)
        lines += [text for claim in claims for text in why_kept(view, published.world.claims, claim)]
    if running := _running(snapshot, name):
        lines.append(f"Jobs there: {', '.join(running)}.")
    wish = published.world.operator.wishes.get(name)
    if wish is not None:
        lines.append(f"An operator's order stands: {wish}.")
    return lines


def _claims_of(published: Published, node: str) -> list[Claim]:
    return [claim for claim in published.world.claims.values() if claim.node == node]


def _way_to(published: Published, claim: Claim) -> list[str]:
    """Return what keeps a worker behind a router from being reached; nothing when it can be."""
    site, world = published.settings.sites.get(claim.offer.site), published.world
    if site is None or claim.state in _ON_THE_WAY_OUT:
        return []
    if make_view(world, published.settings, published.at).reachable(claim):
        return []
    if site.attach is not Attach.ROUTER:
        return [
            "No central point is known to work, so it cannot be reached now: nothing is concluded from its silence."
        ]
    router = routers_by_site(world.claims).get(site.name)
    told = f"{router.state} since {show_duration(published.at - router.since)}" if router is not None else "none yet"
    if claim.state is ClaimState.PLANNED:
        return [f"It waits for the router of {site.name} ({told})."]
    text = f"The router of {site.name} does not carry its network now ({told}): the worker is left alone for as long "
    text += "as another one and its router would take, then ended if Slurm neither hears it nor counts a job there."
    return [text]


def _router(published: Published, site: Site) -> list[str]:
    now, world = published.at, published.world
    lines = []
    for claim in _claims_of(published, site.router_node):
        lines.append(_claim(claim, now))
        if claim.tunnel_since is not None:
            lines.append(f"Its tunnel is up since {show_duration(now - claim.tunnel_since)}.")
        elif claim.tunnel_missing_since is not None:
            lines.append(f"Its tunnel is down since {show_duration(now - claim.tunnel_missing_since)}.")
    lines = lines or [f"Site {site.name} has no router now: it gets one with its first worker."]
    view = make_view(world, published.settings, now)
    if view.overlay is None or not view.overlay.known:
        lines.append("No central point is known to work now: nothing is concluded about tunnels.")
    if why := find_unroutable(view, world.claims).get(site.name):
        lines.append(f"None can be started now: {why}.")
    if (wish := world.operator.wishes.get(site.router_node)) is not None:
        lines.append(f"An operator's order stands: {wish}.")
    return lines


def _claim(claim: Claim, now: datetime) -> str:
    since = show_duration(now - claim.since)
    what = "Router" if claim.kind is Kind.ROUTER else "Node"
    text = f"{what} {claim.node} is {claim.state} since {since}"
    text += f", VM {claim.instance_id}" if claim.instance_id else ", no VM yet"
    text += f" at {claim.offer.site} ({claim.offer.key})"
    text += f": {claim.reason}." if claim.reason else "."
    if claim.state is ClaimState.READY and claim.idle_since is not None:
        text += " Without a worker for " if claim.kind is Kind.ROUTER else " Idle for "
        text += f"{show_duration(now - claim.idle_since)}."
    if claim.jobs:
        text += f" It was bought for job {', '.join(claim.jobs)}."
    return text


def _running(snapshot: ClusterSnapshot | None, name: str) -> list[str]:
    return [job.id for job in snapshot.jobs if name in job.nodes] if snapshot else []


def _pool(published: Published, name: str) -> list[str]:
    pool, now = published.settings.pools[name], published.at
    claims = [claim for claim in published.world.claims.values() if claim.pool == name and claim.serving]
    ready = sum(claim.state is ClaimState.READY for claim in claims)
    lines = [f"Pool {name} has {len(pool.nodes)} nodes of {pool.shape}: {ready} ready, {len(claims) - ready} starting."]
    if standing := standing_of(published.settings, published.world.spent, now).get(f"pool {name}"):
        lines.append(f"Its budget: {standing}.")
    if (closed := published.plan.memory.breakers.get(pool_key(name))) is not None:
        lines.append(f"It is {why_closed(closed)}; {breaker.comes_next(closed, now)}.")
    found = [one for one in standings(published, now) if one.pool.name == name]
    width = max(len(one.offer.key) for one in found) if found else 0
    for one in found:
        if one.priced.amount is not None:
            price = f"{one.priced.amount:.3g} {published.settings.currency}/h ({one.priced.source})"
        else:
            price = one.priced.trouble or "its price is not known"
        lines.append(f"  {one.offer.key:<{width}}  {price}; {one.could_start} could start now ({one.why_not_more})")
    return lines


def _maintenance(published: Published, name: str) -> list[str]:
    """Return what is announced of a site, and what it means now."""
    view = make_view(published.world, published.settings, published.at)
    told = []
    for one in sorted(published.world.operator.maintenance, key=lambda one: one.begin):
        if one.site == name and one.end > published.at:
            closed = [why.partition(": ")[2] for (_, site), why in view.closed_for.items() if site == name]
            nodes = "" if view.maintenance.get(name) is not one else "; its nodes take new jobs until then"
            if view.maintenance.get(name) is one and name in view.kept_free:
                nodes = "; until then Slurm starts only jobs there that end in time"
            elif view.maintenance.get(name) is one and closed:
                nodes = f"; its nodes take no new jobs{f' ({closed[0]})' if closed[0] else ''}, and running ones go on"
            told.append(f"{one.number}, {str(one).removeprefix('maintenance ')}{nodes}")
    return told


def _quota(published: Published, name: str) -> list[str]:
    """Return what the site's provider allows, as far as it tells."""
    terms = published.world.terms.get(name)
    if terms is None:
        return []
    lines = []
    view = make_view(published.world, published.settings, published.at)
    known = Quotas(view, published.world.claims).used(name)
    if known is not None:
        limits, used = known
        told = [
            f"{label} {have} of {most}"
            for label, have, most in (
                ("VMs", used.vms, limits.vms),
                ("CPUs", used.resources.cpus, limits.cpus),
                ("GPUs", used.resources.gpu_count, limits.gpus),
                ("memory in MiB", used.resources.memory_mib, limits.memory_mib),
            )
            if most is not None
        ]
        age = show_duration(terms.quota.age(published.at) or published.at - published.at)
        lines.append(f"Quota at the provider, told {age} ago and carried on: {', '.join(told)}.")
    for what, part in (("quota", terms.quota), ("prices", terms.prices)):
        if part.error:
            lines.append(f"Its {what} could not be read: {part.error}.")
    return lines


def _site(published: Published, name: str) -> list[str]:
    site, now = published.settings.sites[name], published.at
    used = used_by_site(published.world.claims.values()).get(name)
    observed = published.world.listings.get(name)
    lines = [f"Site {name} ({site.connector}, attach {site.attach}): {used.vms if used else 0} VMs."]
    limits = site.limits
    told = [
        f"{label} {have} of {most}"
        for label, have, most in (
            ("VMs", used.vms if used else 0, limits.vms),
            ("CPUs", used.resources.cpus if used else 0, limits.cpus),
            ("GPUs", used.resources.gpu_count if used else 0, limits.gpus),
        )
        if most is not None
    ]
    if told:
        lines.append("Limits: " + ", ".join(told) + ".")
    if site.attach is Attach.ROUTER:
        lines += _router(published, site)
    if observed is None or observed.taken_at is None:
        lines.append("It has not been listed yet" + (f": {observed.error}." if observed and observed.error else "."))
    else:
        age = show_duration(observed.age(now) or now - now)
        lines.append(f"Listed {age} ago" + (f"; since then: {observed.error}." if observed.error else "."))
    lines += [f"Maintenance {text}." for text in _maintenance(published, name)]
    lines += _quota(published, name)
    if ending := credentials_end(published.world.terms.get(name), now):
        lines.append(f"{ending[0].upper()}{ending[1:]}.")
    memory = published.plan.memory
    lines += [
        f"{breaker.told(one)}; {breaker.comes_next(one, now)}." for one in memory.breakers.values() if one.site == name
    ]
    return lines
