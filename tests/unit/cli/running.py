"""The real command in a process of its own, as a user starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

#: What the console script does.
PROGRAM = [sys.executable, "-c", "import sys; from clues.cli import main; sys.exit(main())"]
ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


def environment(**more: str) -> dict[str, str]:
    """An environment with nothing of the tester's own."""
    return {"PATH": os.defpath, "PYTHONPATH": str(ROOT), "TZ": "UTC", "TERM": "xterm", **more}


def clues(*arguments: str, socket: Path | str = "/nonexistent/clues.sock", **more: str) -> Result:
    """Run ``clues`` to its end, its output in pipes."""
    done = subprocess.run(
        [*PROGRAM, *arguments],
        env=environment(**{"CLUES_SOCKET": str(socket), **more}),
        capture_output=True,
        timeout=60,
        check=False,
    )
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())
