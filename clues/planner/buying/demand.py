"""What is wanted: pending jobs, by priority, laid over the room there is; what does not fit is bought.

Jobs are taken in Slurm's own order. Each first uses up open nodes, then what was bought for it and is on its way,
then other nodes that are starting or just leaving. What found no room is then planned together, by shape with counts
(``shopping.py``), and bought in the order of priority; what cannot be planned so is bought one by one
(``onebyone.py``). Jobs of one class (same request, partitions, constraint) that found nothing are not looked at again
until there is new room: the work goes with the number of classes and nodes, not with the number of jobs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from clues.model import COMING, Claim, ClaimState, ClusterSnapshot, Job, Outlook, Resources, Verdict
from clues.planner.buying.hold import Hold, find_holds
from clues.planner.buying.onebyone import OneByOne
from clues.planner.buying.placement import Buyer
from clues.planner.buying.shopping import Lacking, Purchase, Shopping
from clues.planner.maintenance import too_late
from clues.planner.money.spot import waiting_for_spot
from clues.planner.queue.bins import Bin, Bins, Origin
from clues.planner.queue.jobclass import ClassKey, JobClass, UnreadableConstraint, class_key, make_class
from clues.planner.queue.layout import Layout
from clues.planner.queue.permits import Permits
from clues.planner.queue.policy import without_nodes
from clues.planner.queue.room import find_room, partitions_by_pool, reservations_by_node
from clues.planner.view import View

#: What a component of a heterogeneous job must be for the others to be bought.
HOPEFUL = {Verdict.SERVED, Verdict.STARTING, Verdict.BUYING}


@dataclass(frozen=True, slots=True)
class Taken:
    """One node that a pending job would use."""

    name: str
    origin: Origin
    site: str


@dataclass
class Demand:
    """What a decision found about the queue."""

    outlooks: dict[str, Outlook] = field(default_factory=dict)
    #: nodes that pending jobs would use: not to be stopped, or to be called back
    needed: set[str] = field(default_factory=set)
    #: by job, the site whose open nodes have room for it now (empty: the room is on premises)
    served_at: dict[str, str] = field(default_factory=dict)
    #: by job, its class; and the nodes that its first task would use, of those that are there, coming or bought
    classes: dict[str, JobClass] = field(default_factory=dict)
    first_nodes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    #: by job, until when what would be bought for it waits for more jobs
    holds: dict[str, Hold] = field(default_factory=dict)


def find_demand(view: View, claims: Mapping[str, Claim], buyer: Buyer) -> Demand:
    """Go through the queue once; purchases are left with *buyer*."""
    snapshot = view.snapshot
    if snapshot is None or not any(job.pending for job in snapshot.jobs):
        return Demand()
    return _Queue(view, claims, buyer, snapshot).run()


@dataclass
class _Laying:
    """How far one record of the queue has come."""

    rank: int
    job: Job
    group: JobClass
    #: tasks without room
    lacking: int
    worst: Origin = Origin.OPEN
    used: set[str] = field(default_factory=set)
    bought: set[str] = field(default_factory=set)
    pool: str = ""
    #: what was bought for it and is on its way, set aside: node, and what of it
    own: list[tuple[str, Resources]] = field(default_factory=list)
    #: what is planned for it waits for more jobs
    hold: Hold | None = None
    #: nodes with room for a part of the gang, set aside until the rest is bought
    held: list[tuple[str, Resources]] = field(default_factory=list)

    @property
    def is_gang(self) -> bool:
        return _fewest_nodes(self.group) > 1


class _Queue:
    """The walk through the queue, with what it uses up on the way."""

    def __init__(self, view: View, claims: Mapping[str, Claim], buyer: Buyer, snapshot: ClusterSnapshot) -> None:
        self.view, self.buyer, self.snapshot = view, buyer, snapshot
        reserved = reservations_by_node(snapshot)
        self.bins: Bins = find_room(view, claims, reserved)
        self.claims = claims
        self.partitions = partitions_by_pool(view, snapshot)
        self.classes: dict[ClassKey, JobClass | str] = {}
        self.one_by_one = OneByOne(view, claims, buyer, self.bins, reserved)
        self.shopping = Shopping(view, buyer, self.bins, reserved)
        #: nodes that are on their way for each job already: it buys nothing twice, whatever else goes wrong
        self.coming = Counter(job for claim in claims.values() if claim.state in COMING for job in claim.jobs)
        #: nodes on paper that wait for the router of a site
        self.waiting = {
            claim.node: claim.offer.site
            for claim in claims.values()
            if claim.state is ClaimState.PLANNED and not view.reachable(claim)
        }
        self.permits = Permits(snapshot)
        self.patient = [pool for pool in view.settings.pools.values() if pool.spot_fallback_after]
        self.demand = Demand()

    def run(self) -> Demand:
        pending = [job for job in self.snapshot.jobs if job.pending]
        pending.sort(key=lambda job: (-job.priority, job.submitted.timestamp() if job.submitted else 0.0, job.id))
        layings: list[_Laying] = []
        for job in pending:
            outlook = without_nodes(job, self.view) or self._begin(job, layings)
            if outlook is not None:
                self.demand.outlooks[job.id] = outlook
        self._set_aside(layings)
        for laying in layings:
            self._use_room(laying)
        self._buy([laying for laying in layings if laying.lacking])
        for laying in layings:
            self.demand.outlooks[laying.job.id] = self._told(laying)
        self._together()
        return self.demand

    def _begin(self, job: Job, layings: list[_Laying]) -> Outlook | None:
        """Take up a job that waits for nodes; return what there is to say of one that buys nothing."""
        count, wanting = self.permits.startable(job)
        if wanting:
            return Outlook(job.id, Verdict.WAITS, wanting)
        group = self._class(job)
        if isinstance(group, str):
            return Outlook(job.id, Verdict.UNKNOWN, f"{group}: nothing is bought for it")
        self.demand.classes[job.id] = group
        layings.append(_Laying(len(layings), job, group, count))
        return None

    def _class(self, job: Job) -> JobClass | str:
        spot = waiting_for_spot(job, self.patient, self.view.now) if self.patient else frozenset()
        late = too_late(job, self.view.maintenance, self.view.now) if self.view.maintenance else frozenset()
        key = class_key(job, self.snapshot, self.view.settings.budgets.accounts, spot, late)
        found = self.classes.get(key)
        if found is None:
            try:
                found = make_class(key, self.view, self.snapshot, self.partitions)
            except UnreadableConstraint as error:
                found = str(error)
            self.classes[key] = found
        return found

    # --- room that is there or on its way -----------------------------------------------------------------------------

    def _set_aside(self, layings: Iterable[_Laying]) -> None:
        """Keep for each job what was bought for it and is on its way: else a plan that was made for all of them would
        be taken apart by the next look, and bought again in parts."""
        by_job = {laying.job.id: laying for laying in layings}
        for claim in self.claims.values():
            if claim.state not in COMING:
                continue
            for place, name in enumerate(claim.jobs):
                laying = by_job.get(name)
                if laying is None:
                    continue
                for _ in range(claim.tasks[place] if claim.tasks else 1):
                    room = self.bins.bin_of(claim.node)
                    layout = None if room is None else laying.group.layout_on(room)
                    if room is None or layout is None or len(laying.own) >= laying.lacking * layout.nodes:
                        break
                    whole = laying.group.key.request.exclusive
                    laying.own.append((claim.node, self.bins.take(room, claim.node, layout.each, whole=whole)))

    def _use_room(self, laying: _Laying) -> None:
        """Lay the tasks of a job on nodes that are open, on what was bought for it, then on any others."""
        group = laying.group
        while laying.lacking:
            nodes = 1 if not laying.is_gang else _fewest_nodes(group)
            if (taken := self._from_room(group, only_open=True)) is not None:
                for name, resources in laying.own[:nodes]:
                    self.bins.give_back(name, resources)
                del laying.own[:nodes]
            elif len(laying.own) >= nodes:
                taken = [self._taken(name) for name, _ in laying.own[:nodes]]
                del laying.own[:nodes]
            else:
                for name, resources in laying.own:
                    self.bins.give_back(name, resources)
                laying.own.clear()
                taken = self._from_room(group)
            if taken is None:
                break
            self._lay(laying, taken)
        if laying.lacking and laying.is_gang and not laying.held:
            self._hold_part(laying)

    def _taken(self, name: str) -> Taken:
        likes = self.bins.likes_of(name)
        return Taken(name, likes.origin, likes.site)

    def _lay(self, laying: _Laying, taken: list[Taken]) -> None:
        """Write down that one more task has its nodes."""
        laying.lacking -= 1
        names = [one.name for one in taken]
        self.demand.first_nodes.setdefault(laying.job.id, tuple(names))
        laying.used.update(names)
        self.demand.needed.update(names)
        laying.worst = max([laying.worst, *(one.origin for one in taken)])
        if laying.worst is Origin.OPEN:
            self.demand.served_at[laying.job.id] = taken[0].site

    def _hold_part(self, laying: _Laying) -> None:
        """Set aside the nodes that are there for a part of a gang, at the site where most of it is."""
        group = laying.group
        if group.parted == self.bins.version:
            return
        best: tuple[int, frozenset[str]] = (0, frozenset())
        known: dict[tuple[str, int], frozenset[str]] = {}
        for option in group.options:
            site, nodes = option.offer.site, option.layout.nodes
            if (site, nodes) not in known:
                known[site, nodes] = self.one_by_one.present(group, site, option.layout)
            present = known[site, nodes]
            if len(present) - option.layout.nodes > best[0] - _fewest_nodes(group) or not best[1]:
                best = len(present), present
        if not best[1]:
            group.parted = self.bins.version  # what is there only becomes less
        for name in sorted(best[1]):
            room = self.bins.bin_of(name)
            layout = None if room is None else group.layout_on(room)
            if room is not None and layout is not None:
                whole = group.key.request.exclusive
                laying.held.append((name, self.bins.take(room, name, layout.each, whole=whole)))

    def _from_room(self, group: JobClass, *, only_open: bool = False) -> list[Taken] | None:
        """Take one task's nodes out of the room there is; all or nothing, and of one site unless it may span."""
        if self.bins.version in (group.exhausted, group.open_exhausted if only_open else -1):
            return None
        sites: dict[str, list[tuple[Bin, str, Layout]]] = {}
        wanted = group.key.wanted_nodes
        for room in self.bins:
            if only_open and room.likes.origin is not Origin.OPEN:
                break
            layout = group.layout_on(room)
            if layout is None:
                continue
            spot = sites.setdefault("" if group.spans else room.likes.site, [])
            for name in reversed(room.names):
                if group.accepts_name(name):
                    spot.append((room, name, layout))
                    if len(spot) >= layout.nodes and not wanted:
                        return self._take(group, spot[: layout.nodes])
        for spot in sites.values() if wanted else ():  # all nodes that the job names have to be among them
            if not spot:
                continue
            spot.sort(key=lambda entry: entry[1] not in wanted)
            layout = spot[0][2]
            chosen = spot[: layout.nodes]
            named = sum(1 for _, name, _ in chosen if name in wanted)
            if len(chosen) == layout.nodes and named == min(len(wanted), layout.nodes):
                return self._take(group, chosen)
        if only_open:
            group.open_exhausted = self.bins.version
        else:
            group.exhausted = self.bins.version
        return None

    def _take(self, group: JobClass, spot: list[tuple[Bin, str, Layout]]) -> list[Taken]:
        taken = []
        for room, name, layout in spot:
            self.bins.take(room, name, layout.each, whole=group.key.request.exclusive)
            taken.append(Taken(name, room.likes.origin, room.likes.site))
        return taken

    # --- purchases ----------------------------------------------------------------------------------------------------

    def _buy(self, layings: list[_Laying]) -> None:
        """Buy what is lacking, in the order of priority: what was planned together, and what is bought by itself."""
        for laying in layings:  # what others gave back since may do
            if not laying.held and not laying.is_gang:
                self._use_room(laying)
        lacking = [
            Lacking(one.rank, one.job, one.group, one.lacking)
            for one in layings
            if one.lacking and not one.held and not self._is_coming(one)
        ]
        by_rank = {laying.rank: laying for laying in layings}
        planned = self.shopping.plan(lacking)
        groups = {laying.rank: laying.group for laying in layings}
        holds = {id(planned[place]): hold for place, hold in find_holds(planned, groups, self.view).items()}
        steps: list[tuple[int, int, Purchase | _Laying]] = [(one.rank, 0, one) for one in planned]
        steps += [(laying.rank, 1, laying) for laying in layings]
        alone = {laying.rank: laying.lacking for laying in layings}
        for purchase in planned:
            for rank, nodes in purchase.tasks.items():
                alone[rank] -= len(nodes)
        steps.sort(key=lambda step: step[:2])
        late: list[_Laying] = []
        for rank, _, step in steps:
            if isinstance(step, Purchase):
                if (hold := holds.get(id(step))) is not None:
                    for one in step.tasks:
                        by_rank[one].hold = hold
                    continue
                done = self.shopping.buy(step)
                for other, spots in step.tasks.items():
                    if done:
                        for names in spots:
                            site = step.spots[names[0]][1].site
                            self._lay(by_rank[other], [Taken(step.nodes[at].name, Origin.BOUGHT, site) for at in names])
                            by_rank[other].bought.update(step.nodes[at].name for at in names)
                            by_rank[other].pool = step.spots[names[0]][0].pool.name
                    else:
                        alone[other] += len(spots)
                        if other < rank or other != rank:
                            late.append(by_rank[other])
            elif alone[rank] > 0:
                self._by_itself(step, alone[rank])
        for laying in late:
            if laying.lacking:
                self._by_itself(laying, laying.lacking)

    def _by_itself(self, laying: _Laying, count: int) -> None:
        """Find room for so many tasks of a job by itself, buying what is missing."""
        for name, resources in laying.held:
            self.bins.give_back(name, resources)
        laying.held.clear()
        if self._is_coming(laying):
            return
        group = laying.group
        for _ in range(count):
            taken, before = self._from_room(group), len(self.buyer.bought)
            if taken is None and not group.refusals:
                option = self.one_by_one.buy(laying.job, group)
                if option is not None:
                    laying.pool = option.pool.name
                    taken = self._from_room(group)
            if taken is None:
                return
            self._lay(laying, taken)
            fresh = {claim.node for claim in self.buyer.bought[before:]}
            for one in taken:
                if one.origin is Origin.BOUGHT:
                    laying.bought.add(one.name)
                    if one.name not in fresh:
                        self.buyer.also_for(one.name, laying.job.id)

    def _is_coming(self, laying: _Laying) -> bool:
        """Whether as many nodes are on their way for a job as it needs, wherever they are counted."""
        job = laying.job
        return not laying.group.refusals and 0 < job.count * _fewest_nodes(laying.group) <= self.coming[job.id]

    # --- what is told -------------------------------------------------------------------------------------------------

    def _told(self, laying: _Laying) -> Outlook:
        job = laying.job
        if laying.lacking and self._is_coming(laying):
            mine = [claim.node for claim in self.claims.values() if job.id in claim.jobs]
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
        sites = sorted({self.waiting[name] for name in nodes if name in self.waiting})
        return f"waits for the router of {' and '.join(sites)}" if sites else ""

    def _blocked(self, job: Job, group: JobClass, nodes: int) -> Outlook:
        if not group.options:
            said = group.hopeless(self.view, self.snapshot)
            return Outlook(job.id, said.verdict, said.text, sites=said.others)
        wanted = group.options[0].layout.nodes
        text = (
            f"needs {wanted} node{'s' if wanted > 1 else ''} of pool {group.options[0].pool.name}, none to be had now"
        )
        return Outlook(job.id, Verdict.BLOCKED, text, group.options[0].pool.name, nodes, dict(group.refusals))

    def _together(self) -> None:
        """Make heterogeneous jobs whole: one component that cannot be had takes back the others' purchases."""
        parts: dict[str, list[Job]] = {}
        for job in self.snapshot.jobs:
            if job.het_id and job.pending:
                parts.setdefault(job.het_id, []).append(job)
        for het_id, jobs in parts.items():
            bought = [claim for claim in self.buyer.bought if claim.gang == het_id]
            if not bought:
                continue
            blocked = [job.id for job in jobs if self.demand.outlooks[job.id].verdict not in HOPEFUL]
            mates = sum(1 for one in self.claims.values() if one.gang == het_id and one.serving)
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


def _fewest_nodes(group: JobClass) -> int:
    return group.options[0].layout.nodes if group.options else 1


def _outlook(job: Job, worst: Origin, pool: str, nodes: int, waits: str) -> Outlook:
    if worst is Origin.OPEN:
        return Outlook(job.id, Verdict.SERVED, "open nodes have room for it; Slurm will start it")
    if worst is Origin.BOUGHT:
        return Outlook(job.id, Verdict.BUYING, f"{nodes} nodes of pool {pool} are being started", pool, nodes)
    text = "nodes for it are starting" if worst is Origin.STARTING else "a node that was leaving is called back for it"
    return Outlook(job.id, Verdict.STARTING, waits or text, pool, nodes)
