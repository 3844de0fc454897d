"""Which jobs ran where, from Slurm's accounting (``sacct``), where slurmdbd keeps one.

No field that is asked for is free text: users, accounts and QOSs are words that Slurm itself checks, so the text form
is safe to part. A job that was requeued is one record for each of its runs (``--duplicates``). GPUs stand in a job's
TRES only where ``AccountingStorageTRES`` has ``gres/gpu``.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from clues.errors import InvalidRequest, LrmsError
from clues.hostlist import HostlistError, expand
from clues.model import JobUse
from lrms.slurm import config_text
from lrms.slurm.tools import Tools

FIELDS = ("JobID", "User", "Account", "QOS", "Start", "End", "AllocTRES", "NodeList")
#: More at once takes slurmdbd longer than one command may.
_AT_ONCE = timedelta(days=31)

NONE_KEPT = (
    "Slurm keeps no accounting (AccountingStorageType is {kind}): what users, QOSs and single jobs cost cannot be "
    "told. It takes slurmdbd with a database, and AccountingStorageType=accounting_storage/slurmdbd in slurm.conf; "
    "pool, site, account and market are known without it"
)


def read_uses(tools: Tools, begin: datetime, end: datetime) -> list[JobUse]:
    """Ask for all jobs that ran between two moments.

    :raises InvalidRequest: there is no accounting; the text says how to get it.
    :raises LrmsError: it cannot be asked now, or says something that is not understood.
    """
    kind = config_text.read_config(tools.run(["scontrol", "show", "config"])).get("accountingstoragetype", "(null)")
    if kind != "accounting_storage/slurmdbd":
        raise InvalidRequest(NONE_KEPT.format(kind=kind))
    found: dict[tuple[str, datetime], JobUse] = {}
    since = begin
    while since < end:
        until = min(end, since + _AT_ONCE)
        span = [f"--starttime={_time(since)}", f"--endtime={_time(until)}"]
        argv = ["sacct", "--allusers", "--allocations", "--duplicates", "--noheader", "--parsable2", *span]
        for use in parse(tools.run([*argv, f"--format={','.join(FIELDS)}"])):
            found[use.job, use.begin] = use
        since = until
    return list(found.values())


def parse(text: str) -> Iterator[JobUse]:
    """Go through what sacct printed, without what never ran. Times are epochs, as :class:`Tools` asks for.

    :raises LrmsError: a line is not of this form.
    """
    for line in text.splitlines():
        if not line:
            continue
        parts = line.split("|")
        if len(parts) != len(FIELDS):
            raise LrmsError(
                f"sacct printed a line of {len(parts)} fields, not {len(FIELDS)}: is it of another release?"
            )
        job, user, account, qos, start, stop, tres, nodes = parts
        if not start.isdecimal() or nodes in ("", "None assigned", "None"):
            continue  # it never ran
        counts = _counts(tres)
        try:
            names = tuple(expand(nodes))
        except HostlistError as error:
            raise LrmsError(f"sacct tells nodes that are no hostlist: {error}") from error
        yield JobUse(
            job=job,
            user=user,
            account=account,
            qos=qos,
            nodes=names,
            begin=datetime.fromtimestamp(int(start), UTC),
            end=datetime.fromtimestamp(int(stop), UTC) if stop.isdecimal() else None,
            cpus=counts.get("cpu", 0),
            gpus=counts.get("gres/gpu", 0),
        )


def _counts(tres: str) -> dict[str, int]:
    """Return the plain numbers of a TRES list: ``billing=2,cpu=2,gres/gpu=1,mem=4G,node=1``."""
    pairs = (one.partition("=") for one in tres.split(","))
    return {name: int(value) for name, _, value in pairs if value.isdecimal()}


def _time(moment: datetime) -> str:
    """Return a moment as sacct takes it; its own time zone is UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}"
