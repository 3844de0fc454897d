"""Who pays for a VM: the Slurm accounts of the jobs that run on it, in the proportion of their CPUs.

Until its first job the account that it was bought for pays: its boot is a part of what that job costs. A VM that stands
idle later is paid by its pool alone, which is told by an empty account. Jobs that use a part of a VM pay for all of it,
as nobody else does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from clues.model import Claim, ClusterSnapshot, Job

#: By account, which part of the price.
Shares = Mapping[str, float]


def payers(claims: Iterable[Claim], snapshot: ClusterSnapshot | None) -> dict[str, Shares]:
    """Return who pays for each claim now, by launch key.

    :param snapshot: as Slurm was last seen, however long ago; None: never.
    """
    on_node: dict[str, list[Job]] = {}
    for job in snapshot.jobs if snapshot is not None else ():
        if job.running:
            for name in job.nodes:
                on_node.setdefault(name, []).append(job)
    return {claim.key: _shares(claim, on_node.get(claim.node, ())) for claim in claims}


def _shares(claim: Claim, jobs: Collection[Job]) -> Shares:
    accounts = {job.account for job in jobs}
    if len(accounts) == 1:
        return dict.fromkeys(accounts, 1.0)
    weights: dict[str, float] = {}
    for job in jobs:
        weights[job.account] = weights.get(job.account, 0.0) + max(1, job.request.cpus_total) / max(1, len(job.nodes))
    if not weights:
        return {claim.account if claim.used_at is None else "": 1.0}
    whole = sum(weights.values())
    return {account: weight / whole for account, weight in weights.items()}
