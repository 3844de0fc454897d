"""Licences that jobs share, from ``scontrol -o show license``; only admins define them."""

from __future__ import annotations

import re

#: ``matlab@flex`` is one of a license server that slurmdbd knows
_LINE = re.compile(r"LicenseName=(\S+)\s.*?\bFree=([0-9]+)\b")


def read_licenses(text: str) -> tuple[dict[str, int], list[str]]:
    """Return how many of each are free now, and what could not be understood."""
    free: dict[str, int] = {}
    problems: list[str] = []
    for line in text.splitlines():
        match = _LINE.match(line)
        if match is not None:
            free[match[1]] = int(match[2])
        elif line.strip() and not line.startswith("No licenses"):
            problems.append(f"a licence's line is left out: {line[:60]!r}")
    return free, problems
