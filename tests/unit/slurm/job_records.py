"""Records as squeue prints them, for tests that change one field."""

from clues.model import Job
from lrms.slurm.jobs import FIELDS, SEPARATOR, read_jobs
from tests.lab.synthetic import MARK

PLAIN = {
    "JobArrayID": "7",
    "JobID": "7",
    "State": "PENDING",
    "UserName": "alice",
    "Reason": "Resources",
    "PriorityLong": "4294901759",
    "Partition": "cpu",
    "NumTasks": "1",
    "NumCPUs": "1",
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
    "tres-alloc": "cpu=1,mem=30000M,node=1,billing=1",
    "OverSubscribe": "OK",
    "Feature": "(null)",
    "TimeLimit": "UNLIMITED",
    "SubmitTime": "1795372798",
    "EligibleTime": "1795372798",
    "StartTime": "N/A",
    "NodeList": "",
    "ReqNodes": "",
    "Reservation": "(null)",
    "Dependency": "(null)",
    "Licenses": "(null)",
    "HetJobID": "N/A",
}


def record(**fields: str) -> str:
    """One record; fields by their name with ``_`` for ``-``."""
    values = {**PLAIN, **{name.replace("_", "-"): value for name, value in fields.items()}}
    assert set(values) == set(FIELDS)
    return SEPARATOR.join(values[name] for name in FIELDS) + f"{SEPARATOR}{MARK}\n"


def read(*records: str, pending: str | None = None) -> tuple[list[Job], list[str]]:
    return read_jobs("".join(records), pending, MARK)
