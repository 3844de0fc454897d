"""A Slurm of a few hundred lines: enough of its ways with CLOUD nodes to punish a planner that forgets one.

What it does was measured on 22.05.8: `power_down` wipes DRAIN, a slurmd that registers brings a powered-down node back
as it was closed, an empty state opens every node, a node that is open and off is allocated and powered up.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from clues.errors import LrmsError
from clues.model import ClusterSnapshot, Finding, Job, Node, Pool, Request, Resources, Settings
from clues.ports import Provision

POWER_DOWN_TAKES = timedelta(seconds=10)
SLURMD_TIMEOUT = timedelta(seconds=60)
RESUME_TIMEOUT = timedelta(seconds=300)

OURS = ("clues:", "Not responding", "ResumeTimeout reached")


@dataclass
class ToyNode:
    """One node as slurmctld keeps it."""

    name: str
    capacity: Resources
    partition: str
    features: frozenset[str]
    cloud: bool = True
    base: str = "IDLE"  # IDLE or DOWN; ALLOCATED and MIXED follow from the jobs
    flags: set[str] = field(default_factory=lambda: {"POWERED_DOWN"})
    reason: str = ""
    address: str = ""
    active: frozenset[str] = frozenset()
    #: the VM whose slurmd registered last
    vm: str = ""
    until: datetime | None = None
    silent_since: datetime | None = None
    #: Slurm powered it up for a job by itself: then jobs start as soon as slurmd registers, checked or not
    by_slurm: bool = False
    #: the worker that an admin has let back into service without asking whether it is sound
    resumed: str = ""

    @property
    def admins(self) -> bool:
        return bool(self.reason) and not self.reason.startswith(OURS)


@dataclass
class ToyJob:
    """One job: so many nodes with so many CPUs each, for so long."""

    id: str
    partition: str
    nodes: int
    cpus: int
    priority: int
    lasts: timedelta
    constraint: str = ""
    #: what its user gave, as far as anybody can still know it
    original: str = ""
    state: str = "PENDING"
    held: bool = False
    on: tuple[str, ...] = ()
    #: the VMs that it runs on
    vms: tuple[str, ...] = ()
    ends: datetime | None = None
    started: datetime | None = None


class ToySlurm:
    """A :class:`clues.ports.Lrms`, and behind it the nodes and the queue."""

    def __init__(self, pools: Iterable[Pool], now: Callable[[], datetime], chance: random.Random) -> None:
        self.now, self.chance = now, chance
        self.nodes: dict[str, ToyNode] = {}
        #: features that nodes have at whichever site
        self.common: frozenset[str] = frozenset()
        for pool in pools:
            self.common |= pool.features | {pool.name}
            features = self.common | {*pool.sites}
            for name in pool.nodes:
                self.nodes[name] = ToyNode(name, pool.shape, pool.name, features, active=features)
        self.jobs: dict[str, ToyJob] = {}
        self.out = False  # nobody answers
        self.half_way = False  # the next power_off dies between `down` and `power_down`
        #: told of what must never happen
        self.broken: list[str] = []
        #: is the VM alive and sound? the world tells
        self.alive: Callable[[str], bool] = lambda vm: True
        self.sound: Callable[[str], bool] = lambda vm: True
        #: does it answer, and is there a way to it?
        self.answers: Callable[[str], bool] = lambda vm: self.alive(vm)
        self._moves = 0

    # --- the port ---

    def snapshot(self) -> ClusterSnapshot:
        self._answer()
        return ClusterSnapshot(
            taken_at=self.now(),
            nodes={name: self._node(node) for name, node in self.nodes.items()},
            jobs=tuple(self._job(job) for job in self.jobs.values() if job.state in {"PENDING", "RUNNING"}),
            partitions={node.partition: True for node in self.nodes.values()},
            default_memory_per_cpu_mib=1,
        )

    def counters(self) -> Mapping[str, int]:
        self._answer()
        return {"moves": self._moves}

    def open(self, nodes: Sequence[str]) -> None:
        chosen = self._named(nodes)
        for node in chosen:
            if not self._node(node).registered or node.admins:
                raise LrmsError(f"no node was opened: {node.name}")
        for node in chosen:
            node.base, node.reason = "IDLE", ""
            node.flags.discard("DRAIN")

    def drain(self, nodes: Sequence[str], reason: str) -> None:
        for node in self._named(nodes):
            node.flags.add("DRAIN")
            node.reason = node.reason if node.admins else reason

    def power_off(self, nodes: Sequence[str], reason: str, *, vanished: bool) -> tuple[str, ...]:
        done = []
        for node in self._named(nodes):
            seen = self._node(node)
            if seen.off or seen.turning_off or (not vanished and (seen.busy or not seen.closed)):
                continue
            for job in self._running_on(node.name):
                if any(self.alive(vm) for name, vm in zip(job.on, job.vms, strict=True) if name == node.name):
                    self.broken.append(f"{node.name} powered off under job {job.id} although its VM lives")
            self._down(node, node.reason if node.admins else reason)
            if self.half_way:
                self.half_way = False
                raise LrmsError("the connection was lost between two commands")
            self._power_down(node)
            done.append(node.name)
        return tuple(done)

    def release(self, nodes: Sequence[str]) -> None:
        for node in self._named(nodes):
            if "POWERED_DOWN" in node.flags and not node.admins:
                node.base, node.reason = "IDLE", ""
                node.flags.discard("DRAIN")

    def power_up(self, nodes: Sequence[str]) -> None:
        for node in self._named(nodes):
            if "POWERED_DOWN" in node.flags and not self._node(node).closed:
                node.flags = {"POWERING_UP"}

    def give_up(self, nodes: Sequence[str], reason: str) -> tuple[str, ...]:
        chosen = [node for node in self._named(nodes) if "POWERING_UP" in node.flags]
        for node in chosen:
            self._down(node, node.reason if node.admins else reason)
            self._power_down(node)
        return tuple(node.name for node in chosen)

    def annotate(self, job: str, text: str) -> None:
        self._answer()

    def forget(self, requests: Sequence[str]) -> None:
        self._answer()

    def bind(self, node: str, address: str, features: Iterable[str]) -> None:
        (one,) = self._named([node])
        one.address, one.active = address or one.address, frozenset(features)
        if not one.active <= one.features:
            raise LrmsError(f"{node} has no such feature")

    def pin(self, job: str, site: str, original: str) -> None:
        self._answer()
        one = self.jobs[job]
        wanted = "&".join(filter(None, (original, site)))
        if one.state != "PENDING" or one.constraint == wanted:
            return
        if one.constraint != original and (site or not one.constraint.startswith(original)):
            raise LrmsError(f"job {job} was not pinned: its constraint is {one.constraint}")
        one.constraint = wanted

    def reserve(self, name: str, begin: datetime, end: datetime, nodes: Sequence[str]) -> None:
        self._answer()

    def bootstrap(self, node: str) -> Provision:
        return Provision()

    def render_config(self, settings: Settings) -> Mapping[str, str]:
        return {}

    def check_config(self, settings: Settings) -> list[str]:
        return []

    def examine(self, uid: int) -> list[Finding]:
        return []

    # --- the machine behind it ---

    def step(self) -> None:
        """Let time pass: jobs end, nodes power down, dead slurmds are noticed, pending jobs start."""
        now = self.now()
        for job in self.jobs.values():
            if job.state == "RUNNING" and job.ends is not None and now >= job.ends and all(map(self.alive, job.vms)):
                job.state = "DONE"
                self._moves += 1
        for node in self.nodes.values():
            self._age(node, now)
        if not self.out:
            self._schedule(now)

    def register(self, name: str, vm: str) -> bool:
        """A VM's slurmd says hello; return False when slurmctld does not listen to it now."""
        node = self.nodes[name]
        if self.out or "POWERING_DOWN" in node.flags:
            return False
        node.vm, node.silent_since = vm, None
        node.flags -= {"POWERED_DOWN", "POWERING_UP", "NOT_RESPONDING"}
        for job in self._running_on(name):
            job.vms = tuple(
                self.nodes[one].vm if one == name else old for one, old in zip(job.on, job.vms, strict=True)
            )
            if all(job.vms):
                job.ends = self.now() + job.lasts
        return True

    def forget_everything(self) -> None:
        """slurmctld starts with an empty state: all jobs are submitted again, every cloud node is off and open."""
        for job in self.jobs.values():
            if job.state == "RUNNING":
                self._requeue(job)
        for node in self.nodes.values():
            if node.cloud:
                node.base, node.flags, node.reason, node.vm = "IDLE", {"POWERED_DOWN"}, "", ""
                node.active, node.until, node.silent_since = node.features, None, None

    def add_static(self, name: str, partition: str, capacity: Resources) -> None:
        """Add a node on premises: always there, never ours."""
        self.nodes[name] = ToyNode(
            name, capacity, partition, frozenset(), cloud=False, flags=set(), vm=f"static-{name}"
        )

    def fingerprint_of_static(self) -> tuple[tuple[object, ...], ...]:
        """What of the nodes on premises clues could have changed."""
        static = [node for node in self.nodes.values() if not node.cloud]
        return tuple((node.name, node.base, tuple(node.flags), node.reason, node.address) for node in static)

    def _age(self, node: ToyNode, now: datetime) -> None:
        if node.until is not None and now >= node.until:
            node.until = None
            if "POWERING_DOWN" in node.flags:
                node.flags = {"POWERED_DOWN"}
            elif "POWERING_UP" in node.flags:
                self._down(node, "ResumeTimeout reached")
                node.flags = {"POWERED_DOWN"}
        if node.silent_since and node.vm and self.answers(node.vm):
            node.silent_since = None
            node.flags.discard("NOT_RESPONDING")
            if node.base == "DOWN" and node.reason.startswith("Not responding"):
                node.base, node.reason = "IDLE", ""  # ReturnToService=1
        if node.vm and not self.answers(node.vm) and not node.flags & {"POWERED_DOWN", "POWERING_DOWN", "POWERING_UP"}:
            node.silent_since = node.silent_since or now
            if now - node.silent_since > SLURMD_TIMEOUT and node.base != "DOWN":
                self._down(node, node.reason or "Not responding")
                node.flags.add("NOT_RESPONDING")

    def _schedule(self, now: datetime) -> None:
        pending = [job for job in self.jobs.values() if job.state == "PENDING" and not job.held]
        for job in sorted(pending, key=lambda one: (-one.priority, one.id)):
            fit = [node for node in self.nodes.values() if self._fits(job, node)]
            if len(fit) < job.nodes:
                continue
            chosen = fit[: job.nodes]
            self._look_at_gang(job, chosen)
            job.state, job.started = "RUNNING", now
            job.on = tuple(node.name for node in chosen)
            job.vms = tuple("" if "POWERED_DOWN" in node.flags else node.vm for node in chosen)
            job.ends = now + job.lasts if all(job.vms) else None
            self._moves += 1
            for node in chosen:
                if "POWERED_DOWN" in node.flags:
                    node.flags, node.by_slurm = {"POWERING_UP"}, True
                    node.until = now + RESUME_TIMEOUT
                elif not self.sound(node.vm) and not node.by_slurm and node.vm != node.resumed:
                    self.broken.append(f"job {job.id} started on {node.name}, whose worker had failed its checks")

    def _look_at_gang(self, job: ToyJob, chosen: Sequence[ToyNode]) -> None:
        """A gang that was pinned to a site starts nowhere else; after a reconfigure nodes have all their sites."""
        places = {node.active - self.common for node in chosen if len(node.active - self.common) == 1}
        if job.constraint != job.original and len(places) > 1:
            self.broken.append(f"gang {job.id} was pinned by {job.constraint} and starts at {places}")

    def is_busy(self, name: str) -> bool:
        """Whether a job holds this node."""
        return bool(name in self.nodes and self._running_on(name))

    def _fits(self, job: ToyJob, node: ToyNode) -> bool:
        if node.partition != job.partition or node.base != "IDLE":
            return False
        if node.flags & {"DRAIN", "POWERING_DOWN", "POWERING_UP", "NOT_RESPONDING"} or node.silent_since:
            return False
        if job.constraint and not node.active.issuperset(job.constraint.split("&")):
            return False
        return node.capacity.cpus - self._used(node.name) >= job.cpus

    def _down(self, node: ToyNode, reason: str) -> None:
        node.base, node.reason = "DOWN", reason
        for job in self._running_on(node.name):
            self._requeue(job)

    def _power_down(self, node: ToyNode) -> None:
        node.flags, node.by_slurm = {"POWERING_DOWN"}, False  # DRAIN is wiped
        node.vm, node.silent_since = "", None
        node.until = self.now() + POWER_DOWN_TAKES

    def _requeue(self, job: ToyJob) -> None:
        job.state, job.on, job.vms, job.ends, job.started = "PENDING", (), (), None, None
        self._moves += 1

    def _running_on(self, name: str) -> list[ToyJob]:
        return [job for job in self.jobs.values() if job.state == "RUNNING" and name in job.on]

    def _used(self, name: str) -> int:
        return sum(job.cpus for job in self._running_on(name))

    def _answer(self) -> None:
        if self.out:
            raise LrmsError("slurmctld does not answer")

    def _named(self, names: Sequence[str]) -> list[ToyNode]:
        self._answer()
        for name in names:
            if not self.nodes[name].cloud:
                self.broken.append(f"{name} is outside the pools and was changed")
        return [self.nodes[name] for name in names]

    def _node(self, node: ToyNode) -> Node:
        used = self._used(node.name)
        base = node.base if node.base == "DOWN" or not used else "MIXED"
        if used and used >= node.capacity.cpus and node.base != "DOWN":
            base = "ALLOCATED"
        return Node(
            name=node.name,
            flags=frozenset({base, *node.flags, *({"CLOUD"} if node.cloud else ())}),
            capacity=node.capacity,
            used=Resources(used, used),
            features=node.features,
            active_features=node.active,
            partitions=frozenset({node.partition}),
            address=node.address,
            reason=node.reason,
        )

    def _job(self, job: ToyJob) -> Job:
        pending = job.state == "PENDING"
        return Job(
            id=job.id,
            user="alice",
            state=job.state,
            reason=("JobHeldUser" if job.held else "Resources") if pending else "None",
            priority=job.priority,
            partitions=(job.partition,),
            request=Request(
                nodes_min=job.nodes,
                nodes_max=job.nodes,
                tasks=job.nodes,
                cpus_per_task=job.cpus,
                cpus_total=job.nodes * job.cpus,
            ),
            constraint=job.constraint,
            nodes=job.on,
            started=job.started,
        )
