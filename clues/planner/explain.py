"""Why something is as it is, in a few plain sentences: for a job, a node or a site.

Everything told here was decided or observed before; nothing is decided for the telling.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from clues.errors import NotFound
from clues.model import (
    Claim,
    ClaimState,
    ClusterSnapshot,
    Job,
    LoggedNote,
    Node,
    Outlook,
    Published,
    Verdict,
)
from clues.planner.placement import used_by_site
from clues.units import show_duration

#: How many of the latest notes are told.
_TOLD = 5


def explain(published: Published, subject: str, notes: Sequence[LoggedNote]) -> str:
    """Return the explanation of a job id, a node name or a site name, in a few lines.

    :param notes: entries of the event log about the subject, oldest first.
    :raises NotFound: nothing here has that name.
    """
    snapshot = published.world.lrms.value
    name = subject.removeprefix("job ").strip()
    jobs = [job for job in snapshot.jobs if name in (job.id, job.array_id)] if snapshot else []
    if jobs:
        return _with_notes([line for job in jobs for line in _job(published, job)], notes)
    if name in published.settings.sites:
        return _with_notes(_site(published, name), notes)
    pool = published.settings.pool_of(name)
    node = snapshot.nodes.get(name) if snapshot else None
    if pool is not None:
        return _with_notes(_node(published, name, node), notes)
    if node is not None:
        return f"Node {name} belongs to no pool: clues never changes it. Slurm says {'+'.join(sorted(node.flags))}."
    if notes:
        return _with_notes([f"Nothing is known of {name} now."], notes)
    raise NotFound(f"nothing here is called {name!r}: name a job id, a node or a site")


def _with_notes(lines: list[str], notes: Sequence[LoggedNote]) -> str:
    if notes:
        lines = [*lines, "Lately:", *(f"  {note.at:%H:%M:%S}  {note.text}" for note in notes[-_TOLD:])]
    return "\n".join(lines)


def _job(published: Published, job: Job) -> list[str]:
    who = f"Job {job.id} ({job.user})"
    if not job.pending:
        where = f" on {', '.join(job.nodes)}" if job.nodes else ""
        return [f"{who} is {job.state.lower()}{where}."]
    outlook = published.plan.outlooks.get(job.id)
    if outlook is None:
        return [f"{who} is pending ({job.reason}); the next tick will look at it."]
    lines = [f"{who}: {_verdict(outlook)}"]
    width = max((len(site) for site in outlook.sites), default=0)
    lines += [f"  {site:<{width}}  {why}" for site, why in outlook.sites.items() if site]
    if outlook.verdict is Verdict.BLOCKED and published.world.operator.paused:
        lines.append("Buying is paused by an operator: clues resume.")
    return lines


def _verdict(outlook: Outlook) -> str:
    if outlook.verdict is Verdict.BLOCKED:
        return f"{outlook.text}:" if outlook.sites else outlook.text
    return f"{outlook.text}."


def _node(published: Published, name: str, node: Node | None) -> list[str]:
    claims = [claim for claim in published.world.claims.values() if claim.node == name]
    now, snapshot = published.at, published.world.lrms.value
    lines = [_claim(claim, now) for claim in claims] or [
        f"Node {name} is off: it has no VM, and Slurm keeps it closed."
    ]
    if node is None:
        lines.append("Slurm does not list it." if snapshot else "Slurm could not be read yet.")
    else:
        lines.append(
            f"Slurm says {'+'.join(sorted(node.flags))}" + (f", reason: {node.reason}." if node.reason else ".")
        )
        if node.kept_by_admin:
            lines.append("That reason is not ours: it stays out of service until somebody resumes it in Slurm.")
        if not node.understood:
            lines.append("Slurm shows a flag that is not known here, so the node is left as it is.")
    if running := _running(snapshot, name):
        lines.append(f"Jobs there: {', '.join(running)}.")
    wish = published.world.operator.wishes.get(name)
    if wish is not None:
        lines.append(f"An operator's order stands: {wish}.")
    return lines


def _claim(claim: Claim, now: datetime) -> str:
    since = show_duration(now - claim.since)
    text = f"Node {claim.node} is {claim.state} since {since}"
    text += f", VM {claim.instance_id}" if claim.instance_id else ", no VM yet"
    text += f" at {claim.offer.site} ({claim.offer.key})"
    text += f": {claim.reason}." if claim.reason else "."
    if claim.state is ClaimState.READY and claim.idle_since is not None:
        text += f" Idle for {show_duration(now - claim.idle_since)}."
    if claim.jobs:
        text += f" It was bought for job {', '.join(claim.jobs)}."
    return text


def _running(snapshot: ClusterSnapshot | None, name: str) -> list[str]:
    return [job.id for job in snapshot.jobs if name in job.nodes] if snapshot else []


def _site(published: Published, name: str) -> list[str]:
    site, now = published.settings.sites[name], published.at
    used = used_by_site(published.world.claims.values()).get(name)
    observed = published.world.listings.get(name)
    lines = [f"Site {name} ({site.connector}, attach {site.attach}): {used.vms if used else 0} VMs."]
    limits = site.limits
    told = [
        f"{label} {have} of {most}"
        for label, have, most in (
            ("VMs", used.vms if used else 0, limits.vms),
            ("CPUs", used.resources.cpus if used else 0, limits.cpus),
            ("GPUs", used.resources.gpu_count if used else 0, limits.gpus),
        )
        if most is not None
    ]
    if told:
        lines.append("Limits: " + ", ".join(told) + ".")
    if observed is None or observed.taken_at is None:
        lines.append("It has not been listed yet" + (f": {observed.error}." if observed and observed.error else "."))
    else:
        age = show_duration(observed.age(now) or now - now)
        lines.append(f"Listed {age} ago" + (f"; since then: {observed.error}." if observed.error else "."))
    for key, breaker in published.world.memory.breakers.items():
        if (key == name or key.startswith(f"{name}/")) and breaker.until > now:
            wait = show_duration(breaker.until - now)
            lines.append(f"{key}: {breaker.code}, {breaker.failures} times; next try in {wait} ({breaker.words}).")
    return lines
