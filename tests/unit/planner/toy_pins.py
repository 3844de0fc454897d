"""Looks at gangs whose constraint clues has changed: what their users asked for is neither forgotten nor kept back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from clues.model import Pinned
from tests.unit.planner.toy_slurm import ToyJob

#: turns in which a gang for which nothing comes any more has to have its own constraint again
PATIENCE = 5


class PinWatch:
    """Remembers for how many turns each gang was pinned in vain."""

    def __init__(self) -> None:
        self._in_vain: Counter[str] = Counter()
        #: gangs that were ever seen pinned
        self.seen: set[str] = set()

    def look(
        self, jobs: Iterable[ToyJob], pins: Mapping[str, Pinned], bought_for: Collection[str], blind: bool
    ) -> list[str]:
        """Look once, at the end of a turn; return what is broken.

        :param bought_for: jobs for which a claim serves. :param blind: the daemon could not see or do anything.
        """
        broken = []
        for job in jobs:
            ours = job.nodes > 1 and job.state in {"PENDING", "RUNNING"} and job.constraint != job.original
            if ours:
                self.seen.add(job.id)
            if ours and (job.id not in pins or pins[job.id].original != job.original):
                broken.append(f"gang {job.id} is pinned by {job.constraint}, and nobody knows {job.original!r}")
            in_vain = ours and job.state == "PENDING" and job.id not in bought_for and not blind
            self._in_vain[job.id] = self._in_vain[job.id] + 1 if in_vain else 0
            if self._in_vain[job.id] > PATIENCE:
                broken.append(f"gang {job.id} is pinned by {job.constraint}, and nothing comes for it")
        return broken
