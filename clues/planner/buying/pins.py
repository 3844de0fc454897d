"""Gangs kept in one site: bought for one, they must not start across two because another open node has room as well.

Slurm takes any nodes that fit a job, and knows of sites only as features.  So the site where a gang's nodes come is
added to its constraint while it is pending, and what its user had asked for is put back when they do not come.  The
original is in the memory before Slurm is told: whatever dies in between, it is known.  From there on all follows from
what the job's constraint is now, against the site where its nodes are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import cache, partial

from clues.model import Action, Claim, ClaimState, ClusterSnapshot, Job, Memory, Note, Pin, Pinned
from clues.planner.buying.gangs import could_open_soon
from clues.planner.queue.constraint import UnreadableConstraint, parse_constraint
from clues.planner.view import View

#: Slurm is told so often; then the job is left as it is.
MOST_TRIES = 3

#: Asked for only when a job has to be pinned, and then once for all of them.
_Kinds = Callable[[], set[tuple[frozenset[str], frozenset[str]]]]

#: With one of these a constraint cannot be joined with a site: ``[a|b]`` and ``a*2`` speak of all nodes at once.
_NOT_JOINED = frozenset("[]*")


def with_own_constraints(snapshot: ClusterSnapshot, memory: Memory, sites: Collection[str]) -> ClusterSnapshot:
    """Return *snapshot* with the constraints that users gave to the jobs that we pinned.

    So a gang is laid out as if it were not pinned, and goes elsewhere as soon as its site fails it.
    """
    if not memory.pins:
        return snapshot

    def own(job: Job) -> Job:
        pinned = memory.pins.get(job.id)
        if pinned is None or not _site_added(job.constraint, pinned.original, sites):
            return job
        return replace(job, constraint=pinned.original)

    return replace(snapshot, jobs=tuple(map(own, snapshot.jobs)))


def keep_together(
    view: View, snapshot: ClusterSnapshot, claims: Mapping[str, Claim], memory: Memory, served_at: Mapping[str, str]
) -> tuple[Memory, list[Action], list[Note]]:
    """Return the memory with what is pinned from now on, what Slurm is to be told, and what people are.

    :param snapshot: as Slurm tells it, with the sites that we added.
    :param served_at: by job, the site whose open nodes have room for it now.
    """
    bought: dict[str, list[Claim]] = {}
    for claim in claims.values():
        if claim.gang in claim.jobs and _is_for_it(claim, view):
            bought.setdefault(claim.gang, []).append(claim)
    jobs = {job.id: job for job in snapshot.jobs}
    # a line of the queue that could not be read may be the one of a job that is pinned
    kept = {key: one for key, one in memory.pins.items() if key in jobs or snapshot.problems}
    kinds = cache(partial(_kinds_of_nodes, view))
    orders: list[Action] = []
    notes: list[Note] = []
    for job in (jobs[key] for key in (*kept, *(key for key in bought if key not in kept)) if key in jobs):
        if not job.pending:
            continue  # it may be requeued, and is then as it was pinned
        before = kept.pop(job.id, None)
        site = _site_of(job, before, bought.get(job.id, []), served_at.get(job.id), view, kinds)
        after, told, text = _settle(job, before, site, view)
        if after is not None:
            kept[job.id] = after
        orders += told
        notes += [Note(view.now, "pin", f"job {job.id}", text)] if text else []
    return (memory if kept == memory.pins else replace(memory, pins=kept)), orders, notes


def _settle(job: Job, before: Pinned | None, site: str, view: View) -> tuple[Pinned | None, list[Action], str]:
    """Return what is to be remembered of one pending job whose nodes are at *site* (empty: nowhere), what Slurm is to
    be told, and what is new for people."""
    original = job.constraint if before is None else before.original
    present = _site_added(job.constraint, original, view.settings.sites) if before is not None else ""
    if present is None:
        return None, [], "its constraint was changed by somebody else and is left as it is"
    known, text = before or Pinned(job.id, "", original), ""
    if site != known.site:
        known = replace(known, site=site, tries=0)
        text = (
            f"kept at {site}, where its nodes come" if site else "no nodes come for it: its own constraint is put back"
        )
    if present == site:
        return (replace(known, tries=0) if site else None), [], text
    known = replace(known, tries=known.tries + 1)
    if known.tries > MOST_TRIES:
        if known.tries == MOST_TRIES + 1:
            wish = f"keep it at {site}" if site else f"put its own constraint {original!r} back"
            return known, [], f"Slurm was told {MOST_TRIES} times to {wish} and did not: it is left as it is"
        return before, [], ""
    # from one site to another by way of the original, which is all that Slurm's adapter adds a site to
    steps = ("", site) if site and present else (site,)
    return known, [Pin(job.id, one, original) for one in steps], text


def _site_of(
    job: Job, before: Pinned | None, bought: list[Claim], served_at: str | None, view: View, kinds: _Kinds
) -> str:
    """Return the one site where a gang's nodes are open, or come; empty where nothing is to be kept together."""
    if job.het_id or job.array_id or not bought:
        return ""
    by_site: dict[str, list[Claim]] = {}
    for claim in sorted(bought, key=lambda one: (one.created_at, one.key)):
        pool = view.pool(claim)
        if pool is not None and not pool.span:
            by_site.setdefault(claim.offer.site, []).append(claim)
    whole = [site for site, mates in by_site.items() if len(mates) >= max(one.gang_size for one in mates)]
    held = before.site if before is not None and before.site in (whole or by_site) else ""
    site = held or (whole[0] if whole else "")
    if site and served_at is not None:
        site = served_at  # meanwhile there is room: it has to wait for nothing
    if not site or (before is None and not _may_be_pinned(job, site, view, kinds)):
        return ""
    return site


def _is_for_it(claim: Claim, view: View) -> bool:
    """Whether a node is on its way, or stands ready, or was taken for the first time just now: jobs are read before
    nodes, so the gang that started on it may still read as pending."""
    return could_open_soon(claim, view) or (claim.state is ClaimState.READY and claim.used_at == view.now)


def _may_be_pinned(job: Job, site: str, view: View, kinds: _Kinds) -> bool:
    """Whether a site can be added to what the job's user asked for, who named none, and would keep anything out."""
    try:
        alternatives = parse_constraint(job.constraint)
    except UnreadableConstraint:
        return False
    sites = frozenset(view.settings.sites)
    if _NOT_JOINED.intersection(job.constraint) or any(wanted & sites for wanted in alternatives):
        return False
    wanted_in = frozenset(job.partitions)
    return any(at - {site} and (not wanted_in or partitions & wanted_in) for at, partitions in kinds())


def _kinds_of_nodes(view: View) -> set[tuple[frozenset[str], frozenset[str]]]:
    """Return the sites and the partitions that nodes have: few pairs, however many nodes there are."""
    sites = frozenset(view.settings.sites)
    nodes = view.snapshot.nodes.values() if view.snapshot is not None else ()
    return {(node.features & sites, node.partitions) for node in nodes}


def _site_added(present: str, original: str, sites: Collection[str]) -> str | None:
    """Return which site a constraint has beside the original; empty: none. None when it is not what we made of it."""
    if present == original:
        return ""
    try:
        found, own = frozenset(parse_constraint(present)), parse_constraint(original)
    except UnreadableConstraint:
        return None
    return next((site for site in sites if found == {wanted | {site} for wanted in own}), None)
