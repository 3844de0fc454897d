"""Slurm's small languages: amounts of memory, times, TRES, GRES and array task lists, each read in one place.

The same few strings come back thousands of times in one snapshot, so every reader here remembers what it has read.
A text that is not of the expected form raises :class:`ValueError`; the caller makes a told problem of that record
and never guesses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from clues.hostlist import expand
from clues.model import Gpu, Resources, make_gpus

#: What Slurm's commands print where there is nothing.
NOTHING_THERE = frozenset({"", "(null)", "N/A", "None", "Unknown", "NONE", "n/a"})

_MEMORY = re.compile(r"([0-9]+(?:\.[0-9]+)?)([KMGTP]?)[cn]?")
_MIB = {"K": 1 / 1024, "": 1.0, "M": 1.0, "G": 1024.0, "T": 1024.0**2, "P": 1024.0**3}
_LIMIT = re.compile(r"(?:(?:([0-9]+)-)?([0-9]+):)?([0-9]+):([0-9]+)")
_NO_LIMIT = frozenset({"UNLIMITED", "NOT_SET", "INVALID", "Partition_Limit"}) | NOTHING_THERE
_STEPPED = re.compile(r"([0-9]+)(?:-([0-9]+)(?::([0-9]+))?)?")
_COUNT = re.compile(r"[0-9]+")
_SIDE_NOTE = re.compile(r"\([^()]*\)")
_THOUSANDS = {"K": 1024, "M": 1024**2, "G": 1024**3}


def text_or_nothing(text: str) -> str:
    """Return *text*, or an empty string for any of Slurm's ways to say nothing."""
    return "" if text in NOTHING_THERE else text


@lru_cache(maxsize=4096)
def memory_mib(text: str) -> int:
    """Return MiB, rounded up, of ``500M``, ``5G``, ``2000`` (MiB), ``1.50T``; 0 for nothing."""
    if text in NOTHING_THERE:
        return 0
    match = _MEMORY.fullmatch(text)
    if match is None:
        raise ValueError(f"not an amount of memory: {text!r}")
    return -int(-float(match[1]) * _MIB[match[2]] // 1)


@lru_cache(maxsize=4096)
def time_limit(text: str) -> timedelta | None:
    """Return a limit such as ``1-02:04:00``, ``10:00``; None where there is none or it is not known yet."""
    if text in _NO_LIMIT:
        return None
    match = _LIMIT.fullmatch(text)
    if match is None:
        raise ValueError(f"not a time limit: {text!r}")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


@lru_cache(maxsize=16384)
def moment(text: str) -> datetime | None:
    """Return the time of an epoch (``SLURM_TIME_FORMAT=%s``), or of Slurm's ISO form under ``TZ=UTC``."""
    if text in NOTHING_THERE:
        return None
    if text.isdecimal():
        return from_epoch(int(text))
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def from_epoch(seconds: int) -> datetime | None:
    """Return a time; None for 0 and for numbers so large that Slurm means "never" by them."""
    return datetime.fromtimestamp(seconds, UTC) if 0 < seconds < 2**32 - 2 else None


@lru_cache(maxsize=4096)
def tres(text: str) -> Mapping[str, str]:
    """Return ``cpu=8,mem=30000M,node=1`` as a mapping."""
    if text in NOTHING_THERE:
        return {}
    pairs = (item.partition("=") for item in text.split(","))
    return {name: value for name, _, value in pairs}


@lru_cache(maxsize=4096)
def gres(text: str) -> tuple[tuple[str, str, int], ...]:
    """Return (name, type, count) for each item of a GRES or of a TRES request.

    ``gpu:a10:2(S:0-1)``, ``gpu:2``, ``gres:gpu:a10:1``, ``gres/gpu:tesla=4``, ``gpu:a10:1(IDX:0),shard:3``; what
    stands in brackets (sockets, indices) is left out.  Without a count it is 1.
    """
    if text in NOTHING_THERE:
        return ()
    return tuple(_gres_item(item) for item in _SIDE_NOTE.sub("", text).split(",") if item)


def _gres_item(item: str) -> tuple[str, str, int]:
    for prefix in ("gres:", "gres/"):
        item = item.removeprefix(prefix)
    head, equals, count = item.partition("=")
    parts = head.split(":")
    if not equals:
        is_count = len(parts) > 1 and _COUNT.match(parts[-1])
        count = parts.pop() if is_count else "1"
    if not 1 <= len(parts) <= 2 or not parts[0]:
        raise ValueError(f"not a generic resource: {item!r}")
    factor = _THOUSANDS.get(count[-1:], 1)
    number = count[:-1] if factor > 1 else count
    if not _COUNT.fullmatch(number):
        raise ValueError(f"not a generic resource: {item!r}")
    return parts[0], parts[1] if len(parts) == 2 else "", int(number) * factor


@lru_cache(maxsize=4096)
def gpus(text: str) -> tuple[Gpu, ...]:
    """Return the GPUs of a GRES text by type; other generic resources are left out."""
    return make_gpus(Gpu(kind, count) for name, kind, count in gres(text) if name == "gpu")


@lru_cache(maxsize=4096)
def requested(text: str) -> Resources:
    """Return what a request's TRES text asks for, as a vector of GPUs.

    A resource that is not a GPU becomes a type that no node of a pool has (``shard:``), so that nothing is bought for
    a job that the pools could not run.
    """
    wanted = (
        Gpu(kind if name == "gpu" else f"{name}:{kind}", count) for name, kind, count in gres(text) if name != "none"
    )
    return Resources(gpus=make_gpus(wanted))


@lru_cache(maxsize=4096)
def array_tasks(text: str) -> tuple[int, int | None]:
    """Return how many task ids ``0-99%5``, ``1,3,7-9``, ``0-98:2`` stand for, and the throttle behind ``%``.

    Slurm cuts a long list and ends it with ``...``; what stands before is then counted, which is the safe side.
    """
    ids, _, limit = text.strip("[]").partition("%")
    if ids.endswith("..."):
        ids = ids.rpartition(",")[0]
    if limit and not _COUNT.fullmatch(limit):
        raise ValueError(f"not a list of array tasks: {text[:80]!r}")
    total = 0
    for item in ids.split(","):
        match = _STEPPED.fullmatch(item)
        if match is None:
            raise ValueError(f"not a list of array tasks: {text[:80]!r}")
        first, last, step = int(match[1]), int(match[2] or match[1]), int(match[3] or 1)
        if last < first or step < 1:
            raise ValueError(f"not a list of array tasks: {text[:80]!r}")
        total += (last - first) // step + 1
    return total, int(limit) if limit else None


@lru_cache(maxsize=4096)
def hosts(text: str) -> tuple[str, ...]:
    """Return the names of a hostlist; none for Slurm's ways to say nothing."""
    return () if text in NOTHING_THERE else tuple(expand(text))


@lru_cache(maxsize=4096)
def word_set(text: str) -> frozenset[str]:
    """Return the words of a comma list; none for Slurm's ways to say nothing."""
    return frozenset() if text in NOTHING_THERE else frozenset(text.split(","))
