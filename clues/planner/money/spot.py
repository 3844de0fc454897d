"""What a spot VM really costs: its price, and the work that is lost when the provider takes it back.

How often that happens is learnt for each offer from what was seen: hours that its VMs ran, and how many of them were
taken back. Few hours say little, so a modest rate is assumed to begin with, and what was seen longer ago counts less
and less: a market that was stormy last month is believed to be calm again. An interruption loses what the jobs there
have run so far, on all nodes of the job, and the time until another VM is there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from clues.model import Claim, ClaimState, ClusterSnapshot, Job, Market, Memory, Pool, Spot

#: What is assumed of a market that nobody has seen: so many interruptions in so many VM-hours, one in a hundred.
PRIOR_INTERRUPTIONS, PRIOR_HOURS = 0.5, 50.0

#: After so long what was seen counts half.
HALF_LIFE = timedelta(days=7)

#: The work that an interruption loses where nothing is known of the jobs.
USUAL_WORK = timedelta(hours=1)

_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Interruptions:
    """What is known of one offer's interruptions, what was seen long ago counted less."""

    hours: float = 0.0
    interruptions: float = 0.0

    @property
    def per_hour(self) -> float:
        """Interruptions to be expected in an hour of one VM."""
        return (self.interruptions + PRIOR_INTERRUPTIONS) / (self.hours + PRIOR_HOURS)


def was_interrupted(claim: Claim) -> bool:
    """Whether the provider has taken this spot VM back: it said so, or the VM vanished."""
    return claim.reclaimed_at is not None or claim.failure in ("vanished", "provider")


def learn_spot(memory: Memory, before: Claim, claim: Claim, now: datetime) -> Memory:
    """Return *memory* with what the life of a spot VM says of its market, when that life ends."""
    ends = claim.state is ClaimState.STOPPING and before.state not in (ClaimState.STOPPING, ClaimState.GONE)
    if not ends or claim.offer.market is not Market.SPOT or claim.listed_at is None:
        return memory
    known = _aged(memory.spot.get(claim.offer.key), now)
    spot = Spot(
        hours=round(known.hours + _hours(claim, now), 4),
        interruptions=round(known.interruptions + was_interrupted(claim), 4),
        as_of=now,
    )
    return replace(memory, spot={**memory.spot, claim.offer.key: spot})


def spot_seen(memory: Memory, claims: Iterable[Claim], now: datetime) -> dict[str, Interruptions]:
    """Return what is known of each spot offer, by its key; the VMs that live are reckoned in."""
    found = {key: _aged(one, now) for key, one in memory.spot.items()}
    for claim in claims:
        if claim.offer.market is Market.SPOT and claim.listed_at is not None and claim.state is not ClaimState.STOPPING:
            known = found.get(claim.offer.key, Interruptions())
            found[claim.offer.key] = Interruptions(
                known.hours + _hours(claim, now), known.interruptions + was_interrupted(claim)
            )
    return found


def work_at_stake(pool: Pool, snapshot: ClusterSnapshot | None, now: datetime) -> timedelta:
    """Return what the jobs of a pool have run so far, on average; where none runs, half of what those that wait may."""
    jobs = snapshot.jobs if snapshot is not None else ()
    nodes = frozenset(pool.nodes)
    ran = [now - job.started for job in jobs if job.running and job.started and not nodes.isdisjoint(job.nodes)]
    if not ran:
        partitions = frozenset(pool.partitions)
        ran = [
            job.time_limit / 2
            for job in jobs
            if job.pending and job.time_limit is not None and not partitions.isdisjoint(job.partitions)
        ]
    return max(timedelta(0), sum(ran, timedelta(0)) / len(ran)) if ran else USUAL_WORK


def expected_price(price: float, seen: Interruptions, lost: timedelta, nodes: int = 1) -> float:
    """Return what an hour of a spot VM costs with its interruptions.

    :param lost: what one interruption loses on each node of a job.
    :param nodes: how many nodes of the job are of this market: each of them ends it for all.
    """
    return price * (1 + seen.per_hour * nodes * (lost / _HOUR))


def waiting_for_spot(job: Job, pools: Iterable[Pool], now: datetime) -> frozenset[str]:
    """Return the pools for whose spot VMs a job has not waited for as long as it should before it goes elsewhere."""
    since = job.could_start_since(now)
    if since is None:
        return frozenset()
    return frozenset(pool.name for pool in pools if now - since < pool.spot_fallback_after)


def _aged(one: Spot | None, now: datetime) -> Interruptions:
    if one is None:
        return Interruptions()
    share = 0.5 ** (max(timedelta(0), now - one.as_of) / HALF_LIFE)
    return Interruptions(one.hours * share, one.interruptions * share)


def _hours(claim: Claim, now: datetime) -> float:
    return max(timedelta(0), now - (claim.listed_at or now)) / _HOUR
