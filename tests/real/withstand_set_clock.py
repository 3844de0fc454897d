"""cluesd as it is, on a machine whose wall clock is set while it runs: libfaketime plays that clock.

Debian's libfaketime (0.9.10) breaks the one call by which Python 3.11 sleeps (clock_nanosleep to an absolute time), so
sleeping goes by select here. Nothing else of the daemon is touched.
"""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import SupportsIndex

from clues.program import main

#: The library, without the program around it.
LIBRARY = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)


def environment(offset: Path) -> Mapping[str, str]:
    """What lets a process read its wall clock with the offset that stands in a file, such as ``+3600``."""
    if LIBRARY is None:
        raise FileNotFoundError("libfaketime is missing: install Debian's package libfaketime")
    return {
        "LD_PRELOAD": str(LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "PATH": os.environ["PATH"],
    }


def _sleep(seconds: float | SupportsIndex, /) -> None:
    select.select([], [], [], float(seconds))


if __name__ == "__main__":
    time.sleep = _sleep
    sys.exit(main())
