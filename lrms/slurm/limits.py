"""Limits of QOSs and associations, from ``scontrol -o show assoc_mgr flags=qos,assoc``; only admins define them.

While all nodes are closed Slurm tries no job, and so marks none with a limit's reason: five jobs of a user who may run
two all read ``ReqNodeNotAvail`` (22.05.8). So the limits themselves are read. Slurm shows those for each user or
account of a QOS once somebody has a job there.

Not read: limits on one job (Slurm refuses or marks such jobs), on submission, on minutes, wall time, licences and burst
buffers, and associations of single partitions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from clues.model import JobLimit

#: Slurm's words for what is limited, and ours.
_WHAT = {"cpu": "cpus", "node": "nodes", "gres/gpu": "gpus", "mem": "memory_mib"}

_FIELD = re.compile(r"(\w+)=(\S*)")
_PART = re.compile(r"([^=\s{}]+)=\{([^}]*)\}")
_NUMBER = re.compile(r"([0-9]+)\([0-9]*\)")
_NAMED = re.compile(r"([^()]*)\(([0-9]+)\)")


def read_limits(text: str) -> list[JobLimit]:
    """Return all limits that are set; a line that makes no sense limits nothing."""
    lines = text.splitlines()
    records = [dict(_FIELD.findall(line)) for line in lines if line.startswith("ClusterName=")]
    users = {match[2]: match[1] for one in records if (match := _NAMED.fullmatch(one.get("UserName", "")))}
    found: list[JobLimit] = []
    for line in lines:
        if line.startswith("QOS="):
            found += _of_qos(line, users)
    return [*found, *_of_associations(records)]


def _of_qos(line: str, users: Mapping[str, str]) -> Iterator[JobLimit]:
    whole, _, parts = line.partition(" Account Limits=")
    accounts, _, by_user = parts.partition(" User Limits=")
    fields = dict(_FIELD.findall(whole))
    qos = fields["QOS"].partition("(")[0].lower()
    for name, what, most in _amounts(fields, "GrpJobs", "GrpTRES"):
        yield JobLimit(f"{name} of QOS {qos}", what, most, qos=qos)
    for account, inner in _PART.findall(accounts):
        for name, what, most in _amounts(dict(_FIELD.findall(inner)), "MaxJobsPA", "MaxTRESPA"):
            yield JobLimit(f"{name} of QOS {qos}", what, most, qos=qos, accounts=frozenset({account.lower()}))
    for user, inner in _PART.findall(by_user):
        for name, what, most in _amounts(dict(_FIELD.findall(inner)), "MaxJobsPU", "MaxTRESPU"):
            yield JobLimit(f"{name} of QOS {qos}", what, most, qos=qos, user=users.get(user, user))


def _of_associations(records: list[dict[str, str]]) -> Iterator[JobLimit]:
    parents = {
        one["Account"].lower(): one.get("ParentAccount", "").partition("(")[0].lower()
        for one in records
        if one.get("Account") and not one.get("UserName")
    }
    for one in records:
        account, name = one.get("Account", "").lower(), one.get("UserName", "").partition("(")[0]
        if one.get("Partition"):
            continue
        whose = f"{name or 'account'} in {account}" if name else f"account {account}"
        covered = frozenset({account} if name else {other for other in parents if account in _line_of(other, parents)})
        limited = list(_amounts(one, "GrpJobs", "GrpTRES"))
        if name:  # those of an account are handed down to its users
            limited += _amounts(one, "MaxJobs", "")
        for limit, what, most in limited:
            yield JobLimit(f"{limit} of {whose}", what, most, accounts=covered, user=name)


def _line_of(account: str, parents: Mapping[str, str]) -> list[str]:
    """Return an account and all above it."""
    line: list[str] = []
    while account and account not in line:
        line.append(account)
        account = parents.get(account, "")
    return line


def _amounts(fields: Mapping[str, str], jobs: str, tres: str) -> Iterator[tuple[str, str, int]]:
    if match := _NUMBER.fullmatch(fields.get(jobs, "")):
        yield jobs, "jobs", int(match[1])
    for part in fields.get(tres, "").split(","):
        name, _, amount = part.partition("=")
        if name in _WHAT and (match := _NUMBER.fullmatch(amount)):
            yield f"{tres}={name}", _WHAT[name], int(match[1])
