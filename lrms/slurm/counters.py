"""A cheap sign that something happened: the job counters of ``sdiag`` (about 5 ms)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from clues.errors import LrmsError

_LINE = re.compile(r"^Jobs (submitted|started|completed|canceled|failed):\s+([0-9]+)\s*$", re.MULTILINE)


def read_counters(text: str) -> Mapping[str, int]:
    """Return the five counters by name.

    :raises LrmsError: fewer are there.
    """
    counters = {name: int(value) for name, value in _LINE.findall(text)}
    if len(counters) != 5:
        raise LrmsError(f"sdiag's output has {len(counters)} of the five job counters")
    return counters
