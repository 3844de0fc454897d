"""Traces of jobs: the Standard Workload Format, ``sacct --parsable2``, and Alibaba's CSV of GPU pods.

A line that cannot be read is counted and left out; a file in which none can be read is an error.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from clues.errors import ConfigError


@dataclass(frozen=True, slots=True)
class TraceJob:
    """One job of a trace. Times in seconds; memory in MiB on all of its CPUs together, 0 where it is not told."""

    id: str
    submitted: float
    runs: float
    cpus: int
    #: time limit; None where none is told
    limit: float | None = None
    memory_mib: int = 0
    gpus: int = 0
    #: nodes that were asked for; 0 where only CPUs were
    nodes: int = 0
    user: str = ""
    partition: str = ""
    #: it asked for a share of one GPU, which is counted as a whole one
    shares_gpu: bool = False


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace in the order of submission, the first job at time 0."""

    name: str
    jobs: tuple[TraceJob, ...]
    #: lines that told of no job that ran
    left_out: int

    @property
    def shares_of_gpus(self) -> int:
        """How many jobs asked for a share of a GPU, and count as if they had asked for a whole one."""
        return sum(job.shares_gpu for job in self.jobs)

    @property
    def lasts(self) -> float:
        """From the first submission to the last, in seconds."""
        return self.jobs[-1].submitted if self.jobs else 0.0


def read_trace(path: Path, first: int | None = None) -> Trace:
    """Read a trace, whichever of the three it is; *first*: only so many jobs.

    :raises ConfigError: it cannot be read, or no job is in it.
    """
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    reader = _reader_of(lines)
    found, left_out = [], 0
    for job in reader(lines):
        if job is None or job.runs <= 0 or job.cpus <= 0:
            left_out += 1
        else:
            found.append(job)
    if not found:
        raise ConfigError(
            f"{path}: no job that ran is in it; it may be SWF, the output of `sacct --parsable2 -a -X "
            "--format=JobID,User,Partition,Submit,Start,End,TimelimitRaw,ReqTRES`, or a CSV with cpu_milli"
        )
    found.sort(key=lambda one: one.submitted)
    begin = found[0].submitted
    jobs = [replace(job, submitted=job.submitted - begin) for job in found[:first]]
    return Trace(path.name, tuple(jobs), left_out)


def _reader_of(lines: list[str]) -> Callable[[list[str]], Iterator[TraceJob | None]]:
    head = next((line for line in lines if line.strip()), "")
    if "|" in head and "JobID" in head:
        return _sacct
    if "cpu_milli" in head:
        return _gpu_csv
    return _swf


# --- Standard Workload Format: 18 numbers a line, -1 for what is not known ---


def _swf(lines: Iterable[str]) -> Iterator[TraceJob | None]:
    for line in lines:
        if not line.strip() or line.lstrip().startswith(";"):
            continue
        try:
            fields = [float(one) for one in line.split()]
            number, submitted, runs = fields[0], fields[1], fields[3]
            cpus = int(fields[7] if fields[7] > 0 else fields[4])
            limit = fields[8] if fields[8] > 0 else None
            kib = fields[9] if fields[9] > 0 else max(0.0, fields[6])
        except (ValueError, IndexError):
            yield None
            continue
        yield TraceJob(f"{number:.0f}", submitted, runs, cpus, limit, int(kib * cpus / 1024), user=f"{fields[11]:.0f}")


# --- sacct --parsable2 ---

_SIZE = {"K": 1 / 1024, "M": 1, "G": 1024, "T": 1024 * 1024}


def _sacct(lines: Iterable[str]) -> Iterator[TraceJob | None]:
    for row in csv.DictReader((line for line in lines if line.strip()), delimiter="|"):
        if "." in (row.get("JobID") or ""):
            continue  # a step of a job that has a line of its own
        try:
            yield _sacct_job(row)
        except (ValueError, KeyError, TypeError):
            yield None


def _sacct_job(row: dict[str, str]) -> TraceJob | None:
    tres = _tres(row.get("ReqTRES") or row.get("AllocTRES") or "")
    start, end = _when(row["Start"]), _when(row["End"])
    if start is None or end is None:
        return None
    cpus = int(tres.get("cpu") or row.get("ReqCPUS") or row.get("NCPUS") or 1)
    typed = sum(int(count) for name, count in tres.items() if name.startswith("gres/gpu:"))
    gpus = int(tres.get("gres/gpu", typed))  # the sum of the types, where it is told
    limit = row.get("TimelimitRaw") or ""
    submitted = _when(row["Submit"])
    if submitted is None:
        return None
    return TraceJob(
        id=row["JobID"],
        submitted=submitted,
        runs=end - start,
        cpus=cpus,
        limit=float(limit) * 60 if limit.isdigit() else None,
        memory_mib=_mib(tres.get("mem", "")),
        gpus=gpus,
        nodes=int(tres.get("node") or row.get("NNodes") or 0),
        user=row.get("User") or "",
        partition=row.get("Partition") or "",
    )


def _tres(text: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in text.split(",") if "=" in part)


def _mib(text: str) -> int:
    match = re.fullmatch(r"([0-9.]+)([KMGT]?)", text)
    return int(float(match[1]) * _SIZE[match[2] or "M"]) if match else 0


def _when(text: str) -> float | None:
    """Return the moment as seconds; sacct tells local time, of which only differences matter here."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None  # Unknown, None


# --- Alibaba's pods: CPUs in thousandths, fractions of a GPU ---


def _gpu_csv(lines: Iterable[str]) -> Iterator[TraceJob | None]:
    for row in csv.DictReader(lines):
        try:
            submitted = float(row["creation_time"])
            began = float(row["scheduled_time"])  # one that was never placed has none
            gpus = int(row["num_gpu"])  # a fraction of a GPU is rounded up to one
            cpus = max(1, -(-int(row["cpu_milli"]) // 1000))
            runs = float(row["deletion_time"]) - began
        except (ValueError, KeyError, TypeError):
            yield None
            continue
        share = gpus == 1 and (row.get("gpu_milli") or "1000") != "1000"
        yield TraceJob(row["name"], submitted, runs, cpus, None, int(row["memory_mib"]), gpus, 1, shares_gpu=share)
