"""Nodes from ``scontrol -d -o show node``: one line each, flags as a set.

``sinfo`` cannot tell when a slurmd started, and plain ``show node`` not how many GPUs are used; with ``-d`` one
command tells everything (measured for 5,000 nodes: 0.3 s).

A line also holds texts that others write: ``OS`` comes from the worker's slurmd, ``Reason``, ``Comment`` and ``Extra``
from admins.  So each key is looked for once, from the left, and the admins' texts stand at the end.  Whoever is root on
a worker may therefore write nonsense about that worker, but a name that comes twice (a line smuggled into ``OS``) is
left out with both readings and told.

A state that is not known is kept as it is: :attr:`clues.model.Node.understood` then keeps us from acting on it.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache

from clues.model import Node, Resources
from lrms.slurm import words

#: sinfo's and older Slurms' marks behind a state
SUFFIXES = {
    "*": "NOT_RESPONDING",
    "~": "POWERED_DOWN",
    "#": "POWERING_UP",
    "%": "POWERING_DOWN",
    "!": "POWER_DOWN",
    "$": "MAINTENANCE",
    "@": "REBOOT_REQUESTED",
    "^": "REBOOT_ISSUED",
    "-": "PLANNED",
}

#: words that stand for several flags, or that another version or command uses for one of ours
ALIASES: dict[str, frozenset[str]] = {
    "DRAINED": frozenset({"IDLE", "DRAIN"}),
    "DRAINING": frozenset({"ALLOCATED", "DRAIN"}),
    "INVAL": frozenset({"INVALID_REG"}),
    "INVALID": frozenset({"INVALID_REG"}),
    "MAINT": frozenset({"MAINTENANCE"}),
    "REBOOT": frozenset({"REBOOT_ISSUED"}),
    "REBOOT^": frozenset({"REBOOT_ISSUED"}),
    "REBOOT@": frozenset({"REBOOT_REQUESTED"}),
    "NO_RESPOND": frozenset({"NOT_RESPONDING"}),
    "POWERED_UP": frozenset(),
    "RESUME": frozenset(),
    "RES": frozenset({"RESERVED"}),
}

_WRITTEN_BY = re.compile(r" \[[^\]\s@]+@[^\]\s]+\]")


@lru_cache(maxsize=1024)
def read_flags(text: str) -> frozenset[str]:
    """Return the flags of ``IDLE+CLOUD+POWERED_DOWN``, ``DOWN*+DRAIN``, ``idle~``; unknown ones are kept."""
    return read_flag_list(tuple(text.split("+")))


def read_flag_list(parts: tuple[str, ...]) -> frozenset[str]:
    """Return the flags of a list of states, as JSON has them."""
    flags: set[str] = set()
    for part in parts:
        word = part.upper()
        while word and word[-1] in SUFFIXES and word not in ALIASES:
            flags.add(SUFFIXES[word[-1]])
            word = word[:-1]
        flags |= ALIASES.get(word, frozenset({word} if word else ()))
    return frozenset(flags)


class NodeReader:
    """Reads one look after another. A line that comes again is not read again, and gives the very same node."""

    def __init__(self) -> None:
        #: of the last look; what is not there any more is forgotten
        self._lines: dict[str, Node] = {}

    def read(self, text: str) -> tuple[dict[str, Node], list[str]]:
        """Return the nodes by name and what could not be understood.

        :raises ValueError: the output does not end with a whole line: it was cut off.
        """
        if text and not text.endswith("\n"):
            raise ValueError("scontrol's list of nodes ends in the middle of a line")
        lines: dict[str, Node] = {}
        found: list[Node] = []
        problems: list[str] = []
        for line in text.splitlines():
            if not line or line == "No nodes in the system":
                continue
            node = self._lines.get(line)
            if node is None:
                try:
                    node = _node(line)
                except ValueError as error:
                    problems.append(f"a node's line is left out: {error}: {line[:60]!r}")
                    continue
            lines[line] = node
            found.append(node)
        self._lines = lines
        return unique(found, problems), problems


def read_nodes(text: str) -> tuple[dict[str, Node], list[str]]:
    """Return the nodes of one look, as :meth:`NodeReader.read` does."""
    return NodeReader().read(text)


def unique(found: list[Node], problems: list[str]) -> dict[str, Node]:
    """Return the nodes by name, without those that were named twice."""
    nodes = {node.name: node for node in found}
    if len(nodes) != len(found):
        for name, count in Counter(node.name for node in found).items():
            if count > 1:
                del nodes[name]
                problems.append(f"node {name} is left out: it is listed {count} times, and only one can be true")
    return nodes


def _node(line: str) -> Node:
    if not line.startswith("NodeName="):
        raise ValueError("it does not begin with NodeName=")
    flags = read_flags(_field(line, " State="))
    effective = _field(line, " CPUEfctv=", "")
    return Node(
        name=line[9 : line.index(" ", 9)],
        flags=flags,
        capacity=Resources(
            int(effective or _field(line, " CPUTot=")),
            int(_field(line, " RealMemory=")),
            words.gpus(_field(line, " Gres=", "")),
        ),
        used=Resources(
            int(_field(line, " CPUAlloc=")),
            int(_field(line, " AllocMem=")),
            words.gpus(_field(line, " GresUsed=", "")),
        ),
        features=words.word_set(_field(line, " AvailableFeatures=", "")),
        active_features=words.word_set(_field(line, " ActiveFeatures=", "")),
        partitions=words.word_set(_field(line, " Partitions=", "")),
        address=words.text_or_nothing(_field(line, " NodeAddr=", "")),
        reason=_reason(line),
        # slurmctld remembers the start of a slurmd whose machine is off; that one is no longer there
        slurmd_started=None if "POWERED_DOWN" in flags else words.moment(_field(line, " SlurmdStartTime=", "")),
        last_busy=words.moment(_field(line, " LastBusyTime=", "")),
    )


def _field(line: str, key: str, default: str | None = None) -> str:
    start = line.find(key)
    if start < 0:
        if default is None:
            raise ValueError(f"no{key.rstrip('=')}")
        return default
    start += len(key)
    end = line.find(" ", start)
    return line[start:] if end < 0 else line[start:end]


def _reason(line: str) -> str:
    _, key, rest = line.partition(" Reason=")
    if not key:
        return ""
    written = _WRITTEN_BY.search(rest)
    return rest[: written.start()] if written else rest.rstrip()
