"""Runs a workload on a lab cluster and watches: submits, holds, cancels, and notes what happens when.

Times are taken where things happen: submission when sbatch returns, the launch call in the connector's own log, the
start by the job itself, on its node.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clues.cli.errors import CliError
from clues.model import Claim, Kind
from tests.lab.cluster import Cluster
from tests.lab.demo.traffic import Traffic
from tests.lab.demo.workload import Submission
from tests.lab.frontend import LabError

#: What each job does: notes where and when it starts, works, notes the end. A gang says the names of all its nodes, and
#: its nodes may send each other something.
SCRIPT = """
mark="$PWD/marks/$SLURM_JOB_NAME${{SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}}"
echo "$SLURMD_NODENAME $(date +%s.%N)" >"$mark.start"
[ "$SLURM_JOB_NUM_NODES" = 1 ] || srun hostname >"$mark.hosts"
[ {exchange_mib} = 0 ] || srun /usr/bin/python3 "$PWD/exchange.py" "$mark.exchange" {exchange_mib}
sleep {seconds:.2f}
date +%s.%N >"$mark.end"
"""


#: What the nodes of a gang run to send each other something; it is put where they see it.
EXCHANGE = Path(__file__).with_name("exchange.py")


@dataclass
class Sent:
    """A submission that was made."""

    submission: Submission
    at: float
    #: 0 when Slurm refused it, with its words
    job: int = 0
    refusal: str = ""
    cancelled: bool = False
    released: bool = False


@dataclass
class Record:
    """All that a run left to be summed up."""

    sent: list[Sent] = field(default_factory=list)
    peak_nodes: int = 0
    final_nodes: int = -1
    seconds: float = 0.0
    #: state of each task by name, as Slurm tells in the end
    states: dict[str, str] = field(default_factory=dict)
    marks: Path = Path()
    claims: list[Claim] = field(default_factory=list)
    launches: dict[str, float] = field(default_factory=dict)
    leaked: list[str] = field(default_factory=list)
    traffic: Traffic = field(default_factory=Traffic)
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """What the daemon shows at one moment, for the view."""

    seconds: float
    status: dict[str, Any]
    nodes: list[dict[str, Any]]
    jobs: list[dict[str, Any]]
    events: list[dict[str, Any]]
    #: tunnels and shortcuts, as `clues vrouter status` tells them
    vrouter: dict[str, Any]

    @property
    def routers(self) -> list[dict[str, Any]]:
        """The routers that there are or shall be."""
        return [one for one in self.vrouter.get("tunnels", ()) if one["kind"] == Kind.ROUTER]


def run_workload(
    cluster: Cluster, work: Sequence[Submission], show: Callable[[Picture], None], timeout: float = 240
) -> Record:
    """Run *work* until the cluster is empty again; after *timeout* seconds that is the record's problem."""
    record = Record(marks=cluster.home / "marks")
    record.marks.mkdir(parents=True, exist_ok=True)
    (cluster.home / EXCHANGE.name).write_text(EXCHANGE.read_text())
    began = time.time()
    waiting = sorted(work, key=lambda one: one.at)
    while True:
        now = time.time() - began
        while waiting and waiting[0].at <= now:
            record.sent.append(_submit(cluster, waiting.pop(0)))
        _interfere(cluster, record.sent)
        record.states = _states(cluster, record.sent)
        picture = _look(cluster, now)
        if picture is not None:
            show(picture)
            up = [node for node in picture.nodes if node["state"] in ("idle", "busy", "draining")]
            record.peak_nodes = max(record.peak_nodes, len(up))
            left = [node for node in picture.nodes if node["state"] not in ("off", "held")]
            record.final_nodes = len(left)
            record.traffic.look(picture.vrouter)
            done = not waiting and all(state not in UNDONE for state in record.states.values())
            if done and not left and not picture.routers:
                break
        if now > timeout:
            record.problem = f"not done after {timeout:.0f} s"
            break
        time.sleep(0.25)
    record.seconds = time.time() - began
    _gather(cluster, record)
    return record


UNDONE = {"PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "REQUEUED"}


def _submit(cluster: Cluster, one: Submission) -> Sent:
    options = [f"--job-name={one.name}", "--time=5", *one.options]
    if one.hold_for:
        options.append("--hold")
    try:
        job = cluster.front.sbatch(SCRIPT.format(seconds=one.seconds, exchange_mib=one.exchange_mib), *options)
    except LabError as error:
        return Sent(one, time.time(), refusal=str(error))
    return Sent(one, time.time(), job)


def _interfere(cluster: Cluster, sent: Sequence[Sent]) -> None:
    """Release what was held long enough, cancel what is to be cancelled."""
    for one in sent:
        age = time.time() - one.at
        if one.job and one.submission.hold_for and not one.released and age >= one.submission.hold_for:
            cluster.front.run(["scontrol", "release", str(one.job)], check=False)
            one.released = True
        if one.job and one.submission.cancel_after and not one.cancelled and age >= one.submission.cancel_after:
            cluster.front.run(["scancel", str(one.job)], check=False)
            one.cancelled = True


def _states(cluster: Cluster, sent: Sequence[Sent]) -> dict[str, str]:
    by_job = {one.job: one.submission.name for one in sent if one.job}
    done = cluster.front.run(["squeue", "--noheader", "--array", "--states=all", "--format=%F|%K|%T"], check=False)
    states = {}
    for line in done.stdout.splitlines():
        job, task, state = line.strip().split("|")
        name = by_job.get(int(job))
        if name is not None:
            states[name if task == "N/A" else f"{name}_{task}"] = state
    return states


def _look(cluster: Cluster, seconds: float) -> Picture | None:
    try:
        return Picture(
            seconds=seconds,
            status=cluster.get("status"),
            nodes=cluster.get("nodes")["nodes"],
            jobs=cluster.get("jobs")["jobs"],
            events=cluster.get("events", limit=12)["events"],
            vrouter=cluster.get("vrouter") if cluster.plan.overlay else {},
        )
    except (CliError, json.JSONDecodeError):
        return None  # the daemon is being started again, as tests do


def _gather(cluster: Cluster, record: Record) -> None:
    record.leaked = cluster.living()
    record.claims = cluster.claims()
    for site in cluster.plan.vms:
        for call in cluster.calls(site):
            for key in call.get("keys", ()):
                record.launches.setdefault(key, float(call["at"]))
