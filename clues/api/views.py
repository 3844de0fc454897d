"""Nodes, jobs and events as answers for people: pure functions from the daemon's picture to wire values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from clues.api import wire
from clues.api.lens import Lens, utc
from clues.api.states import Reading, state_of
from clues.model import OUR_REASON, Claim, ClaimState, Job, LoggedNote, Market, Node, Offer, Resources

# --- nodes --------------------------------------------------------------------------------------------------


def nodes(lens: Lens, names: Iterable[str] | None = None, *, outsiders: bool = False) -> wire.NodeList:
    """Return the pools' nodes in the order of the configuration, or just *names*; with *outsiders* the others
    too.

    Names that Slurm and the pools do not know are left out: whoever asks checks them first
    (:func:`unknown_nodes`).
    """
    if names is None:
        names = [*lens.pool_of, *(lens.outsiders() if outsiders else ())]
    known = [name for name in names if name in lens.pool_of or name in lens.nodes]
    return wire.NodeList(tuple([node(lens, name) for name in known]), lens.published.settings.currency)


def node(lens: Lens, name: str) -> wire.NodeView:
    """Return one node of a pool or of Slurm."""
    pool, claim, seen, wish = (
        lens.pool_of.get(name),
        lens.claim_of.get(name),
        lens.nodes.get(name),
        lens.wishes.get(name),
    )
    if pool is None:
        state = "on-premises"
    else:
        state = state_of(Reading(claim, seen, wish, slurm_known=lens.published.world.lrms.value is not None))
    shape = seen.capacity if seen else pool.shape if pool else Resources()
    offer = claim.offer if claim else None
    return wire.NodeView(
        name=name,
        state=state,
        pool=pool.name if pool else "",
        site=offer.site if offer else "",
        offer=_offer(offer),
        since=utc(_since(claim, state)),
        age_seconds=lens.age(_since(claim, state)),
        jobs=tuple(lens.jobs_on.get(name, ())),
        cost_per_hour=offer.price_per_hour if offer and claim and claim.state is not ClaimState.PLANNED else None,
        reason=_reason(claim, seen, state),
        address=(claim.address if claim else "") or (seen.address if seen else ""),
        instance=claim.instance_id if claim else "",
        claim=claim.key if claim else "",
        generation=claim.generation if claim else lens.published.world.generations.get(name, 0),
        wish=wish.value if wish else "",
        slurm=tuple(sorted(seen.flags)) if seen else (),
        cpus=shape.cpus,
        memory_mib=shape.memory_mib,
        gpus=_gpus(shape),
    )


def unknown_nodes(lens: Lens, names: Iterable[str]) -> list[str]:
    """Return those of *names* that neither a pool nor Slurm knows."""
    return [name for name in names if name not in lens.pool_of and name not in lens.nodes]


def _since(claim: Claim | None, state: str) -> datetime | None:
    if claim is None:
        return None
    if state == "idle" and claim.idle_since:
        return claim.idle_since
    return claim.since


def _reason(claim: Claim | None, seen: Node | None, state: str) -> str:
    if state in ("held", "draining", "on-premises") and seen and seen.reason and not seen.reason.startswith(OUR_REASON):
        return seen.reason
    if state == "down" and seen is None:
        return "Slurm does not know this node: see clues slurm-config --check"
    return (claim.reason if claim else "") or (seen.reason if seen else "")


def _offer(offer: Offer | None) -> str:
    if offer is None:
        return ""
    return offer.flavor if offer.market is Market.ON_DEMAND else f"{offer.flavor} {offer.market}"


def _gpus(shape: Resources) -> str:
    return ",".join(f"{gpu.type}:{gpu.count}" if gpu.type else str(gpu.count) for gpu in shape.gpus)


# --- jobs ---------------------------------------------------------------------------------------------------


def jobs(lens: Lens) -> wire.JobList:
    """Return all records of the queue, running ones first, then by priority."""
    order = sorted(lens.jobs, key=lambda job: (job.pending, -job.priority))
    return wire.JobList(jobs=tuple([_job(lens, job) for job in order]))


def _job(lens: Lens, job: Job) -> wire.JobView:
    outlook = lens.published.plan.outlooks.get(job.id) if job.pending else None
    home = next((lens.pool_of[name].name for name in job.nodes if name in lens.pool_of), "")
    since = job.submitted if job.pending else job.started or job.submitted
    return wire.JobView(
        id=job.id,
        user=job.user,
        state=job.state.lower(),
        verdict=outlook.verdict.value if outlook else "",
        pool=outlook.pool if outlook else home,
        partitions=job.partitions,
        count=max(1, job.count_pending) if job.pending else 1,
        since=utc(since),
        age_seconds=lens.age(since),
        nodes=job.nodes,
        why=outlook.text if outlook else "",
        slurm_reason=job.reason if job.reason != "None" else "",
        priority=job.priority,
    )


# --- events -------------------------------------------------------------------------------------------------


def events(notes: Sequence[LoggedNote], after: int = 0) -> wire.EventList:
    """Return entries of the event log; ``last`` is the cursor for what comes next."""
    return wire.EventList(
        events=tuple(
            [wire.EventView(one.id, utc(one.at), one.kind, one.subject, one.text, one.about) for one in notes]
        ),
        last=max([after, *(one.id for one in notes)]),
    )
