"""Purchases that wait for more jobs (``hold``, ``max_wait``), where more of them could make the same cost less each.

Nothing is remembered: until when follows from when the jobs were submitted. A purchase is made once no further job that
could have run on the same nodes has come for ``hold``, and no job waits for longer than ``max_wait`` from when it could
have started. One that has waited so long already, for whatever reason, is not held any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from clues.model import Offer, Pool
from clues.planner.buying.purchase import Purchase
from clues.planner.queue.jobclass import JobClass
from clues.planner.view import View

#: A purchase that costs hardly more than its jobs would on nodes that they fill is made at once.
_FULL = 1.05


@dataclass(frozen=True, slots=True)
class Hold:
    """Until when a job's purchase waits, and what would be bought for it now."""

    until: datetime
    pool: Pool
    offer: Offer

    @property
    def text(self) -> str:
        """What the job waits for, in words."""
        return f"waits for more jobs until {self.until:%H:%M:%S} UTC"


def find_holds(purchases: Sequence[Purchase], groups: Mapping[int, JobClass], view: View) -> dict[int, Hold]:
    """Return until when each planned purchase waits, by its place; those that are made now are not in it.

    :param groups: by rank of each job, its class.
    """
    waiting: dict[int, tuple[Hold, timedelta, set[str]]] = {}
    newest: dict[str, datetime] = {}
    for place, purchase in enumerate(purchases):
        pools = [lot.pool for lot, _ in purchase.spots]
        hold = min(pool.hold for pool in pools)
        since = [job.could_start_since(view.now) for job in purchase.jobs.values()]
        came = [at for at in since if at is not None]
        if (
            not hold
            or len(came) < len(since)
            or _is_at_once(purchase, pools)
            or not _could_save(purchase, groups, view)
        ):
            continue
        lot, offer = purchase.spots[0]
        longest = min(came) + min(pool.max_wait or pool.hold for pool in pools)
        # one that could have run on the same nodes is one more, whichever it would get now
        could = {option.pool.name for rank in purchase.jobs for option in groups[rank].options}
        for name in could:
            newest[name] = max(max(came), newest.get(name, max(came)))
        waiting[place] = Hold(longest, lot.pool, offer), hold, could
    found = {}
    for place, (most, hold, could) in waiting.items():
        until = min(most.until, max(newest[name] for name in could) + hold)
        if until > view.now:
            found[place] = replace(most, until=until)
    return found


def _is_at_once(purchase: Purchase, pools: Iterable[Pool]) -> bool:
    partitions = {name for job in purchase.jobs.values() for name in job.partitions}
    return any(not pool.at_once.isdisjoint(partitions) for pool in pools)


def _could_save(purchase: Purchase, groups: Mapping[int, JobClass], view: View) -> bool:
    """Whether its jobs would cost less on nodes that others fill with them."""
    costs = sum(view.expected_cost(lot.pool, offer) for lot, offer in purchase.spots)
    least, known = 0.0, dict[int, float]()
    for rank, spots in purchase.tasks.items():
        group = groups[rank]
        if id(group) not in known:
            known[id(group)] = _least(group, view)
        least += known[id(group)] * len(spots)
    return costs > _FULL * least + 1e-9


def _least(group: JobClass, view: View) -> float:
    """Return what one task costs where it pays for what it takes of a node only."""
    costs = []
    for option in group.options:
        size, each = option.pool.shape, option.layout.each
        shares = [
            each.cpus / size.cpus if size.cpus else 0.0,
            each.memory_mib / size.memory_mib if size.memory_mib else 0.0,
        ]
        shares += [each.gpu_count / size.gpu_count if size.gpu_count else 0.0]
        costs.append(view.expected_cost(option.pool, option.offer) * option.layout.nodes * max(shares))
    return min(costs, default=0.0)
