"""Slurm's own programs, run one at a time: argv lists, a clean environment, a time-out, and their words on failure.

The environment is ours alone: a ``SQUEUE_FORMAT`` or ``SLURM_CLUSTERS`` in the daemon's would change what is printed.
Formats travel in the environment as well, where other users cannot read them (an argv they can).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from clues.errors import LrmsError

#: Times as epochs in UTC, English words, array task lists of any length.
_ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC", "SLURM_TIME_FORMAT": "%s", "SLURM_BITSTR_LEN": "0"}
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/slurm/bin"


@dataclass(frozen=True, slots=True)
class Tools:
    """Where the programs and their configuration are, and how long they may take (each one)."""

    conf: Path | None = None
    bin: Path | None = None
    timeout: timedelta = timedelta(seconds=20)

    def run(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> str:
        """Return what the program printed.

        :raises LrmsError: it is missing, failed, or took too long; the text holds Slurm's own words.
        """
        program = self._find(argv[0])
        environment = {**_ENVIRONMENT, "PATH": os.environ.get("PATH", _PATH), **(env or {})}
        conf = str(self.conf) if self.conf else os.environ.get("SLURM_CONF")
        if conf:
            environment["SLURM_CONF"] = conf
        try:
            done = subprocess.run(
                [program, *argv[1:]],
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=self.timeout.total_seconds(),
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise LrmsError(
                f"{argv[0]} gave no answer in {self.timeout.total_seconds():g} s: is slurmctld alive? (scontrol ping)"
            ) from error
        except OSError as error:
            raise LrmsError(f"{argv[0]} could not be started: {error}") from error
        output = done.stdout.decode("utf-8", "replace")
        if done.returncode:
            raise LrmsError(f"{_shown(argv)} failed ({done.returncode}): {_words(done.stderr, output)}")
        return output

    def _find(self, name: str) -> str:
        where = str(self.bin) if self.bin else f"{os.environ.get('PATH', '')}:{_PATH}"
        found = shutil.which(name, path=where)
        if found is None:
            raise LrmsError(f"{name} was not found in {where}: install Slurm's client commands, or set lrms.bin")
        return found


def _shown(argv: Sequence[str]) -> str:
    text = " ".join(argv)
    return text if len(text) <= 120 else f"{text[:117]}..."


def _words(stderr: bytes, stdout: str) -> str:
    """Return what the program complained of, in one line."""
    text = stderr.decode("utf-8", "replace").strip() or stdout.strip() or "it said nothing"
    return " / ".join(line.strip() for line in text.splitlines() if line.strip())[:500]
