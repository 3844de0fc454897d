"""Nodes and jobs of a simulated Slurm."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from clues.model import NOTHING, Job, Node, Request, Resources
from clues.simulation.timeline import Event, Timeline


class JobState(StrEnum):
    """Slurm's words for where a job is."""

    PENDING = "PENDING"
    CONFIGURING = "CONFIGURING"
    RUNNING = "RUNNING"
    COMPLETING = "COMPLETING"
    COMPLETED = "COMPLETED"
    TIMEOUT = "TIMEOUT"
    CANCELLED = "CANCELLED"


#: A job in one of these is over.
OVER = frozenset({JobState.COMPLETED, JobState.TIMEOUT, JobState.CANCELLED})


@dataclass(slots=True, eq=False)
class SimNode:
    """One node as slurmctld has it. ``flags`` without the base state."""

    name: str
    capacity: Resources
    partitions: frozenset[str]
    features: frozenset[str]
    #: false: on premises, always there, none of ours
    cloud: bool = True
    down: bool = False
    flags: set[str] = field(default_factory=lambda: {"POWERED_DOWN"})
    active: frozenset[str] = frozenset()
    address: str = ""
    reason: str = ""
    used: Resources = NOTHING
    #: jobs that hold it, those among them that are just leaving it, too
    jobs: dict[str, SimJob] = field(default_factory=dict)
    #: instance whose slurmd has registered; empty: none
    vm: str = ""
    #: by the wall clock of the front-end, as it was set then
    last_busy: datetime | None = None
    slurmd_started: datetime | None = None
    #: the end of a power change, and of an undrained node's silence
    timer: Event | None = None
    silent_since: float | None = None
    #: since when it may be idle, where Slurm suspends it by itself
    idle_from: float | None = None
    #: Slurm has powered it up by itself, without any check of ours
    by_slurm: bool = False

    @property
    def completing(self) -> bool:
        return any(job.state is JobState.COMPLETING for job in self.jobs.values())

    @property
    def open(self) -> bool:
        """Whether a job may start here now, as far as the node goes; one that is off would be powered up for it."""
        return not self.down and self.flags.isdisjoint(
            ("DRAIN", "NOT_RESPONDING", "POWERING_DOWN", "POWERING_UP", "INVALID_REG")
        )

    @property
    def serving(self) -> bool:
        """Whether it is there for jobs, now or once those that it has are done."""
        return self.open and "POWERED_DOWN" not in self.flags

    @property
    def reason_of_admin(self) -> bool:
        return bool(self.reason) and not self.reason.startswith(("clues:", "Not responding", "ResumeTimeout", "Kill "))

    def picture(self) -> Node:
        """Return the node as ``scontrol show node`` has it."""
        if self.down:
            base = "DOWN"
        elif not self.used.cpus and not self.jobs:
            base = "IDLE"
        else:
            base = "ALLOCATED" if self.used.cpus >= self.capacity.cpus else "MIXED"
        flags = {base, *self.flags}
        if self.completing:
            flags.add("COMPLETING")
            if all(job.state is JobState.COMPLETING for job in self.jobs.values()):
                flags -= {"ALLOCATED", "MIXED"}  # 22.05 shows IDLE+COMPLETING, the job's CPUs given back already
                flags.add(base if self.down else "IDLE")
        if self.cloud:
            flags.add("CLOUD")
        leaving = "COMPLETING" in flags and "IDLE" in flags
        return Node(
            name=self.name,
            flags=frozenset(flags),
            capacity=self.capacity,
            used=NOTHING if leaving else self.used,
            features=self.features,
            active_features=self.active,
            partitions=self.partitions,
            address=self.address,
            reason=self.reason,
            slurmd_started=self.slurmd_started,
            last_busy=self.last_busy,
        )


@dataclass(slots=True, eq=False)
class SimJob:
    """One job, or an array whose tasks have not all started. ``need`` is what it takes on each of its nodes."""

    id: str
    partition: str
    nodes: int
    need: Resources
    #: how long it really runs, and how long it may, in seconds; None: for ever
    runs: float
    limit: float | None = None
    priority: int = 1
    submitted: float = 0.0
    user: str = "alice"
    account: str = ""
    constraint: str = ""
    exclusive: bool = False
    #: how long the tasks of an array that are still to start run, and how many may run at once (0: all)
    tasks: list[float] = field(default_factory=list)
    throttle: int = 0
    array: SimJob | None = None
    tasks_running: int = 0
    tasks_started: int = 0
    #: what its user asked for, whatever was added since
    original: str = ""
    state: JobState = JobState.PENDING
    reason: str = "None"
    held: bool = False
    eligible: float = 0.0
    on: tuple[str, ...] = ()
    #: instances that it runs on, node by node; empty: none yet
    vms: tuple[str, ...] = ()
    started: float | None = None
    first_started: float | None = None
    ended: float | None = None
    requeues: int = 0
    ending: Event | None = None

    def __post_init__(self) -> None:
        self.original = self.original or self.constraint

    @property
    def holds_nodes(self) -> bool:
        return bool(self.on)

    @property
    def kind(self) -> tuple[object, ...]:
        """Jobs of one kind fit into the same places."""
        return (self.partition, self.nodes, self.need, self.constraint, self.exclusive)

    def request(self) -> Request:
        """Return what it asks for, in Slurm's terms."""
        return Request(
            nodes_min=self.nodes,
            nodes_max=self.nodes,
            tasks=self.nodes,
            cpus_per_task=self.need.cpus,
            cpus_total=self.nodes * self.need.cpus,
            tasks_per_node=1,
            memory_per_node_mib=self.need.memory_mib,
            gpus_per_node=Resources(gpus=self.need.gpus),
            exclusive=self.exclusive,
        )

    def startable(self) -> int:
        """How many tasks of an array may start now; 1 for a job that is none."""
        if not self.tasks:
            return 1
        return min(len(self.tasks), self.throttle - self.tasks_running) if self.throttle else len(self.tasks)

    def picture(self, time: Timeline) -> Job:
        """Return the job as ``squeue`` has it."""
        pending = self.state is JobState.PENDING
        return Job(
            id=self.id,
            user=self.user,
            account=self.account,
            state=self.state.value,
            reason=self.reason if pending else "None",
            priority=self.priority,
            partitions=(self.partition,),
            request=self.request(),
            count=self.startable() if pending else 1,
            count_pending=max(1, len(self.tasks)),
            array_id=self.id if self.tasks else (self.array.id if self.array is not None else ""),
            constraint=self.constraint,
            time_limit=None if self.limit is None else timedelta(seconds=self.limit),
            submitted=time.shown(self.submitted),
            # a date that has passed is left out: by which clock it has passed would not be told
            eligible=time.shown(self.eligible) if self.eligible > time.passed else None,
            started=None if self.started is None else time.shown(self.started),
            nodes=self.on,
        )


@dataclass(frozen=True, slots=True)
class SimReservation:
    """Nodes kept for a maintenance, in the world's time."""

    name: str
    nodes: frozenset[str]
    start: float
    end: float


def in_slurms_order(job: SimJob) -> tuple[int, float, str]:
    """The key by which the queue is sorted: priority, then who came first."""
    return (-job.priority, job.submitted, job.id)
