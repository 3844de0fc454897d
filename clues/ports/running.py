"""Threads and time, as the core is given them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol


class Workers(Protocol):
    """Threads behind the core: calls go in, events come back in the owner's queue."""

    def submit(self, lane: str, call: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        """Run *call* on the lane's threads; *done* is called with its result or error on the owner's thread.

        The lane ``lrms`` runs one call at a time in order, so that a snapshot submitted after a command shows its
        effect; all others run several at once. A site has three: its own for launches, and :func:`looks` and
        :func:`ends`, so that neither stands behind a long row of launches.
        """
        ...


def looks(site: str) -> str:
    """Return the lane on which a site is asked what there is."""
    return f"{site}/looks"


def ends(site: str) -> str:
    """Return the lane on which a site's VMs are ended."""
    return f"{site}/ends"


class Clock(Protocol):
    """Time as an argument."""

    def now(self) -> datetime:
        """Return wall time, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never jump."""
        ...
