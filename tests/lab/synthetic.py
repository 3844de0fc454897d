"""A large cluster in Slurm's own output format, for benchmarks and for tests of the parser's speed.

The same seed gives the same texts.  A line is made like those that 22.05.8 printed (``tests/golden/slurm``); what
varies from node to node and job to job is what varies on a real cluster, so that remembering a parsed string helps as
little or as much as it would there.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from clues.model import ClusterSnapshot
from lrms.slurm.jobs import FIELDS, SEPARATOR
from lrms.slurm.snapshot import RawSnapshot, read_snapshot

MARK = "5e" * 16
#: when the synthetic cluster was looked at
TAKEN_AT = datetime(2026, 11, 22, 18, 0, tzinfo=UTC)

_NOW = int(TAKEN_AT.timestamp())
_OFF = ("IDLE+CLOUD+DRAIN+POWERED_DOWN", "DOWN+CLOUD+DRAIN+POWERED_DOWN")
_REASONS = (
    "Resources",
    "Priority",
    "ReqNodeNotAvail, UnavailableNodes:cpu-[0001-4000]",
    "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions",
    "Dependency",
    "JobHeldUser",
)
_NOTHING: Mapping[str, str] = {
    "Reason": "None",
    "Partition": "cpu",
    "NumTasks": "1",
    "NumNodes": "1",
    "MaxNodes": "1",
    "MinCpus": "1",
    "cpus-per-task": "1",
    "NTPerNode": "0",
    "MinMemory": "0",
    "Sockets": "*",
    "tres-per-node": "N/A",
    "tres-per-job": "N/A",
    "tres-per-task": "N/A",
    "tres-per-socket": "N/A",
    "cpus-per-tres": "N/A",
    "mem-per-tres": "N/A",
    "OverSubscribe": "OK",
    "Feature": "(null)",
    "TimeLimit": "UNLIMITED",
    "StartTime": "N/A",
    "NodeList": "",
    "ReqNodes": "",
    "Reservation": "(null)",
    "Dependency": "(null)",
    "Licenses": "(null)",
    "HetJobID": "N/A",
}


def make_raw(nodes: int = 5000, jobs: int = 10_000, seed: int = 1) -> RawSnapshot:
    """Return the raw texts of a cluster of *nodes* (four fifths CPU, the rest GPU) and *jobs* (a tenth running)."""
    chance = random.Random(seed)
    names = [f"cpu-{index:04}" for index in range(1, nodes * 4 // 5 + 1)]
    names += [f"gpu-{index:04}" for index in range(1, nodes - len(names) + 1)]
    busy = names[: min(len(names), max(1, jobs // 10))]
    running_on = frozenset(busy)
    records = [make_job(chance, 1000 + index, busy) for index in range(jobs)]
    waiting = [one for one in records if one["State"] == "PENDING"]
    pending = "".join(pending_record(one, "cpu-0003" if chance.random() < 0.02 else "") for one in waiting)
    return as_raw(records, pending, "".join(_node(chance, name, name in running_on) for name in names), nodes)


def as_raw(
    records: Iterable[Mapping[str, str]], pending: str, node_lines: str, nodes: int, mark: str = MARK
) -> RawSnapshot:
    """Return what the commands print of these jobs and nodes, with one reservation and two partitions."""
    return RawSnapshot(
        jobs="".join([job_record(record, mark) for record in records]),
        pending=pending,
        nodes=node_lines,
        reservations=(
            f"ReservationName=maint StartTime={_NOW + 36000} EndTime={_NOW + 43200} Duration=02:00:00 "
            "Nodes=cpu-[0001-0100] NodeCnt=100 CoreCnt=800 Features=(null) PartitionName=(null) "
            "Flags=MAINT,SPEC_NODES TRES=cpu=800 Users=root State=INACTIVE\n"
        ),
        partitions="".join(
            f"PartitionName={name} AllowGroups=ALL Default={default} Nodes={hosts} State=UP TotalNodes=1 "
            "JobDefaults=(null) DefMemPerNode=UNLIMITED MaxMemPerNode=UNLIMITED\n"
            for name, default, hosts in (
                ("cpu", "YES", f"cpu-[0001-{nodes * 4 // 5:04}]"),
                ("gpu", "NO", f"gpu-[0001-{nodes - nodes * 4 // 5:04}]"),
            )
        ),
        config="SLURM_VERSION           = 22.05.8\nDefMemPerNode           = UNLIMITED\n",
        mark=mark,
    )


def job_record(record: Mapping[str, str], mark: str = MARK) -> str:
    """Return a job's record as ``squeue`` prints it."""
    return SEPARATOR.join([record[name] for name in FIELDS]) + f"{SEPARATOR}{mark}\n"


def pending_record(record: Mapping[str, str], excluded: str, mark: str = MARK) -> str:
    """Return what ``squeue`` prints of a job that is pending still."""
    return SEPARATOR.join((record["JobID"], record["JobArrayID"], excluded, f"{mark}\n"))


def parse(raw: RawSnapshot) -> ClusterSnapshot:
    """Feed the parser, as a tick does after the commands have run."""
    return read_snapshot(raw, TAKEN_AT)


def _node(chance: random.Random, name: str, busy: bool) -> str:
    kind, site = name[:3], chance.choice(("cesnet", "upv", "aws"))
    used = chance.randint(1, 8) if busy else 0
    state = ("ALLOCATED" if used == 8 else "MIXED") + "+CLOUD" if busy else chance.choice(_OFF)
    gres, taken = (
        ("gpu:a10:2", f"gpu:a10:{min(2, used)}(IDX:0-{min(2, used)})") if kind == "gpu" else ("(null)", "gpu:0")
    )
    started = str(_NOW - chance.randint(60, 86400)) if busy else "None"
    reason = "" if busy else f" Reason=clues:off [root@{_NOW - chance.randint(60, 86400)}]"
    active = f"{kind},{site}" if busy else f"{kind},cesnet,upv,aws"
    address = f"10.77.{chance.randint(1, 9)}.{chance.randint(10, 250)}" if busy else "192.0.2.1"
    return node_line(
        name,
        state=state,
        cpus_used=used,
        gres=gres,
        gres_used=taken,
        active=active,
        address=address,
        started=started,
        last_busy=started if busy else "Unknown",
        reason=reason,
    )


def node_line(
    name: str,
    *,
    state: str,
    cpus_used: int,
    gres: str,
    gres_used: str,
    active: str,
    address: str,
    started: str,
    last_busy: str,
    reason: str = "",
    load: str = "0.37",
) -> str:
    """Return a node's line as ``scontrol -d -o show node`` prints it.

    :param started: when its slurmd started, in seconds of the epoch; ``None``: it has none.
    :param reason: with its key and its blank before it; empty: there is none.
    """
    kind = name[:3]
    return (
        f"NodeName={name} Arch=x86_64 CoresPerSocket=1  CPUAlloc={cpus_used} CPUEfctv=8 CPUTot=8 CPULoad={load} "
        f"AvailableFeatures={kind},cesnet,upv,aws ActiveFeatures={active} Gres={gres} GresDrain=N/A "
        f"GresUsed={gres_used} NodeAddr={address} NodeHostName={name} Version=22.05.8 "
        f"OS=Linux 6.1.0-18-cloud-amd64 #1 SMP PREEMPT_DYNAMIC Debian 6.1.76-1 (2024-02-01)  "
        f"RealMemory=30000 AllocMem={cpus_used * 3000} FreeMem=23776 Sockets=8 Boards=1 State={state} ThreadsPerCore=1 "
        f"TmpDisk=0 Weight=10 Owner=N/A MCS_label=N/A Partitions={kind}  BootTime={started} SlurmdStartTime={started} "
        f"LastBusyTime={last_busy} CfgTRES=cpu=8,mem=30000M,billing=8 AllocTRES= CapWatts=n/a "
        f"CurrentWatts=0 AveWatts=0 ExtSensorsJoules=n/s ExtSensorsWatts=0 ExtSensorsTemp=n/s{reason}\n"
    )


def make_job(chance: random.Random, number: int, busy: Sequence[str], now: int = _NOW) -> dict[str, str]:
    """Return the record of a job, by squeue's names; every tenth runs, on one of the nodes that are *busy*."""
    runs = number % 10 == 0
    cpus = chance.choice((1, 1, 2, 4, 8, 16))
    count = -(-cpus // 8)
    memory = chance.choice((0, 1000, 2000, 3500))
    submitted = now - chance.randint(0, 500_000)
    record = {
        **_NOTHING,
        "JobArrayID": str(number),
        "JobID": str(number),
        "State": "RUNNING" if runs else "PENDING",
        "UserName": f"user{chance.randint(1, 200)}",
        "Reason": "None" if runs else chance.choice(_REASONS),
        "PriorityLong": str(4294901759 - number),
        "NumTasks": str(cpus),
        "NumCPUs": str(cpus),
        "NumNodes": str(count),
        "MaxNodes": str(count),
        "MinMemory": f"{memory}M" if memory else "0",
        "TimeLimit": chance.choice(("UNLIMITED", "10:00", "1:00:00", "1-00:00:00", f"{chance.randint(1, 23)}:30:00")),
        "SubmitTime": str(submitted),
        "EligibleTime": str(submitted),
        "StartTime": str(submitted + 60) if runs else "N/A",
        "NodeList": chance.choice(busy) if runs else "",
        "tres-alloc": f"cpu={cpus},mem={memory * cpus or 30000}M,node={count},billing={cpus}",
    }
    if number % 7 == 0:
        record |= {"tres-per-node": f"gres:gpu:a10:{chance.randint(1, 2)}", "Partition": "gpu"}
    elif number % 11 == 0:
        record |= {"Feature": chance.choice(("upv", "cesnet|upv", "cpu&aws"))}
    if number % 50 == 1:
        tasks = chance.randint(10, 5000)
        record |= {"JobArrayID": f"{number}_[0-{tasks}%{chance.randint(1, 50)}]"}
    return record
