"""What a member of the cluster is told for as long as it lives, as lines: names, accounts, and its part in the overlay.

The first lines are the form and a tag, which changes with every other line: a member that asks with the tag that it has
is answered when there is something new. The last line counts the others, so that half a text is never applied::

    clues-settings 1
    tag 5f1d...
    trust 9c2a...
    host 10.77.1.10 cpu-01
    account alice:x:1000:1000::/home/alice:/bin/bash
    forward 52:54:00:00:00:01 10.77.1.10
    end 6
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

from clues.inventory import Inventory

_LINE = re.compile(r"[ -~]+")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class Text:
    """One member's settings."""

    tag: str
    body: bytes


def host_lines(inventory: Inventory) -> tuple[str, ...]:
    """Return a ``host ADDRESS NAME`` line for every member that has an address."""
    return tuple(line for one in inventory.members if (line := host_line(one.address, one.node)))


def host_line(address: str, name: str) -> str:
    """Return the line for one host; empty where its address is not known as a number, or its name is none."""
    try:
        return f"host {ipaddress.ip_address(address)} {name}" if _NAME.fullmatch(name) else ""
    except ValueError:
        return ""


def trust_line(bundle: str) -> str:
    """Return the line by which a member sees whether it has the authorities that are trusted now."""
    return f"trust {hashlib.sha256(bundle.encode()).hexdigest()}"


def digest(lines: Sequence[str]) -> str:
    """Return a short name of these lines."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]


def render(shared: Sequence[str], shared_digest: str, own: Sequence[str]) -> Text:
    """Return the text of one member.

    :param shared: the lines that all members get, and their :func:`digest`, which is reckoned once for all of them.
    :param own: the lines for this one.
    :raises ValueError: a line of *own* is not one line of printable ASCII.
    """
    if not all(_LINE.fullmatch(line) for line in own):
        raise ValueError("a setting is not one line of printable ASCII")
    tag = digest([shared_digest, *own])
    lines = ["clues-settings 1", f"tag {tag}", *shared, *own]
    return Text(tag, "\n".join([*lines, f"end {len(lines)}", ""]).encode("ascii"))
