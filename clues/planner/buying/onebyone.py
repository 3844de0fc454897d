"""Purchases for one task at a time: what cannot be planned together with the rest of the queue.

That are gangs where spot is offered or that may span sites, jobs that name nodes, components of heterogeneous jobs, and
whatever the common plan could not get. The first of the class's options that can be had whole is taken; where none
can, each site's reason is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice

from clues.model import Claim, Job, Node
from clues.planner.buying.gangs import could_open_soon, mates_of
from clues.planner.buying.placement import Buyer
from clues.planner.queue.bins import Bins, Likes, Origin
from clues.planner.queue.features import pool_features
from clues.planner.queue.jobclass import JobClass, Option
from clues.planner.queue.layout import Layout
from clues.planner.view import View


class OneByOne:
    """Buys for single tasks and gangs."""

    def __init__(
        self,
        view: View,
        claims: Mapping[str, Claim],
        buyer: Buyer,
        bins: Bins,
        reserved: Mapping[str, frozenset[str]],
    ) -> None:
        self._view, self._claims, self._buyer, self._bins, self._reserved = view, claims, buyer, bins, reserved

    def buy(self, job: Job, group: JobClass) -> Option | None:
        """Buy what one task lacks by the first option that can be had whole; else keep why each site cannot."""
        refusals: dict[str, str] = {}
        portions = self._spread(group, job.account) if group.spans else []
        for option in group.options:
            site = option.offer.site
            present = self.present(group, site, option.layout)
            missing = option.layout.nodes - len(present)
            vacant = self._vacant(group, option, missing, present)
            unavailable = group.key.wanted_nodes - present - {node.name for node in vacant}
            if len(vacant) < missing:
                refusal = f"pool {option.pool.name} has {len(vacant)} nodes left that it may use, {missing} needed"
            elif unavailable and len(group.key.wanted_nodes) <= option.layout.nodes:
                refusal = f"it asks for {', '.join(sorted(unavailable))}, which cannot be had"
            else:
                refusal = option.waits or self._buyer.why_not(
                    option.pool, option.offer, missing, job.account, whole=True
                )
            if not refusal:
                whole = [(option, vacant)]
                if portions and self._cost(portions) < self._cost(whole):
                    break  # one site is better than two, but not for more money
                self._purchase(job, whole, len(present))
                return option
            refusals[site] = refusal if site not in refusals else f"{refusals[site]}; {refusal}"
        if portions:
            size = portions[0][0].layout.nodes
            self._purchase(job, portions, size - sum(len(nodes) for _, nodes in portions))
            return portions[0][0]
        # only now is it certain that nothing can be had: other jobs of the class need not ask again in this decision
        group.refusals = refusals or {"": "no pool can hold it"}
        return None

    def _spread(self, group: JobClass, account: str) -> list[tuple[Option, list[Node]]]:
        """Return what each site gives of a task that may span them, the cheapest as much as it can; all or none."""
        for pool in {option.pool.name: option.pool for option in group.options if option.pool.span}.values():
            options = {one.offer.site: one for one in reversed(group.options) if one.pool is pool and not one.waits}
            first = next(one for one in group.options if one.pool is pool)
            present = self.present(group, "", first.layout)
            missing = first.layout.nodes - len(present)
            vacant = self._vacant(group, first, missing, present)
            wanted = group.key.wanted_nodes - present
            if len(vacant) < missing or (wanted - {one.name for one in vacant} and len(wanted) <= missing):
                continue
            portions: list[tuple[Option, list[Node]]] = []
            for option in sorted(options.values(), key=group.options.index):
                counts = range(len(vacant), 0, -1)
                most = next(
                    (n for n in counts if not self._buyer.why_not(pool, option.offer, n, account, whole=True)), 0
                )
                if most:
                    portions.append((option, vacant[:most]))
                    vacant = vacant[most:]
            if not vacant:
                return portions
        return []

    def _cost(self, portions: Sequence[tuple[Option, list[Node]]]) -> float:
        """Return what these nodes are expected to cost in an hour."""
        return sum(len(nodes) * self._view.expected_cost(one.pool, one.offer) for one, nodes in portions)

    def _purchase(self, job: Job, portions: Sequence[tuple[Option, list[Node]]], present: int) -> None:
        first = portions[0][0]
        gang = job.het_id or ((job.array_id or job.id) if first.layout.nodes > 1 else "")
        mates = self.mates(job, None if first.pool.span else first.offer.site, present) if gang else 0
        reason = f"for job {job.id}" + (f" ({first.layout.nodes} nodes)" if first.layout.nodes > 1 else "")
        size = sum(len(nodes) for _, nodes in portions) + mates if gang else 0
        for option, node in ((option, node) for option, nodes in portions for node in nodes):
            self._buyer.buy(option.pool, option.offer, node, (job.id,), reason, gang, size, job.account)
            features = pool_features(option.pool, option.offer)
            reservations = self._reserved.get(node.name, frozenset())
            shape = option.pool.shape
            likes = Likes(shape, shape, features, node.partitions, option.offer.site, Origin.BOUGHT, reservations)
            self._bins.add(likes, node.name)

    def mates(self, job: Job, site: str | None, present: int) -> int:
        """Return how many of the nodes that are there for a gang have to be waited for: those that are starting; not
        those that are open already."""
        gang = job.het_id or job.array_id or job.id
        mates = mates_of(gang, site, self._claims.values())
        return min(present, sum(1 for one in mates if could_open_soon(one, self._view)))

    def present(self, group: JobClass, site: str, layout: Layout) -> frozenset[str]:
        """Which nodes of a gang are there already, where the rest would be bought."""
        if layout.nodes == 1:
            return frozenset()
        there = [
            name
            for room in self._bins
            if (group.spans or room.likes.site == site) and group.layout_on(room) is not None
            for name in room.names
            if group.accepts_name(name)
        ]
        there.sort(key=lambda name: name not in group.key.wanted_nodes)
        return frozenset(there[: layout.nodes - 1])

    def _vacant(self, group: JobClass, option: Option, most: int, present: frozenset[str]) -> list[Node]:
        """Nodes that may be started for a class, as many as are missing; those that the job names come first."""
        nodes = self._buyer.vacant(option.pool)
        if wanted := group.key.wanted_nodes - present:
            nodes = sorted(nodes, key=lambda node: node.name not in wanted)
        accepted = (node for node in nodes if group.accepts_new(node, self._reserved.get(node.name, frozenset())))
        return list(islice(accepted, most))
