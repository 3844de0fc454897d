"""Credentials that end: told a day ahead and when they have, once each, so that somebody makes new ones in time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from clues.model import Memory, Note, SiteTerms
from clues.planner.view import View
from clues.units import show_duration

#: So long before the end it is told.
AHEAD = timedelta(days=1)

_SOON, _ENDED = "credentials end", "credentials have ended"


def credentials_end(terms: SiteTerms | None, now: datetime) -> str:
    """Return in words when a site's credentials end, if that is soon, or that they have; else empty."""
    stage, until = _stage(terms, now), terms.credentials.value if terms is not None else None
    if not stage or until is None:
        return ""
    return f"its credentials end in {show_duration(until - now)}" if stage == _SOON else "its credentials have ended"


def warn_of_credentials(view: View, memory: Memory) -> tuple[Memory, list[Note]]:
    """Return what is remembered of the warnings given, and those to be given now."""
    warned: Mapping[str, str] = memory.warned
    notes: list[Note] = []
    for site, terms in view.world.terms.items():
        if site not in view.settings.sites or terms.credentials.taken_at is None:
            continue  # not known, which is not the same as renewed
        stage, before = _stage(terms, view.now), warned.get(site, "")
        if stage == before:
            continue
        warned = {one: told for one, told in warned.items() if one != site} | ({site: stage} if stage else {})
        if stage:
            text = (
                f"{credentials_end(terms, view.now)}: make new ones for site {site}, else no VM can be started or ended"
            )
            notes.append(Note(view.now, "alarm", site, text))
    return (memory if warned is memory.warned else replace(memory, warned=warned)), notes


def _stage(terms: SiteTerms | None, now: datetime) -> str:
    until = terms.credentials.value if terms is not None else None
    if until is None or until - now > AHEAD:
        return ""
    return _SOON if until > now else _ENDED
