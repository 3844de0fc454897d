"""What a benchmark prints: named figures with their targets, and the machine that they were measured on."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number. ``target`` says in words what is aimed at; None where nothing is."""

    name: str
    value: float
    unit: str
    target: str | None = None


def show(bench: str, figures: Sequence[Figure], *, as_json: bool) -> str:
    """Return the figures as one JSON object, or as a table."""
    if as_json:
        return json.dumps({"bench": bench, "machine": machine(), "figures": [asdict(one) for one in figures]})
    width = max(len(one.name) for one in figures)
    lines = [f"{bench} on {machine()}"]
    lines += [f"  {one.name:<{width}}  {one.value:10.3f} {one.unit:<8} {one.target or ''}".rstrip() for one in figures]
    return "\n".join(lines)


def machine() -> str:
    """Return what the figures were measured on."""
    info = Path("/proc/cpuinfo").read_text()
    model = next((line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith("model name")), "?")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = f"Linux {platform.release()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB, {system}"


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least *share* of the values do not pass."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-int(share * 100 * len(ordered)) // 100) - 1))]
