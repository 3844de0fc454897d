"""When old entries of the event log are forgotten: by age and by number, a few at a time.

What was bought and what it cost stays: claims and spend are not in the event log.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from clues.errors import LedgerError

log = logging.getLogger(__name__)

#: Entries are kept for so long: a year, and a month to look back upon it.
KEPT_FOR = timedelta(days=396)
#: How often the oldest are looked at.
EVERY = timedelta(minutes=1)


class Forgetting:
    """Has old entries dropped now and then. The disk may refuse: then it is tried again a minute later."""

    def __init__(self, forget: Callable[[datetime], int]) -> None:
        """:param forget: drops some of the entries from before a moment, and of those that are too many; returns how
        many. Called on the owner's thread.
        """
        self._forget = forget
        self._last: datetime | None = None

    def look(self, now: datetime) -> None:
        """Forget, unless that was done a moment ago."""
        if self._last is not None and abs(now - self._last) < EVERY:
            return
        self._last = now
        try:
            count = self._forget(now - KEPT_FOR)
        except LedgerError as error:  # it is shown as a trouble already, by what matters
            log.warning("old entries of the event log stay: %s", error)
            return
        if count:
            log.info("%d old entries of the event log are forgotten", count)
