"""What goes over the wire about the maintenance of sites.

As in :mod:`clues.api.wire`: every field that was added later has a default.
"""

from __future__ import annotations

from dataclasses import dataclass

from clues.api.wire import VERSION, listed

#: How far a maintenance has come.
STATES: dict[str, str] = {
    "announced": "its site is used as ever, for jobs that end in time",
    "emptying": "nothing is bought there any more, or some of its nodes take no new jobs already",
    "on": "its site is used for nothing",
    "cancelled": "taken back",
}


@dataclass(frozen=True, slots=True)
class MaintenanceView:
    """An announced time in which a site is to be empty."""

    number: int
    site: str = ""
    begin: str = ""
    end: str = ""
    #: so long before its begin nodes take no new jobs; null: as the time limits of the pending jobs demand
    ahead_seconds: float | None = None
    who: str = ""
    #: one of :data:`STATES`
    state: str = ""
    #: that are there still
    vms: int = 0
    #: jobs that run there and may not have ended when it begins; they are not killed
    jobs_past_begin: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MaintenanceList:
    maintenance: tuple[MaintenanceView, ...] = listed(MaintenanceView)
    apiVersion: str = VERSION  # noqa: N815
