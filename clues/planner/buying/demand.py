"""What is wanted: pending jobs, by priority, laid over the room there is; what does not fit is bought.

Jobs are taken in Slurm's own order and laid on what is there or on its way (``laying.py``). What found no room is then
planned together, by shape with counts (``shopping.py``), and bought in the order of priority; what cannot be planned so
is bought one by one (``onebyone.py``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from clues.model import Claim, ClaimState, Job, Outlook, Verdict
from clues.planner.buying.hold import find_holds
from clues.planner.buying.laying import Demand, Laying, Queue, Taken
from clues.planner.buying.placement import Buyer
from clues.planner.buying.purchase import Lacking, Part, Purchase
from clues.planner.buying.shopping import Shopping
from clues.planner.queue.bins import Origin
from clues.planner.queue.jobclass import JobClass
from clues.planner.view import View

#: What a component of a heterogeneous job must be for the others to be bought.
HOPEFUL = {Verdict.SERVED, Verdict.STARTING, Verdict.BUYING}


def find_demand(view: View, claims: Mapping[str, Claim], buyer: Buyer) -> Demand:
    """Go through the queue once; purchases are left with *buyer*."""
    snapshot = view.snapshot
    if snapshot is None or not view.pending:
        return Demand()
    queue = Queue(view, claims, buyer, snapshot)
    layings = queue.run()
    _Purchases(queue, buyer).buy([laying for laying in layings if laying.lacking])
    _Telling(queue, buyer).tell(layings)
    return queue.demand


class _Purchases:
    """Buys for what the queue lacks."""

    def __init__(self, queue: Queue, buyer: Buyer) -> None:
        self.queue, self.buyer = queue, buyer
        self.shopping = Shopping(queue.view, buyer, queue.bins, queue.reserved)

    def buy(self, layings: list[Laying]) -> None:
        """Buy what is lacking, in the order of priority: what was planned together, and what is bought by itself."""
        for laying in layings:  # what others gave back since may do
            if not laying.held and not laying.is_gang:
                self.queue.use_room(laying)
        lacking = [
            one
            for laying in layings
            if laying.lacking and not self.queue.is_coming(laying)
            for one in self._lacking_of(laying)
        ]
        by_rank = {laying.rank: laying for laying in layings}
        planned = self.shopping.plan(lacking)
        completed = {rank for purchase in planned for rank in purchase.completes}
        for laying in layings:
            if laying.held and laying.rank not in completed:
                self._give_back(laying)
        groups = {laying.rank: laying.group for laying in layings}
        holds = {id(planned[place]): hold for place, hold in find_holds(planned, groups, self.queue.view).items()}
        steps: list[tuple[int, int, Purchase | Laying]] = [(one.rank, 0, one) for one in planned]
        steps += [(laying.rank, 1, laying) for laying in layings]
        alone = {laying.rank: laying.lacking for laying in layings}
        for purchase in planned:
            for rank, nodes in purchase.tasks.items():
                alone[rank] -= len(nodes)
        steps.sort(key=lambda step: step[:2])
        late: list[Laying] = []
        for rank, _, step in steps:
            if isinstance(step, Purchase):
                if (hold := holds.get(id(step))) is not None:
                    for one in step.tasks:
                        by_rank[one].hold = hold
                    continue
                done = self.shopping.buy(step)
                bought = [Taken(node.name, Origin.BOUGHT, step.site) for node in step.nodes]
                for other, spots in step.tasks.items():
                    if done:
                        self._have(by_rank[other], step, spots, bought)
                    else:
                        alone[other] += len(spots)
                        if other < rank or other != rank:
                            late.append(by_rank[other])
            elif alone[rank] > 0 and not (step.group.refusals and self.queue.is_exhausted(step)):
                self._by_itself(step, alone[rank])
        for laying in late:
            if laying.lacking:
                self._by_itself(laying, laying.lacking)

    def _lacking_of(self, laying: Laying) -> list[Lacking]:
        """Return what is to be planned for a job; a gang that has a part of its nodes already comes first."""
        one = Lacking(laying.rank, laying.job, laying.group, laying.lacking)
        if not laying.held:
            return [one]
        site, nodes = self.queue.bins.likes_of(laying.held[0][0]).site, len(laying.held)
        part = Part(site, nodes, self.queue.one_by_one.mates(laying.job, site, nodes))
        first, others = replace(one, count=1, part=part), replace(one, count=one.count - 1)
        return [first, others] if others.count else [first]

    def _have(
        self, laying: Laying, purchase: Purchase, spots: Iterable[tuple[int, ...]], bought: Sequence[Taken]
    ) -> None:
        """Lay tasks of a job on nodes that were *bought* as planned."""
        for spot in spots:
            taken = [bought[at] for at in spot]
            if laying.held and purchase.completes.get(laying.rank, ((), 0))[0] == spot:
                taken += [self.queue.taken(name) for name, _ in laying.held]
                laying.held.clear()
            self.queue.lay(laying, taken)
            laying.bought.update([bought[at].name for at in spot])
            laying.pool = purchase.spots[spot[0]][0].pool.name

    def _give_back(self, laying: Laying) -> None:
        """Let others have the nodes that were set aside for a part of a gang."""
        for name, resources in laying.held:
            self.queue.bins.give_back(name, resources)
        laying.held.clear()

    def _by_itself(self, laying: Laying, count: int) -> None:
        """Find room for so many tasks of a job by itself, buying what is missing."""
        self._give_back(laying)
        if self.queue.is_coming(laying):
            return
        group = laying.group
        for _ in range(count):
            taken, before = self.queue.from_room(group), len(self.buyer.bought)
            if taken is None and not group.refusals:
                option = self.queue.one_by_one.buy(laying.job, group)
                if option is not None:
                    laying.pool = option.pool.name
                    taken = self.queue.from_room(group)
            if taken is None:
                return
            self.queue.lay(laying, taken)
            fresh = {claim.node for claim in self.buyer.bought[before:]}
            for one in taken:
                if one.origin is Origin.BOUGHT:
                    laying.bought.add(one.name)
                    if one.name not in fresh:
                        self.buyer.also_for(one.name, laying.job.id)


class _Telling:
    """Says of each job that waits for nodes what was found."""

    def __init__(self, queue: Queue, buyer: Buyer) -> None:
        self.queue, self.buyer, self.demand = queue, buyer, queue.demand
        view = queue.view
        #: nodes on paper that wait for the router of a site
        self.waiting = {
            claim.node: claim.offer.site
            for claim in queue.claims.values()
            if claim.state is ClaimState.PLANNED and not view.reachable(claim)
        }

    def tell(self, layings: Iterable[Laying]) -> None:
        """Leave an outlook for each in the demand."""
        for laying in layings:
            self.demand.outlooks[laying.job.id] = self._told(laying)
        self._together()

    def _told(self, laying: Laying) -> Outlook:
        job = laying.job
        if laying.lacking and self.queue.is_coming(laying):
            mine = [claim.node for claim in self.queue.claims.values() if job.id in claim.jobs]
            self.demand.first_nodes.setdefault(job.id, tuple(mine))
            return _outlook(job, Origin.STARTING, "", 0, self._wait_for_router(mine))
        if laying.lacking and laying.hold is not None and not laying.bought:
            self.demand.holds[job.id] = laying.hold
            return Outlook(job.id, Verdict.WAITS, laying.hold.text, laying.hold.pool.name)
        if laying.lacking and laying.hold is None:
            return self._blocked(job, laying.group, len(laying.bought))
        return _outlook(job, laying.worst, laying.pool, len(laying.bought), self._wait_for_router(laying.used))

    def _wait_for_router(self, nodes: Iterable[str]) -> str:
        """Return in words which routers these nodes wait for; empty: none."""
        if not self.waiting:
            return ""
        sites = sorted({self.waiting[name] for name in nodes if name in self.waiting})
        return f"waits for the router of {' and '.join(sites)}" if sites else ""

    def _blocked(self, job: Job, group: JobClass, nodes: int) -> Outlook:
        if not group.options:
            said = group.hopeless(self.queue.view, self.queue.snapshot)
            return Outlook(job.id, said.verdict, said.text, sites=said.others)
        wanted, pool = group.fewest_nodes, group.options[0].pool.name
        text = f"needs {wanted} node{'s' if wanted > 1 else ''} of pool {pool}, none to be had now"
        return Outlook(job.id, Verdict.BLOCKED, text, pool, nodes, group.refusals)

    def _together(self) -> None:
        """Make heterogeneous jobs whole: one component that cannot be had takes back the others' purchases."""
        parts: dict[str, list[Job]] = {}
        for job in self.queue.snapshot.jobs:
            if job.het_id and job.pending:
                parts.setdefault(job.het_id, []).append(job)
        for het_id, jobs in parts.items():
            bought = [claim for claim in self.buyer.bought if claim.gang == het_id]
            if not bought:
                continue
            blocked = [job.id for job in jobs if self.demand.outlooks[job.id].verdict not in HOPEFUL]
            mates = sum(1 for one in self.queue.claims.values() if one.gang == het_id and one.serving)
            for claim in bought:
                self.buyer.bought.remove(claim)
                if not blocked:
                    self.buyer.bought.append(replace(claim, gang_size=len(bought) + mates))
            if blocked:
                for job in jobs:
                    if job.id in blocked:
                        continue
                    text = f"its component {', '.join(blocked)} has no nodes, and all start together"
                    self.demand.outlooks[job.id] = Outlook(job.id, Verdict.BLOCKED, text)


def _outlook(job: Job, worst: Origin, pool: str, nodes: int, waits: str) -> Outlook:
    if worst is Origin.OPEN:
        return Outlook(job.id, Verdict.SERVED, "open nodes have room for it; Slurm will start it")
    if worst is Origin.BOUGHT:
        return Outlook(job.id, Verdict.BUYING, f"{nodes} nodes of pool {pool} are being started", pool, nodes)
    text = "nodes for it are starting" if worst is Origin.STARTING else "a node that was leaving is called back for it"
    return Outlook(job.id, Verdict.STARTING, waits or text, pool, nodes)
