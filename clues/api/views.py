"""Nodes, jobs and events as answers for people: pure functions from the daemon's picture to wire values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from clues.api import wire, wire_clouds, wire_page
from clues.api.lens import Lens, utc
from clues.api.states import Reading, state_of
from clues.model import OUR_REASON, Claim, ClaimState, Forecast, Job, LoggedNote, Market, Moment, Node, Offer, Resources

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
        offer=offer_text(offer),
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
        gpus=gpus_text(shape),
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


def offer_text(offer: Offer | None) -> str:
    """Return an offer as people say it: ``g5.2xlarge spot``; empty for none."""
    if offer is None:
        return ""
    return offer.flavor if offer.market is Market.ON_DEMAND else f"{offer.flavor} {offer.market}"


def gpus_text(shape: Resources) -> str:
    """Return GPUs as the configuration writes them: ``a10:1``."""
    return ",".join(f"{gpu.type}:{gpu.count}" if gpu.type else str(gpu.count) for gpu in shape.gpus)


# --- jobs ---------------------------------------------------------------------------------------------------


def jobs(lens: Lens, *, pending_only: bool = False) -> wire.JobList:
    """Return all records of the queue, running ones first, then by priority; or the pending ones alone."""
    wanted = [job for job in lens.jobs if job.pending or not pending_only]
    order = sorted(wanted, key=lambda job: (job.pending, -job.priority))
    return wire.JobList(jobs=tuple([_job(lens, job) for job in order]))


def _job(lens: Lens, job: Job) -> wire.JobView:
    outlook = lens.published.plan.outlooks.get(job.id) if job.pending else None
    home = next((lens.pool_of[name].name for name in job.nodes if name in lens.pool_of), "")
    since = job.submitted if job.pending else job.started or job.submitted
    told = lens.published.plan.forecasts.get(job.id, _NOTHING_TOLD) if job.pending else _NOTHING_TOLD
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
        nodes_wanted=max(1, job.request.nodes_min),
        waits_for=told.waits_for,
        start_early=utc(told.early),
        start_likely=utc(told.likely),
        start_late=utc(told.late),
        start_early_seconds=_ahead(lens, told.early),
        start_late_seconds=_ahead(lens, told.late),
    )


_NOTHING_TOLD = Forecast()


def _ahead(lens: Lens, at: datetime | None) -> float | None:
    return None if at is None else round(max(0.0, (at - lens.now).total_seconds()), 1)


# --- trials of images ---------------------------------------------------------------------------------------


def trial(claim: Claim) -> wire_clouds.ImageTrial:
    """Return how the trial of an image goes, or went: by then its claim tells how its VM ends."""
    verdict = "bad" if claim.failure else "good" if claim.ready_at else ""
    return wire_clouds.ImageTrial(
        claim=claim.key,
        node=claim.node,
        site=claim.offer.site,
        offer=claim.offer.key,
        image=claim.offer.image,
        instance=claim.instance_id,
        state=claim.state.value,
        verdict=verdict,
        reason=claim.reason,
    )


# --- events -------------------------------------------------------------------------------------------------


def events(notes: Sequence[LoggedNote], after: int = 0, older: str = "") -> wire.EventList:
    """Return entries of the event log; ``last`` and *older* say where what comes next and what came before is."""
    return wire.EventList(
        events=tuple(
            [wire.EventView(one.id, utc(one.at), one.kind, one.subject, one.text, one.about) for one in notes]
        ),
        last=max([after, *(one.id for one in notes)]),
        next=older,
    )


# --- history ------------------------------------------------------------------------------------------------


def history(moments: Sequence[Moment], currency: str, later: str = "") -> wire_page.HistoryList:
    """Return the past in numbers; *later* says where what comes after it is."""
    return wire_page.HistoryList(tuple([_moment(one) for one in moments]), currency, later)


def _moment(moment: Moment) -> wire_page.MomentView:
    return wire_page.MomentView(
        at=utc(moment.at),
        nodes=tuple([wire_page.NodeCount(*one) for one in moment.nodes]),
        waiting=tuple([wire_page.JobCount(*one) for one in moment.waiting]),
        running=moment.running,
        cost_per_hour=round(moment.cost_per_hour, 4),
    )
