"""The demo's summary: what was done, how fast, at what cost, and whether anything is left."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clues.model import Claim, Kind
from tests.lab.demo.run import Record, Sent
from tests.lab.demo.traffic import in_bytes
from tests.lab.demo.workload import Task


@dataclass(frozen=True, slots=True)
class JobTimes:
    """One task: seconds from its submission to what had to happen for it. None: that did not happen for it alone, as it
    ran on a node that was there, or never ran."""

    name: str
    state: str
    launch_seconds: float | None
    ready_seconds: float | None
    start_seconds: float | None
    site: str
    node: str


def summarise(record: Record) -> dict[str, Any]:
    """Return the summary as one JSON object."""
    times = [_times(record, sent, task) for sent in record.sent if sent.job for task in sent.submission.all_tasks()]
    cancelled = {task.name for sent in record.sent if sent.cancelled for task in sent.submission.all_tasks()}
    gangs = [
        _hosts(record.marks / f"{sent.submission.name}.hosts") for sent in record.sent if sent.submission.nodes > 1
    ]
    used = _busy_seconds(record)
    workers = [claim for claim in record.claims if claim.kind is Kind.WORKER]
    routers = [claim for claim in record.claims if claim.kind is Kind.ROUTER]
    alive = sum(_alive_seconds(claim) for claim in workers)
    return {
        "jobs_submitted": len(times),
        "jobs_completed": sum(1 for one in times if one.state == "COMPLETED"),
        "jobs_cancelled": sum(1 for one in times if one.name in cancelled and one.state != "COMPLETED"),
        "refused_jobs": sum(1 for sent in record.sent if sent.refusal),
        "refusals": [sent.refusal for sent in record.sent if sent.refusal],
        "peak_nodes": record.peak_nodes,
        "final_nodes": record.final_nodes,
        "gang_nodes": max((len(set(hosts)) for hosts in gangs), default=0),
        "vms_started": sum(1 for claim in workers if claim.launches),
        "vm_seconds_used": round(used, 1),
        "vm_seconds_wasted": round(max(0.0, alive - used), 1),
        "leaked_instances": len(record.leaked),
        "routers_started": sum(1 for claim in routers if claim.launches),
        "router_seconds": [_until_up(claim) for claim in routers],
        "tunnels": record.traffic.tunnels,
        "hub_bytes": record.traffic.hub_bytes,
        "shortcuts": record.traffic.shortcuts,
        "shortcut_bytes": record.traffic.shortcut_bytes,
        "exchanges": [_exchange(record, sent) for sent in record.sent if sent.submission.exchange_mib],
        "seconds": round(record.seconds, 1),
        "problem": record.problem,
        "jobs": [asdict(one) for one in times],
    }


def succeeded(record: Record, summary: dict[str, Any]) -> bool:
    """Whether all went as it should: every job that nobody cancelled completed, gangs were whole, nothing is left."""
    impossible = [sent for sent in record.sent if sent.submission.impossible]
    others = [sent for sent in record.sent if not sent.submission.impossible]
    done = summary["jobs_completed"] + summary["jobs_cancelled"] == summary["jobs_submitted"]
    whole = all(
        len(set(_hosts(record.marks / f"{sent.submission.name}.hosts"))) == sent.submission.nodes
        for sent in others
        if sent.submission.nodes > 1 and not sent.cancelled
    )
    refused = all(sent.refusal for sent in impossible) and not any(sent.refusal for sent in others)
    empty = not summary["leaked_instances"] and summary["final_nodes"] == 0
    exchanged = all(one["bytes"] for one in summary["exchanges"])
    return bool(done and whole and refused and empty and exchanged and not record.problem)


def render(summary: dict[str, Any]) -> str:
    """Return the summary as a person reads it."""
    lines = [f"{'JOB':<14} {'STATE':<10} {'LAUNCH':>7} {'READY':>7} {'START':>7}  SITE     NODE"]
    for job in summary["jobs"]:
        cells = [
            f"{job[key]:7.1f}" if job[key] is not None else "      -"
            for key in ("launch_seconds", "ready_seconds", "start_seconds")
        ]
        lines.append(f"{job['name']:<14} {job['state']:<10} {' '.join(cells)}  {job['site']:<8} {job['node']}")
    lines += [
        "",
        "seconds from sbatch to the launch call, to the node ready, to the job's first line; -: the node was there",
    ]
    lines += [f"refused by Slurm: {words}" for words in summary["refusals"]]
    done, sent, cancelled = (summary[f"jobs_{what}"] for what in ("completed", "submitted", "cancelled"))
    peak, now, gang = summary["peak_nodes"], summary["final_nodes"], summary["gang_nodes"]
    used, wasted = summary["vm_seconds_used"], summary["vm_seconds_wasted"]
    lines += [
        "",
        f"jobs        {done} of {sent} completed, {cancelled} cancelled, {summary['refused_jobs']} refused by Slurm",
        f"nodes       peak {peak}, now {now}; the gang ran on {gang}",
        f"VMs         {summary['vms_started']} started, {summary['leaked_instances']} leaked",
        f"VM-seconds  {used} with jobs on them, {wasted} without",
        *_overlay_lines(summary),
        f"time        {summary['seconds']} s",
    ]
    if summary["problem"]:
        lines.append(f"PROBLEM     {summary['problem']}")
    return "\n".join(lines)


def _overlay_lines(summary: dict[str, Any]) -> list[str]:
    """Return what there is to tell of the way between the sites."""
    lines = [
        f"exchange    {in_bytes(one['bytes'])} between {' and '.join(one['nodes'])} "
        f"({' and '.join(one['sites'])}), {one['mbit_per_second']} Mbit/s"
        for one in summary["exchanges"]
    ]
    if not summary["routers_started"]:
        return lines
    times = ", ".join("never up" if one is None else f"{one} s" for one in summary["router_seconds"])
    why = "" if summary["shortcuts"] else " (one joins two routers, and there was no second router)"
    hub, direct = in_bytes(summary["hub_bytes"]), in_bytes(summary["shortcut_bytes"])
    return [
        *lines,
        f"routers     {summary['routers_started']} started; from wanted to tunnel up: {times}",
        f"tunnels     {summary['tunnels']}",
        f"traffic     {hub} through the central point, {direct} through shortcuts{why}",
    ]


def _until_up(router: Claim) -> float | None:
    """Return the seconds from the moment a router was wanted until its tunnel was up."""
    return None if router.ready_at is None else round((router.ready_at - router.created_at).total_seconds(), 2)


def _exchange(record: Record, sent: Sent) -> dict[str, Any]:
    """Return what a gang's nodes have sent each other; no bytes where they have not."""
    path = record.marks / f"{sent.submission.name}.exchange"
    nothing: dict[str, Any] = {"bytes": 0, "seconds": 0.0, "nodes": []}
    told: dict[str, Any] = json.loads(path.read_text()) if path.exists() else nothing
    began = _start(record.marks / f"{sent.submission.name}.start")[1]
    claims = [_claim_of(record, node, began) for node in told["nodes"]]
    rate = told["bytes"] * 8 / 1e6 / told["seconds"] if told["seconds"] else 0.0
    sites = [claim.offer.site for claim in claims if claim is not None]
    return {**told, "sites": sites, "mbit_per_second": round(rate, 1)}


def _times(record: Record, sent: Sent, task: Task) -> JobTimes:
    node, started = _start(record.marks / f"{task.name}.start")
    claim = _claim_of(record, node, started)
    bought_for_it = claim is not None and str(sent.job) in {job.split("_")[0] for job in claim.jobs}
    launched = record.launches.get(claim.key) if claim is not None and bought_for_it else None
    ready = claim.ready_at.timestamp() if claim is not None and claim.ready_at and bought_for_it else None
    return JobTimes(
        name=task.name,
        state=record.states.get(task.name, "CANCELLED" if sent.cancelled else "UNKNOWN"),
        launch_seconds=_since(sent.at, launched),
        ready_seconds=_since(sent.at, ready),
        start_seconds=_since(sent.at, started),
        site=claim.offer.site if claim is not None else "",
        node=node,
    )


def _since(before: float, after: float | None) -> float | None:
    return None if after is None else round(after - before, 2)


def _claim_of(record: Record, node: str, at: float | None) -> Claim | None:
    """The claim that backed a node at a moment."""
    for claim in record.claims:
        if claim.node != node or at is None or claim.created_at.timestamp() > at:
            continue
        if claim.ended_at is None or claim.ended_at.timestamp() >= at:
            return claim
    return None


def _start(path: Path) -> tuple[str, float | None]:
    if not path.exists():
        return "", None
    node, _, moment = path.read_text().strip().partition(" ")
    return node, float(moment)


def _hosts(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def _busy_seconds(record: Record) -> float:
    """Seconds, over all nodes, in which at least one job was on the node."""
    intervals: dict[str, list[tuple[float, float]]] = {}
    for sent in record.sent:
        for task in sent.submission.all_tasks():
            node, started = _start(record.marks / f"{task.name}.start")
            end = record.marks / f"{task.name}.end"
            if started is None or not end.exists():
                continue
            for host in _hosts(record.marks / f"{task.name}.hosts") or [node]:
                intervals.setdefault(host, []).append((started, float(end.read_text())))
    return sum(_covered(spans) for spans in intervals.values())


def _covered(spans: list[tuple[float, float]]) -> float:
    """Return the length of the union of intervals."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def _alive_seconds(claim: Claim) -> float:
    if claim.launched_at is None or not claim.instance_id:
        return 0.0
    end = claim.terminated_at or claim.ended_at
    return (end - claim.launched_at).total_seconds() if end is not None else 0.0
