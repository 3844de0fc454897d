"""Keeps the cluster's numbers of each minute, so that a day can be looked back upon."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

from clues.api.counting import count_nodes
from clues.api.lens import Lens
from clues.errors import LedgerError
from clues.model import Moment, Published

log = logging.getLogger(__name__)

EVERY = timedelta(minutes=1)


class History:
    """Writes a moment down when a minute has passed since the last one. Lost ones are no loss: it only shows."""

    def __init__(self, record: Callable[[Moment], None]) -> None:
        """:param record: writes a moment to the ledger; called on the owner's thread."""
        self._record = record
        self._last: datetime | None = None

    def see(self, published: Published) -> None:
        """Look at the picture of a tick."""
        if self._last is not None and abs(published.at - self._last) < EVERY:
            return
        self._last = published.at
        try:
            self._record(moment(Lens.of(published, published.at)))
        except LedgerError as error:  # it is shown as a trouble already, by what matters
            log.warning("this minute is not recorded: %s", error)


def moment(lens: Lens) -> Moment:
    """Return the numbers of a picture."""
    published = lens.published
    waiting: Counter[str] = Counter()
    for job in lens.jobs:
        if job.pending and (outlook := published.plan.outlooks.get(job.id)) is not None:
            waiting[outlook.verdict.value] += max(1, job.count_pending)
    return Moment(
        at=published.at,
        nodes=tuple(
            (site, pool, state, count)
            for (site, pool, state), count in sorted(count_nodes(lens).items())
            if state != "off"
        ),
        waiting=tuple(sorted(waiting.items())),
        running=sum(1 for job in lens.jobs if job.running),
        cost_per_hour=published.plan.cost_per_hour,
    )
