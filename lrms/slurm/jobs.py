"""Jobs from ``squeue``'s text: which fields, and why no user can forge a record.

One ``squeue`` prints everything that a request needs (35 fields by long names; 0.1 s for 10,000 jobs on 22.05.8);
a second, asked after the nodes, prints which jobs are pending still, and the excluded nodes, for which the long form
has no name.  A job that started in between would else read as pending, and its node as taken, so that another VM is
bought for it.  A user chooses the name, comment, account, command and folder of a job freely, newlines included, and
could write whole records with them.  So:

* none of these is asked for here (:mod:`lrms.slurm.charges` asks for accounts, and for nothing else).  What is asked
  for is either made by slurmctld (ids, counts, times, states, reason) or checked by it against what exists (partition,
  constraint, licenses, reservation, dependency, node lists).
  ``tests/real/test_slurm.py`` tries to get a separator into each of them, and into one it can: the type of a GPU is not
  checked while the job is held;
* so a second wall stands behind: a record ends with a mark of 16 random bytes, new at each call and passed in the
  environment, which other users cannot read.  A line that was written by a user lacks it, and a record with a newline
  or with a separator too many is told as a problem and not used.  Its writer loses nothing but that job's record.

The order matters to nobody but :data:`FIELDS`, which makes both the format and the reader.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from clues.model import Job, Request
from lrms.slurm import words
from lrms.slurm.request import Asked, make_request

#: What stands between two fields; a constraint may hold ``|``, nothing may hold this.
SEPARATOR = "\x1f"

FIELDS = (
    "JobArrayID",
    "State",
    "UserName",
    "Reason",
    "PriorityLong",
    "Partition",
    "NumTasks",
    "NumCPUs",
    "NumNodes",
    "MaxNodes",
    "MinCpus",
    "cpus-per-task",
    "NTPerNode",
    "MinMemory",
    "Sockets",
    "tres-per-node",
    "tres-per-job",
    "tres-per-task",
    "tres-per-socket",
    "cpus-per-tres",
    "mem-per-tres",
    "tres-alloc",
    "OverSubscribe",
    "Feature",
    "TimeLimit",
    "SubmitTime",
    "EligibleTime",
    "StartTime",
    "NodeList",
    "ReqNodes",
    "Reservation",
    "Dependency",
    "Licenses",
    "HetJobID",
    "JobID",
)
_REQUEST_FIELDS = slice(FIELDS.index("NumTasks"), FIELDS.index("OverSubscribe") + 1)

#: A node that such a job is on is not shared with other users' jobs.
_NOT_SHARED = frozenset({"NO", "USER", "MCS"})


def squeue_format(mark: str) -> str:
    """Return the value of ``SQUEUE_FORMAT2``."""
    return ",".join([f"{name}:{SEPARATOR}" for name in FIELDS[:-1]] + [f"{FIELDS[-1]}:{SEPARATOR}{mark}"])


def pending_format(mark: str) -> str:
    """Return the value of ``SQUEUE_FORMAT`` for job ids, as numbers and as arrays show them, and excluded nodes."""
    return f"%A{SEPARATOR}%i{SEPARATOR}%x{SEPARATOR}{mark}"


class JobReader:
    """Reads one look after another. A record that comes again is not read again, and gives the very same job."""

    def __init__(self) -> None:
        #: of the last look; what is not there any more is forgotten
        self._records: dict[str, _Record] = {}

    def read(self, text: str, pending: str | None, mark: str) -> tuple[list[Job], list[str]]:
        """Return the jobs and what could not be understood.

        :param pending: what is pending later, in :func:`pending_format`; None: nobody asked.
        :raises ValueError: the output does not end with a whole record: it was cut off.
        """
        problems: list[str] = []
        later = [_fields(part, 3, problems) for part in _parts(pending or "", mark)]
        without = {fields[0]: fields[2] for fields in later if fields and fields[2]}
        names = {array_of(fields[1]): fields[1] for fields in later if fields} if pending is not None else None
        known, records = self._records, dict[str, _Record]()
        seen: list[tuple[str, _Record, str, str]] = []
        for part in _parts(text, mark):
            record = known.get(part)
            if record is None:
                fields = _fields(part, len(FIELDS), problems)
                if fields is None:
                    continue
                record = _Record(fields[0], fields[1], fields[-1], array_of(fields[0]))
            records[part] = record
            seen.append((part, record, *_as_later(record, names)))
        self._records = records
        running = Counter(
            name.partition("_")[0] for _, _, name, state in seen if "_" in name and state in _HOLDS_A_PLACE
        )
        jobs = []
        for part, record, name, state in seen:
            # beside its own text: which of its tasks are pending still, how many run, and the nodes that are excluded
            beside = (
                name,
                state,
                running[name.partition("_")[0]] if "_[" in name else 0,
                without.get(record.number, ""),
            )
            if record.job is None or record.beside != beside:
                try:
                    record.job, record.beside = _job(part.split(SEPARATOR), *beside), beside
                except ValueError as error:
                    problems.append(f"job {name[:40]!r} is left out: {error}")
                    continue
            jobs.append(record.job)
        return jobs, problems


@dataclass(slots=True)
class _Record:
    """A record, the job that it was read as, and what that was read with."""

    name: str
    state: str
    number: str
    array: str
    beside: tuple[str, str, int, str] = ("", "", 0, "")
    job: Job | None = None


def _as_later(record: _Record, names: Mapping[str, str] | None) -> tuple[str, str]:
    """Return the name and state of a record as it is later: of a pending one fewer tasks of its array, or none at all.
    What is pending no more has started, or ended; either way it wants no node, and the next look tells which."""
    if names is None or record.state != "PENDING":
        return record.name, record.state
    later = names.get(record.array)
    return (record.name, "RUNNING") if later is None else (later, record.state)


def read_jobs(text: str, pending: str | None, mark: str) -> tuple[list[Job], list[str]]:
    """Return the jobs of one look, as :meth:`JobReader.read` does."""
    return JobReader().read(text, pending, mark)


def array_of(name: str) -> str:
    """Return an array's id for its pending tasks (``7_[3-8]``), which are one record; other names as they are."""
    return name.partition("_[")[0]


#: states in which a task counts against its array's throttle
_HOLDS_A_PLACE = frozenset({"RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "STAGE_OUT", "SIGNALING", "STOPPED"})


def startable(remaining: int, throttle: int | None, running: int) -> int:
    """Return how many of an array's pending tasks may start now."""
    return remaining if throttle is None else max(0, min(remaining, throttle - running))


def _parts(text: str, mark: str) -> list[str]:
    parts = text.split(f"{SEPARATOR}{mark}\n")
    if parts.pop():
        raise ValueError("squeue's output ends in the middle of a record")
    return parts


def _fields(part: str, width: int, problems: list[str]) -> Sequence[str] | None:
    fields = part.split(SEPARATOR)
    if len(fields) == width and "\n" not in part:
        return fields
    problems.append(f"a job's record is left out, it has {len(fields)} fields for {width}: {part[:60]!r}")
    return None


def _job(record: Sequence[str], name: str, state: str, running: int, excluded: str) -> Job:
    (_, _, user, reason, priority, partitions, *_) = record
    (features, limit, submitted, eligible, started, nodes, wanted) = record[_REQUEST_FIELDS.stop : -5]
    (reservation, dependency, licenses, het, _) = record[-5:]
    array, underscore, tasks = name.partition("_")
    count = count_pending = 1
    if tasks.startswith("["):
        name = array
        count_pending, throttle = words.array_tasks(tasks)
        count = startable(count_pending, throttle, running)
    return Job(
        id=name,
        user=user,
        state=state,
        reason=words.text_or_nothing(reason),
        priority=int(priority),
        partitions=tuple(partitions.split(",")),
        request=_request(tuple(record[_REQUEST_FIELDS])),
        count=count,
        count_pending=count_pending,
        array_id=array if underscore else "",
        constraint=words.text_or_nothing(features),
        wanted_nodes=frozenset(words.hosts(wanted)),
        excluded_nodes=frozenset(words.hosts(excluded)),
        reservation=words.text_or_nothing(reservation),
        dependency=words.text_or_nothing(dependency),
        licenses=words.text_or_nothing(licenses),
        time_limit=words.time_limit(limit),
        submitted=words.moment(submitted),
        eligible=words.moment(eligible),
        started=words.moment(started) if nodes else None,
        expected=words.moment(started) if state == "PENDING" else None,
        nodes=words.hosts(nodes),
        het_id=words.text_or_nothing(het),
    )


@lru_cache(maxsize=16384)
def _request(fields: tuple[str, ...]) -> Request:
    (tasks, cpus, nodes, most, least, per_task, per_node, memory, sockets, *tres, total, shared) = fields
    in_all = words.tres(total)
    nodes_min = int(in_all.get("node", nodes))
    each, whole, cpu_count = words.memory_mib(memory), words.memory_mib(in_all.get("mem", "")), int(cpus)
    # MinMemory does not say whether it is for a node or for a CPU; Slurm's own sum does.
    per_cpu = abs(whole - each * cpu_count) < abs(whole - each * nodes_min)
    asked = Asked(
        tasks=int(tasks),
        cpus=cpu_count,
        cpus_per_task=int(words.text_or_nothing(per_task) or 1),
        cpus_least_per_node=int(least),
        tasks_per_node=int(words.text_or_nothing(per_node) or 0),
        nodes_min=nodes_min,
        nodes_max=nodes_max(nodes_min, int(most)),
        memory_per_node_mib=0 if per_cpu else each,
        memory_per_cpu_mib=each if per_cpu else 0,
        memory_total_mib=whole,
        sockets=int(sockets) if sockets.isdecimal() else 0,
        tres_per_node=tres[0],
        tres_per_job=tres[1],
        tres_per_task=tres[2],
        tres_per_socket=tres[3],
        cpus_per_tres=tres[4],
        memory_per_tres=tres[5],
        exclusive=shared in _NOT_SHARED,
    )
    return make_request(asked)


def nodes_max(least: int, printed: int) -> int | None:
    """Return the most nodes a job takes, or None when it is not known to be bounded.

    squeue prints slurmctld's estimate where the job named no maximum (``-n 20`` on nodes of 8 CPUs: 3), and does not
    say which it is.  With ``--nodes`` of two or more the number is the user's own; with a least of one, only a 1 is
    taken at its word.
    """
    return printed if least > 1 or printed == 1 else None
