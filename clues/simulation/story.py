"""What happened, line by line, and how it is told when something breaks."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable

from clues.simulation.timeline import Timeline

#: Lines that are kept; of a longer story only the end is told, and the digest of all of it.
KEPT = 20_000


class Story:
    """The log of one world. Two runs with the same seed have the same digest."""

    def __init__(self, time: Timeline, *, silent: bool = False) -> None:
        self._time, self._silent = time, silent
        self._lines: deque[str] = deque(maxlen=KEPT)
        self._digest = hashlib.sha256()
        self.length = 0

    def tell(self, text: str) -> None:
        """Write down one thing."""
        if self._silent:
            return
        line = f"{self._time.passed:12.3f} {text}"
        self._lines.append(line)
        self._digest.update(line.encode() + b"\n")
        self.length += 1

    @property
    def digest(self) -> str:
        """SHA-256 over every line ever told."""
        return self._digest.hexdigest()

    def text(self) -> str:
        """Return the lines that are kept."""
        return "\n".join(self._lines)

    def about(self, names: Iterable[str], most: int = 60) -> str:
        """Return the last lines that name one of *names*."""
        wanted = [name for name in names if name]
        found = [line for line in self._lines if any(name in line for name in wanted)]
        return "\n".join(found[-most:])


class InvariantBroken(AssertionError):
    """Something happened that must never happen, with all that is needed to find out why."""

    def __init__(self, what: str, *, seed: int, at: str, story: str, replay: str) -> None:
        self.what = what
        super().__init__(f"{what}\nseed {seed}, at {at}\nreplay: {replay}\n--- story ---\n{story}")
