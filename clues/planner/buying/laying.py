"""The queue laid over the room there is: pending jobs, by priority, each on nodes that are open, then on what was
bought for it and is on its way, then on other nodes that are starting or just leaving.

Jobs of one class (same request, partitions, constraint) that found nothing are not looked at again until there is new
room: the work goes with the number of classes and nodes, not with the number of jobs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

from clues.model import COMING, Claim, ClusterSnapshot, Job, Outlook, Resources, Verdict
from clues.planner.buying.hold import Hold
from clues.planner.buying.onebyone import OneByOne
from clues.planner.buying.placement import Buyer
from clues.planner.maintenance.closing import too_late
from clues.planner.money.spot import waiting_for_spot
from clues.planner.queue.bins import Bin, Bins, Origin
from clues.planner.queue.jobclass import ClassKey, JobClass, UnreadableConstraint, class_key, crossed_by, make_class
from clues.planner.queue.layout import Layout
from clues.planner.queue.permits import Permits
from clues.planner.queue.policy import without_nodes
from clues.planner.queue.room import find_room, partitions_by_pool, reservations_by_node
from clues.planner.view import View


class Taken(NamedTuple):
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


@dataclass(slots=True)
class Laying:
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
        return self.group.fewest_nodes > 1


class Queue:
    """The walk through the queue, with what it uses up on the way."""

    def __init__(self, view: View, claims: Mapping[str, Claim], buyer: Buyer, snapshot: ClusterSnapshot) -> None:
        self.view, self.snapshot, self.claims = view, snapshot, claims
        self.reserved = reservations_by_node(snapshot)
        self.bins: Bins = find_room(view, claims, self.reserved)
        self.one_by_one = OneByOne(view, claims, buyer, self.bins, self.reserved)
        self._partitions = partitions_by_pool(view, snapshot)
        self._classes: dict[ClassKey, JobClass | str] = {}
        #: the same by what is quicker to look up: jobs alike mostly share the very same request
        self._alike: dict[Hashable, JobClass | str] = {}
        self._crossed: dict[timedelta | None, frozenset[str]] = {}
        #: nodes that are on their way for each job already: it buys nothing twice, whatever else goes wrong
        self._coming = Counter(job for claim in claims.values() if claim.state in COMING for job in claim.jobs)
        self._permits = Permits(snapshot)
        self._patient = [pool for pool in view.settings.pools.values() if pool.spot_fallback_after]
        self.demand = Demand()

    def run(self) -> list[Laying]:
        """Lay all that waits for nodes; what has then no room is :attr:`Laying.lacking`."""
        pending = sorted(self.view.pending, key=_most_urgent_first)
        layings: list[Laying] = []
        for job in pending:
            outlook = without_nodes(job, self.view) or self._begin(job, layings)
            if outlook is not None:
                self.demand.outlooks[job.id] = outlook
        self._set_aside(layings)
        for laying in layings:
            self.use_room(laying)
        return layings

    def _begin(self, job: Job, layings: list[Laying]) -> Outlook | None:
        """Take up a job that waits for nodes; return what there is to say of one that buys nothing."""
        count, wanting = self._permits.startable(job)
        if wanting:
            return Outlook(job.id, Verdict.WAITS, wanting)
        group = self._class(job)
        if isinstance(group, str):
            return Outlook(job.id, Verdict.UNKNOWN, f"{group}: nothing is bought for it")
        self.demand.classes[job.id] = group
        layings.append(Laying(len(layings), job, group, count))
        return None

    def _class(self, job: Job) -> JobClass | str:
        spot = waiting_for_spot(job, self._patient, self.view.now) if self._patient else frozenset()
        late = too_late(job, self.view.maintenance, self.view.now) if self.view.maintenance else frozenset()
        account = job.account if job.account in self.view.settings.budgets.accounts else ""
        crossed = self._crossed.get(job.time_limit)
        if crossed is None:
            crossed = self._crossed[job.time_limit] = crossed_by(job.time_limit, self.snapshot, self.view.now)
        names = (job.wanted_nodes, job.excluded_nodes, job.reservation)
        alike = (id(job.request), job.partitions, job.constraint, names, crossed, account, spot, late)
        found = self._alike.get(alike)
        if found is None:
            key = class_key(job, self.snapshot, crossed, account, spot, late)
            found = self._alike[alike] = self._class_of(key)
        return found

    def _class_of(self, key: ClassKey) -> JobClass | str:
        found = self._classes.get(key)
        if found is None:
            try:
                found = make_class(key, self.view, self.snapshot, self._partitions)
            except UnreadableConstraint as error:
                found = str(error)
            self._classes[key] = found
        return found

    def _set_aside(self, layings: Iterable[Laying]) -> None:
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

    def use_room(self, laying: Laying) -> None:
        """Lay the tasks of a job on nodes that are open, on what was bought for it, then on any others."""
        group = laying.group
        if self.is_exhausted(laying) and (group.fewest_nodes == 1 or group.parted == self.bins.version):
            return
        while laying.lacking:
            nodes = group.fewest_nodes
            if (taken := self.from_room(group, only_open=True)) is not None:
                for name, resources in laying.own[:nodes]:
                    self.bins.give_back(name, resources)
                del laying.own[:nodes]
            elif len(laying.own) >= nodes:
                taken = [self.taken(name) for name, _ in laying.own[:nodes]]
                del laying.own[:nodes]
            else:
                for name, resources in laying.own:
                    self.bins.give_back(name, resources)
                laying.own.clear()
                taken = self.from_room(group)
            if taken is None:
                break
            self.lay(laying, taken)
        if laying.lacking and laying.is_gang and not laying.held:
            self._hold_part(laying)

    def is_exhausted(self, laying: Laying) -> bool:
        """Whether nothing is set aside for a job, and others of its class found no room: so it is with most of a long
        queue."""
        return laying.group.exhausted == self.bins.version and not (laying.own or laying.held)

    def taken(self, name: str) -> Taken:
        """Return a node that is used with what it is: open, on its way, or just bought."""
        likes = self.bins.likes_of(name)
        return Taken(name, likes.origin, likes.site)

    def lay(self, laying: Laying, taken: list[Taken]) -> None:
        """Write down that one more task has its nodes."""
        laying.lacking -= 1
        names = tuple([one.name for one in taken])
        self.demand.first_nodes.setdefault(laying.job.id, names)
        laying.used.update(names)
        self.demand.needed.update(names)
        for one in taken:
            if one.origin > laying.worst:
                laying.worst = one.origin
        if laying.worst is Origin.OPEN:
            self.demand.served_at[laying.job.id] = taken[0].site

    def _hold_part(self, laying: Laying) -> None:
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
            if len(present) - option.layout.nodes > best[0] - group.fewest_nodes or not best[1]:
                best = len(present), present
        if not best[1]:
            group.parted = self.bins.version  # what is there only becomes less
        for name in sorted(best[1]):
            room = self.bins.bin_of(name)
            layout = None if room is None else group.layout_on(room)
            if room is not None and layout is not None:
                whole = group.key.request.exclusive
                laying.held.append((name, self.bins.take(room, name, layout.each, whole=whole)))

    def from_room(self, group: JobClass, *, only_open: bool = False) -> list[Taken] | None:
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

    def is_coming(self, laying: Laying) -> bool:
        """Whether as many nodes are on their way for a job as it needs, wherever they are counted."""
        job = laying.job
        return not laying.group.refusals and 0 < job.count * laying.group.fewest_nodes <= self._coming.get(job.id, 0)


def _most_urgent_first(job: Job) -> tuple[int, float, str]:
    return (-job.priority, job.submitted.timestamp() if job.submitted else 0.0, job.id)
