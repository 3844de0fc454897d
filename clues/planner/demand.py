"""What is wanted: pending jobs, by priority, laid over the room there is; what does not fit is bought.

Jobs are taken in Slurm's own order.  Each first uses up open nodes, then nodes that are starting, then nodes that are
just leaving; only the rest buys.  A node bought for one job is room for the next, so eight one-core jobs buy one
eight-core node.  Jobs of one class (same request, partitions, constraint) that found nothing are not looked at again
until there is new room: the work goes with the number of classes and nodes, not with the number of jobs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import islice

from clues.model import COMING, Claim, ClusterSnapshot, Job, Node, Outlook, Verdict, Wish
from clues.planner.bins import Bin, Bins, Likes, Origin
from clues.planner.gangs import could_open_soon, mates_of
from clues.planner.jobclass import ClassKey, JobClass, Option, UnreadableConstraint, class_key, fingerprint, make_class
from clues.planner.layout import Layout
from clues.planner.placement import Buyer
from clues.planner.reasons import Need, need_of
from clues.planner.room import find_room, partitions_by_pool, pool_features, reservations_by_node
from clues.planner.view import View
from clues.units import show_duration

#: What a component of a heterogeneous job must be for the others to be bought.
HOPEFUL = {Verdict.SERVED, Verdict.STARTING, Verdict.BUYING}


@dataclass(frozen=True, slots=True)
class Taken:
    """One node that a pending job would use."""

    name: str
    origin: Origin


@dataclass
class Demand:
    """What a decision found about the queue."""

    outlooks: dict[str, Outlook] = field(default_factory=dict)
    #: nodes that pending jobs would use: not to be stopped, or to be called back
    needed: set[str] = field(default_factory=set)


def find_demand(view: View, claims: Mapping[str, Claim], buyer: Buyer) -> Demand:
    """Go through the queue once; purchases are left with *buyer*."""
    snapshot = view.snapshot
    if snapshot is None:
        return Demand()
    return _Queue(view, claims, buyer, snapshot).run()


class _Queue:
    """The walk through the queue, with what it uses up on the way."""

    def __init__(self, view: View, claims: Mapping[str, Claim], buyer: Buyer, snapshot: ClusterSnapshot) -> None:
        self.view, self.buyer, self.snapshot = view, buyer, snapshot
        self.reserved = reservations_by_node(snapshot)
        self.bins: Bins = find_room(view, claims, self.reserved)
        self.claims = claims
        self.partitions = partitions_by_pool(view, snapshot)
        self.classes: dict[ClassKey, JobClass | str] = {}
        #: nodes that are on their way for each job already: it buys nothing twice, whatever else goes wrong
        self.coming = Counter(job for claim in claims.values() if claim.state in COMING for job in claim.jobs)
        self.demand = Demand()

    def run(self) -> Demand:
        pending = [job for job in self.snapshot.jobs if job.pending]
        pending.sort(key=lambda job: (-job.priority, job.submitted.timestamp() if job.submitted else 0.0, job.id))
        for job in pending:
            outlook = self._policy(job) or self._serve(job)
            self.demand.outlooks[job.id] = outlook
        self._together()
        return self.demand

    def _policy(self, job: Job) -> Outlook | None:
        """Return the outlook of a job that nodes do not help; None when they would."""
        need = need_of(job.reason)
        if need is Need.WAITS:
            return Outlook(job.id, Verdict.WAITS, f"waits for something else than nodes: {job.reason}")
        if need is Need.NEVER:
            return Outlook(job.id, Verdict.NEVER, f"no node would help: {job.reason}")
        if need is Need.UNKNOWN:
            text = f"pending for {job.reason!r}, a reason that is not known here: nothing is bought for it"
            return Outlook(job.id, Verdict.UNKNOWN, text)
        if job.dependency:
            return Outlook(job.id, Verdict.WAITS, f"waits for other jobs: {job.dependency}")
        if job.eligible is not None and job.eligible > self.view.now and not _is_estimate(job):
            return Outlook(job.id, Verdict.WAITS, f"may not start before {job.eligible:%Y-%m-%d %H:%M:%S} UTC")
        if job.count <= 0:
            return Outlook(job.id, Verdict.WAITS, "its array's throttle is reached")
        misread = self.view.world.memory.misread.get(job.id)
        if misread is not None and misread.fingerprint == fingerprint(job):
            retry = show_duration(self.view.settings.pace.misread_retry)
            text = (
                f"node {misread.node} stood open for it and it did not start; nothing is bought for it again "
                f"until the job changes (scontrol update) or {retry} have passed"
            )
            return Outlook(job.id, Verdict.MISREAD, text)
        return None

    def _class(self, job: Job) -> JobClass | str:
        key = class_key(job, self.snapshot)
        found = self.classes.get(key)
        if found is None:
            try:
                found = make_class(key, self.view, self.snapshot, self.partitions)
            except UnreadableConstraint as error:
                found = str(error)
            self.classes[key] = found
        return found

    def _serve(self, job: Job) -> Outlook:
        """Find room for all startable tasks of a record, buying what is missing."""
        group = self._class(job)
        if isinstance(group, str):
            return Outlook(job.id, Verdict.UNKNOWN, f"{group}: nothing is bought for it")
        worst, nodes, pool = Origin.OPEN, 0, ""
        for _ in range(job.count):
            taken = self._from_room(group) if not group.exhausted else None
            if taken is None and not group.refusals and self.coming[job.id] >= job.count * _fewest_nodes(group):
                return Outlook(job.id, Verdict.STARTING, "nodes bought for it are starting")
            if taken is None and not group.refusals:
                option = self._buy(job, group)
                if option is not None:
                    pool = option.pool.name
                    nodes += option.layout.nodes
                    taken = self._from_room(group)
            if taken is None:
                return self._blocked(job, group, nodes)
            self.demand.needed |= {one.name for one in taken}
            worst = max([worst, *(one.origin for one in taken)])
        return _outlook(job, worst, pool, nodes)

    def _from_room(self, group: JobClass) -> list[Taken] | None:
        """Take one task's nodes out of the room there is; all or nothing, and of one site unless it may span."""
        sites: dict[str, list[tuple[Bin, str, Layout]]] = {}
        wanted = group.key.wanted_nodes
        for room in self.bins:
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
        group.exhausted = True
        return None

    def _take(self, group: JobClass, spot: list[tuple[Bin, str, Layout]]) -> list[Taken]:
        taken = []
        for room, name, layout in spot:
            self.bins.take(room, name, layout.each, whole=group.key.request.exclusive)
            taken.append(Taken(name, room.likes.origin))
        return taken

    def _buy(self, job: Job, group: JobClass) -> Option | None:
        """Buy what one task lacks by the first option that can be had whole; else keep why each site cannot."""
        refusals: dict[str, str] = {}
        for option in group.options:
            site = option.offer.site
            present = self._present(group, site, option.layout)
            missing = option.layout.nodes - len(present)
            vacant = self._vacant(group, option, missing, present)
            unavailable = group.key.wanted_nodes - present - {node.name for node in vacant}
            if len(vacant) < missing:
                refusal = f"pool {option.pool.name} has {len(vacant)} nodes left that it may use, {missing} needed"
            elif unavailable and len(group.key.wanted_nodes) <= option.layout.nodes:
                refusal = f"it asks for {', '.join(sorted(unavailable))}, which cannot be had"
            else:
                refusal = self.buyer.why_not(option.pool, option.offer, missing)
            if not refusal:
                self._purchase(job, option, vacant, len(present))
                return option
            refusals[site] = refusal if site not in refusals else f"{refusals[site]}; {refusal}"
        # only now is it certain that nothing can be had: other jobs of the class need not ask again in this decision
        group.refusals = refusals or {"": "no pool can hold it"}
        return None

    def _purchase(self, job: Job, option: Option, vacant: list[Node], present: int) -> None:
        gang = job.het_id or ((job.array_id or job.id) if option.layout.nodes > 1 else "")
        site = None if option.pool.span else option.offer.site
        mates = sum(1 for one in mates_of(gang, site, self.claims.values()) if could_open_soon(one, self.view))
        reason = f"for job {job.id}" + (f" ({option.layout.nodes} nodes)" if option.layout.nodes > 1 else "")
        for node in vacant:
            # what of the gang is open already does not have to be waited for; what is starting does
            size = len(vacant) + min(mates, present) if gang else 0
            self.buyer.buy(option.pool, option.offer, node, (job.id,), reason, gang, size)
            features = pool_features(option.pool, option.offer.site)
            reservations = self.reserved.get(node.name, frozenset())
            shape = option.pool.shape
            likes = Likes(shape, shape, features, node.partitions, option.offer.site, Origin.BOUGHT, reservations)
            self.bins.add(likes, node.name)
        for group in self.classes.values():  # new room: every class may look again
            if isinstance(group, JobClass):
                group.exhausted = False

    def _present(self, group: JobClass, site: str, layout: Layout) -> frozenset[str]:
        """Which nodes of a gang are there already, where the rest would be bought."""
        if layout.nodes == 1:
            return frozenset()
        there = [
            name
            for room in self.bins
            if (group.spans or room.likes.site == site) and group.layout_on(room) is not None
            for name in room.names
            if group.accepts_name(name)
        ]
        there.sort(key=lambda name: name not in group.key.wanted_nodes)
        return frozenset(there[: layout.nodes - 1])

    def _vacant(self, group: JobClass, option: Option, most: int, present: frozenset[str]) -> list[Node]:
        """Nodes that may be started for a class, as many as are missing; those that the job names come first."""
        nodes = self.buyer.vacant(option.pool)
        if wanted := group.key.wanted_nodes - present:
            nodes = sorted(nodes, key=lambda node: node.name not in wanted)
        accepted = (node for node in nodes if group.accepts_new(node, self.reserved.get(node.name, frozenset())))
        return list(islice(accepted, most))

    def _blocked(self, job: Job, group: JobClass, nodes: int) -> Outlook:
        if not group.options:
            text = "no pool can ever run it: " + "; ".join(f"{pool} {why}" for pool, why in group.misfits.items())
            return Outlook(job.id, Verdict.NEVER, text if group.misfits else "no pool is configured for it")
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


def _is_estimate(job: Job) -> bool:
    """Whether the start that Slurm tells may be its backfill's guess instead of the user's ``--begin``.

    While all fitting nodes are closed there is no guess; Slurm 22.05 then says ReqNodeNotAvail of a job that may not
    start yet, until its next scheduling pass.
    """
    return job.reason.startswith(("Resources", "Priority"))


def _fewest_nodes(group: JobClass) -> int:
    return group.options[0].layout.nodes if group.options else 1


def _outlook(job: Job, worst: Origin, pool: str, nodes: int) -> Outlook:
    if worst is Origin.OPEN:
        return Outlook(job.id, Verdict.SERVED, "open nodes have room for it; Slurm will start it")
    if worst is Origin.BOUGHT:
        return Outlook(job.id, Verdict.BUYING, f"{nodes} nodes of pool {pool} are being started", pool, nodes)
    text = "nodes for it are starting" if worst is Origin.STARTING else "a node that was leaving is called back for it"
    return Outlook(job.id, Verdict.STARTING, text, pool, nodes)


def unbacked(view: View, claims: Mapping[str, Claim]) -> list[Node]:
    """Return nodes of ours that Slurm has allocated or is powering up although no VM stands behind them.

    That happens to nodes declared a moment ago and not closed yet, after slurmctld lost its state, and in eager pools.
    """
    snapshot = view.snapshot
    if snapshot is None:
        return []
    backed = {claim.node for claim in claims.values() if claim.live}
    found = []
    unwanted = {name for name, wish in view.world.operator.wishes.items() if wish is not Wish.ON}
    for name in view.pool_by_node:
        node = snapshot.nodes.get(name)
        if node is None or name in backed or name in unwanted or not node.understood or node.kept_by_admin:
            continue
        if "POWERING_UP" in node.flags or "POWER_UP" in node.flags or (node.busy and node.off):
            found.append(node)
    return found
