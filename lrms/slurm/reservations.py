"""Reservations and partitions, from ``scontrol -o show``; only operators and admins make either."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from clues.model import Reservation
from lrms.slurm import words

POWER_KEYS = ("SuspendTime", "SuspendTimeout", "ResumeTimeout")

_PAIR = re.compile(r"([A-Za-z]+)=(\S*)")


@dataclass(frozen=True, slots=True)
class Partition:
    """What matters of a partition. ``up``: it takes jobs and starts them."""

    name: str
    up: bool
    default: bool
    nodes: tuple[str, ...]
    memory_per_cpu_mib: int
    #: what it says of power saving, by Slurm's own keys
    power: Mapping[str, str] = field(default_factory=dict)


def read_reservations(text: str) -> tuple[list[Reservation], list[str]]:
    """Return the reservations that hold nodes, and what could not be understood."""
    reservations: list[Reservation] = []
    problems: list[str] = []
    for line in text.splitlines():
        if not line.startswith("ReservationName="):
            if line and not line.startswith("No reservations"):
                problems.append(f"a reservation's line is left out: {line[:60]!r}")
            continue
        fields = dict(_PAIR.findall(line))
        try:
            start, end = words.moment(fields["StartTime"]), words.moment(fields["EndTime"])
            if start is None or end is None:
                raise ValueError("it has no start or no end")
            reservation = Reservation(
                name=fields["ReservationName"],
                nodes=frozenset(words.hosts(fields["Nodes"])),
                start=start,
                end=end,
                flags=words.word_set(fields.get("Flags", "")),
            )
        except (KeyError, ValueError) as error:
            problems.append(f"a reservation is left out: {error}: {line[:60]!r}")
            continue
        reservations.append(reservation)
    return reservations, problems


def read_partitions(text: str) -> tuple[list[Partition], list[str]]:
    """Return the partitions, and what could not be understood."""
    partitions: list[Partition] = []
    problems: list[str] = []
    for line in text.splitlines():
        if not line.startswith("PartitionName="):
            if line and not line.startswith("No partitions"):
                problems.append(f"a partition's line is left out: {line[:60]!r}")
            continue
        fields = dict(_PAIR.findall(line))
        try:
            partition = Partition(
                name=fields["PartitionName"],
                up=fields["State"] == "UP",
                default=fields.get("Default") == "YES",
                nodes=words.hosts(fields.get("Nodes", "")),
                memory_per_cpu_mib=_memory(fields.get("DefMemPerCPU", "")),
                power={name: fields[name] for name in POWER_KEYS if name in fields},
            )
        except (KeyError, ValueError) as error:
            problems.append(f"a partition is left out: {error}: {line[:60]!r}")
            continue
        partitions.append(partition)
    return partitions, problems


def _memory(text: str) -> int:
    return 0 if text == "UNLIMITED" else words.memory_mib(text)
