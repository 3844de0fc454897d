"""Gangs of eager pools whose first nodes keep them where the rest cannot be had.

Slurm gives a job the nodes of its pool that are up before it has others powered up, and a gang has to be of one site.
So where the site of the nodes that are up has no room for the rest, the gang is requeued, is given the same nodes
again, and so on. If another site could give all of it, the nodes that are up are let go: then Slurm chooses among those
that are off. Nothing has to be held for that, as Slurm lets a requeued job wait for two minutes by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from clues.model import Claim, ClaimState
from clues.planner.buying.placement import Buyer
from clues.planner.claims.moves import move
from clues.planner.eager import Want
from clues.planner.view import View


def let_mates_go(
    view: View, claims: Mapping[str, Claim], hopeless: Iterable[tuple[Want, Mapping[str, str]]], buyer: Buyer
) -> dict[str, Claim]:
    """Return as draining the claims that keep a job at a site which cannot give it the rest of its nodes.

    :param hopeless: what is given up, by job, with the refusals by offer.
    """
    changed: dict[str, Claim] = {}
    for want, refusals in hopeless:
        job = want.job
        if job is None or not refusals or want.pool.span:
            continue
        mates = [one for one in claims.values() if one.node in job.nodes and one.state is ClaimState.READY]
        if not mates or any(_moved_or_shared(one, job.id, view) for one in mates):
            continue
        site, account = mates[0].offer.site, job.account
        others = [offer for offer in want.pool.offers if offer.site != site]
        if any(not buyer.refusal(want.pool, offer, len(job.nodes), account, whole=True) for offer in others):
            why = f"{site} cannot give the rest of job {job.id}, another site can give all of it"
            changed |= {one.key: move(one, ClaimState.DRAINING, why, view.now) for one in mates}
    return changed


def _moved_or_shared(claim: Claim, job: str, view: View) -> bool:
    """Whether a claim has made its move in this decision, or other jobs run on its node, too."""
    before = view.world.claims.get(claim.key)
    if before is None or before.state is not ClaimState.READY or view.snapshot is None:
        return True
    return any(other.running and other.id != job and claim.node in other.nodes for other in view.snapshot.jobs)
