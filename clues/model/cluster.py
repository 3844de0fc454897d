"""What Slurm says: its nodes, jobs and reservations at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from clues.model.resources import NOTHING, Resources

#: Base states and flags of a node that this software understands. A node that shows another one is left alone.
KNOWN_FLAGS = frozenset(
    "IDLE ALLOCATED MIXED DOWN ERROR FUTURE UNKNOWN FAIL CLOUD DRAIN COMPLETING NOT_RESPONDING POWERED_DOWN "
    "POWERING_DOWN POWERING_UP POWER_DOWN POWER_UP POWER_DRAIN MAINTENANCE RESERVED PLANNED REBOOT_REQUESTED "
    "REBOOT_ISSUED INVALID_REG DYNAMIC_NORM DYNAMIC_FUTURE".split()
)

#: Every node reason that we write begins with this; a reason that does not is somebody else's and never touched.
OUR_REASON = "clues:"

#: How the reasons begin that Slurm itself writes about a machine (22.05's ``src/slurmctld``): a new VM cures them, so
#: they are not an admin's word.
FAULT_REASONS = (
    "Low ",
    "gres/",
    "Kill task failed",
    "Prolog error",
    "Epilog error",
    "batch job complete failure",
    "Duplicate jobid",
)

#: Those that a registering slurmd has refuted: the node may be opened over them.
PASSING_REASONS = ("Not responding", "Node unexpectedly rebooted", "ResumeTimeout reached")

SLURM_REASONS = FAULT_REASONS + PASSING_REASONS

_REASONS_OF_MACHINES = (OUR_REASON, *SLURM_REASONS)

#: A moment that lies farther ahead than clocks usually differ was told by one that was set.
_CLOCKS_DIFFER = timedelta(minutes=1)

# Groups of flags that mean something together. They are asked for every node in every tick, several times.
_BUSY = frozenset({"ALLOCATED", "MIXED", "COMPLETING"})
_TURNING_OFF = frozenset({"POWERING_DOWN", "POWER_DOWN"})
_CLOSED = frozenset({"DRAIN", "DOWN"})
_ABSENT = frozenset(
    {"POWERED_DOWN", "POWERING_UP", "POWERING_DOWN", "NOT_RESPONDING", "UNKNOWN", "FUTURE", "INVALID_REG"}
)
_AWAKE = _BUSY | _TURNING_OFF | {"POWERING_UP", "POWER_UP"}
_UNUSABLE = _ABSENT | _CLOSED | {"ERROR", "FAIL", "MAINTENANCE", "REBOOT_ISSUED"}


@dataclass(frozen=True, slots=True)
class Node:
    """One Slurm node. ``flags`` holds the base state too: ``{"IDLE", "CLOUD", "DRAIN", "POWERED_DOWN"}``."""

    name: str
    flags: frozenset[str]
    capacity: Resources
    used: Resources = NOTHING
    features: frozenset[str] = frozenset()
    active_features: frozenset[str] = frozenset()
    partitions: frozenset[str] = frozenset()
    address: str = ""
    reason: str = ""
    #: when this node's slurmd started, as it told at registration; None while it has none
    slurmd_started: datetime | None = None
    #: when a job last ended here, as Slurm tells; None if it does not
    last_busy: datetime | None = None

    @property
    def understood(self) -> bool:
        """False when a flag is unknown to us: nothing destructive may follow from such a reading."""
        return self.flags <= KNOWN_FLAGS

    @property
    def busy(self) -> bool:
        """A job holds the node, or is just leaving it."""
        return not self.flags.isdisjoint(_BUSY) or self.used.cpus > 0

    @property
    def off(self) -> bool:
        """Slurm takes the node for powered down."""
        return "POWERED_DOWN" in self.flags

    @property
    def powering_up(self) -> bool:
        """Slurm waits for a machine that it wants started; one that was there before does not count for it."""
        return bool(self.flags & {"POWERING_UP", "POWER_UP"})

    @property
    def machine_asked_for(self) -> bool:
        """Slurm has asked for the node's machine, and takes one that boots from now on.

        A node that it has given to a job is off still until its power saving asks, at its next interval. One that has
        booted before that second may never register (22.05: "Still waiting for boot of node").
        """
        return "POWERING_UP" in self.flags

    @property
    def turning_off(self) -> bool:
        """Slurm is powering the node down, or has been asked to."""
        return not self.flags.isdisjoint(_TURNING_OFF)

    @property
    def closed(self) -> bool:
        """Slurm starts no job here, whatever registers."""
        return not self.flags.isdisjoint(_CLOSED)

    @property
    def registered(self) -> bool:
        """A slurmd has registered and answers; the node could run a job if it were open."""
        return self.flags.isdisjoint(_ABSENT)

    @property
    def usable(self) -> bool:
        """Slurm may start a job here now."""
        return self.flags.isdisjoint(_UNUSABLE)

    @property
    def reason_is_ours(self) -> bool:
        """The reason is empty, written by us, or Slurm's own about a VM: we may change it. Any other is an admin's."""
        return not self.reason or self.reason.startswith(_REASONS_OF_MACHINES)

    @property
    def kept_by_admin(self) -> bool:
        """Somebody else drained or downed the node: it is out of our service until they release it."""
        return bool(self.reason) and self.closed and not self.reason.startswith(_REASONS_OF_MACHINES)

    @property
    def drained_by_slurm(self) -> bool:
        """Slurm itself closed it for a fault of the machine ("Kill task failed"): a new VM cures that."""
        return self.closed and self.reason.startswith(FAULT_REASONS)

    @property
    def openable(self) -> bool:
        """It is closed, its slurmd answers, and nobody and nothing speaks against opening it."""
        return self.closed and self.registered and self.reason_is_ours and not self.drained_by_slurm

    @property
    def vacant(self) -> bool:
        """Closed and powered down: a VM may be started for it, and no job will reach that before its checks."""
        flags = self.flags
        off = "POWERED_DOWN" in flags and not flags.isdisjoint(_CLOSED)
        return off and flags.isdisjoint(_BUSY) and self.used.cpus <= 0

    @property
    def resting(self) -> bool:
        """Closed, powered down and bound to no site: nothing is left to be ordered for it while no VM is wanted."""
        flags = self.flags
        off = "POWERED_DOWN" in flags and "DRAIN" in flags and flags.isdisjoint(_AWAKE)
        return off and self.active_features == self.features and not self.used.cpus

    @property
    def free(self) -> Resources:
        """What of its capacity no job holds."""
        return self.capacity.minus(self.used)


@dataclass(frozen=True, slots=True)
class Request:
    """What a job asks for, in Slurm's own terms, before it is laid out on nodes of one shape.

    Exactly one of ``memory_per_node_mib`` and ``memory_per_cpu_mib`` is set where memory was asked for; both 0 means
    that the job named none (Slurm then gives it ``DefMemPer*`` or, without one, the whole node).
    """

    nodes_min: int = 1
    nodes_max: int | None = None
    tasks: int = 1
    cpus_per_task: int = 1
    #: least CPUs Slurm counts for the whole job (covers forms that tasks x cpus does not)
    cpus_total: int = 1
    tasks_per_node: int | None = None
    memory_per_node_mib: int = 0
    memory_per_cpu_mib: int = 0
    #: GPUs on each node (``--gres``, ``--gpus-per-node``), on the whole job (``--gpus``), for each task
    gpus_per_node: Resources = NOTHING
    gpus_per_job: Resources = NOTHING
    gpus_per_task: Resources = NOTHING
    exclusive: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """One record of the queue: a job, or the not yet started tasks of an array.

    No field here is one that a user can fill with free text (an account that is no plain word is left out): names and
    comments are shown only after they were read from JSON and escaped.
    """

    id: str
    user: str
    state: str
    reason: str = ""
    priority: int = 0
    partitions: tuple[str, ...] = ()
    request: Request = field(default_factory=Request)
    #: identical tasks behind this record that may start now (an array's throttle is already applied)
    count: int = 1
    #: identical tasks behind this record in all
    count_pending: int = 1
    array_id: str = ""
    constraint: str = ""
    wanted_nodes: frozenset[str] = frozenset()
    excluded_nodes: frozenset[str] = frozenset()
    reservation: str = ""
    dependency: str = ""
    licenses: str = ""
    #: the Slurm account that it is charged to; empty: none, or not known
    account: str = ""
    #: its quality of service; empty: none, or not known
    qos: str = ""
    time_limit: timedelta | None = None
    submitted: datetime | None = None
    eligible: datetime | None = None
    started: datetime | None = None
    #: while it is pending, when Slurm itself expects to start it; None: it does not say, as of jobs that wait for nodes
    #: which are closed
    expected: datetime | None = None
    #: nodes it runs on
    nodes: tuple[str, ...] = ()
    #: all components of one heterogeneous job share this
    het_id: str = ""

    @property
    def pending(self) -> bool:
        return self.state == "PENDING"

    def could_start_since(self, now: datetime) -> datetime | None:
        """Return since when it could have started if there were nodes for it; None where nobody can tell: Slurm does
        not say, or says a moment that is yet to come, as the clock was set back since or our own lags behind."""
        since = max((at for at in (self.submitted, self.eligible) if at is not None), default=None)
        return None if since is None or since > now + _CLOCKS_DIFFER else since

    @property
    def running(self) -> bool:
        """It holds its nodes (or is just leaving them)."""
        return self.state in {"RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "STAGE_OUT", "SIGNALING", "STOPPED"}


@dataclass(frozen=True, slots=True)
class JobLimit:
    """How much the running jobs of somebody may have together: a limit of a QOS or an association."""

    #: in words for people: "MaxJobsPU of QOS normal"
    name: str
    #: "jobs", "cpus", "nodes", "gpus" or "memory_mib"
    what: str
    most: int
    #: whose jobs count: of this QOS, this user, these accounts; empty: of all
    qos: str = ""
    user: str = ""
    accounts: frozenset[str] = frozenset()

    def concerns(self, qos: str, account: str, user: str) -> bool:
        """Whether it stands over a job of this QOS, account and user."""
        return self.qos in ("", qos) and self.user in ("", user) and (not self.accounts or account in self.accounts)


@dataclass(frozen=True, slots=True)
class Reservation:
    """Nodes kept for somebody or for a maintenance, from ``start`` to ``end``."""

    name: str
    nodes: frozenset[str]
    start: datetime
    end: datetime
    flags: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PowerRequest:
    """What the batch system asked for by its hook. It is told, and hurries a look; nothing is decided from it."""

    #: under which it is forgotten
    id: str
    at: datetime
    #: what is asked: ``resume``, ``suspend``, or ``resume-fail`` for nodes that did not come in time
    verb: str
    nodes: tuple[str, ...]
    #: which jobs wait for these nodes, where the batch system says so
    jobs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ClusterSnapshot:
    """Slurm at one moment; jobs were read before nodes, so a job that just started is seen on its node."""

    taken_at: datetime
    nodes: Mapping[str, Node]
    jobs: tuple[Job, ...]
    reservations: tuple[Reservation, ...] = ()
    #: partitions that take jobs now, and the default one
    partitions: Mapping[str, bool] = field(default_factory=dict)
    default_partition: str = ""
    #: default memory for each CPU, 0 where none is set and a job without ``--mem`` takes whole nodes
    default_memory_per_cpu_mib: int = 0
    #: how many of each licence are free now; those that are not known here limit nothing
    licenses: Mapping[str, int] = field(default_factory=dict)
    #: the limits that are set, where Slurm enforces any
    limits: tuple[JobLimit, ...] = ()
    version: str = ""
    #: what Slurm hides from users of what is not theirs (its ``PrivateData``): ``jobs``, ``nodes``, ...
    private: frozenset[str] = frozenset()
    #: lines that could not be understood, told to the sysadmin
    problems: tuple[str, ...] = ()
    #: what its hook has been asked for and is not forgotten yet, oldest first
    requests: tuple[PowerRequest, ...] = ()
