"""The rhythm: when Slurm, the sites and the tunnels are looked at, and what was seen last.

A tick follows every look at Slurm.  Commands to Slurm go out on the same ordered lane as the looks, so the next look
shows what the last tick did, and nothing is ordered twice out of impatience.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from clues.errors import CloudError, CluesError, LrmsError, Throttled
from clues.model import ClusterSnapshot, Listing, Observed, OverlayStatus, Pace
from clues.planner.capacity.spread import spread
from clues.ports import Clock, Connector, Lrms, Overlay, Workers, looks

log = logging.getLogger(__name__)

#: Two looks at Slurm are at least so far apart, whatever hurries them.
BREATH = timedelta(milliseconds=200)

#: The owner's loop wakes at least so often, and never more often.
_LONGEST_WAIT, _SHORTEST_WAIT = timedelta(seconds=1), timedelta(milliseconds=20)


class Observer:
    """Sends off looks when they are due and keeps what they brought, with its age."""

    def __init__(self, lrms: Lrms, workers: Workers, clock: Clock, pace: Pace) -> None:
        self._lrms, self.workers, self._clock, self._pace = lrms, workers, clock, pace
        #: called on the owner's thread after every look at Slurm, good or failed
        self.looked: Callable[[], None] = lambda: None
        self.connectors: Mapping[str, Connector] = {}
        self.snapshot: Observed[ClusterSnapshot] = Observed()
        self.listings: dict[str, Observed[Listing]] = {}
        self.overlay: Overlay | None = None
        #: called at each :meth:`pump`: who else looks at the sites
        self.also: Callable[[], None] = lambda: None
        self.tunnels: Observed[OverlayStatus] = Observed()
        now = clock.now()
        self._counters: Mapping[str, int] = {}
        self._asking = False
        self._listing: set[str] = set()
        self._next_look = self._next_poke = self._next_tunnels = now
        self._asking_overlay = self._expect_tunnels = False
        self._next_listing: dict[str, datetime] = {}
        self._failed_listings: dict[str, int] = {}
        self._last_look = now - BREATH
        self._busy_sites: frozenset[str] = frozenset()

    def use(self, lrms: Lrms, pace: Pace) -> None:
        """Look through another adapter, in another rhythm, from now on."""
        self._lrms, self._pace = lrms, pace

    def lrms_in_use(self) -> Lrms:
        """Return the adapter that is looked through now."""
        return self._lrms

    def pump(self) -> timedelta:
        """Send off every look that is due; return how long to wait at most before the next call."""
        now = self._clock.now()
        if not self._asking:
            if now >= self._next_look:
                self._look()
            elif now >= self._next_poke:
                self._poke(now)
        for site, connector in self.connectors.items():
            if site not in self._listing and now >= self._next_listing.get(site, now):
                self._list(site, connector)
        self.also()
        if self.overlay is not None and not self._asking_overlay and now >= self._next_tunnels:
            self._ask_overlay(self.overlay)
        # what is under way wakes the owner by its answer
        due = [self._next_tunnels] if self.overlay is not None and not self._asking_overlay else []
        due += [] if self._asking else [self._next_poke, self._next_look]
        due += [self._next_listing.get(site, now) for site in self.connectors if site not in self._listing]
        return min(max(min(due, default=now + _LONGEST_WAIT) - now, _SHORTEST_WAIT), _LONGEST_WAIT)

    def hurry(self) -> None:
        """Have the next look (and so the next tick) as soon as possible; losing this loses nothing but time."""
        self._next_look = min(self._next_look, self._last_look + BREATH)

    def hurry_listing(self, site: str) -> None:
        """Have the next listing of a site at once, unless its listings fail: those have a rhythm of their own."""
        if not self._failed_listings.get(site):
            self._next_listing[site] = self._clock.now()

    def expect(self, sites: frozenset[str], *, tunnels: bool = False) -> None:
        """Look more often while something is on its way in or out at these sites, and while there are *tunnels*."""
        self._busy_sites, self._expect_tunnels = sites, tunnels
        if sites or tunnels:
            self._next_tunnels = min(self._next_tunnels, self._clock.now() + self._pace.look_busy)
        if sites:
            self._next_look = min(self._next_look, self._last_look + self._pace.look_busy)

    def _look(self) -> None:
        self._asking = True
        began = self._last_look = self._clock.now()
        # whatever happens while we look was not seen by this look
        self._next_look = began + (self._pace.look_busy if self._busy_sites else self._pace.look)

        def done(snapshot: ClusterSnapshot | None, error: BaseException | None) -> None:
            self._asking = False
            if snapshot is not None:
                # by our own clock, which deadlines go by; a look is as old as its beginning
                self.snapshot = Observed(replace(snapshot, taken_at=began), began)
            else:
                _tell_unforeseen(error, LrmsError)
                self.snapshot = replace(self.snapshot, error=str(error))
            self.looked()

        self.workers.submit("lrms", self._lrms.snapshot, done)

    def _poke(self, now: datetime) -> None:
        self._asking = True
        self._next_poke = now + self._pace.poke

        def done(counters: Mapping[str, int] | None, error: BaseException | None) -> None:
            self._asking = False
            if counters is None:
                _tell_unforeseen(error, LrmsError)
            elif counters != self._counters:
                self._counters = counters
                self.hurry()

        self.workers.submit("lrms", self._lrms.counters, done)

    def _list(self, site: str, connector: Connector) -> None:
        self._listing.add(site)
        began = self._clock.now()
        wait = self._pace.listing_busy if site in self._busy_sites else self._pace.listing
        self._next_listing[site] = began + wait

        def done(listing: Listing | None, error: BaseException | None) -> None:
            self._listing.discard(site)
            if listing is not None:
                # as old as its beginning: what was made meanwhile may be missing from it
                self.listings[site] = Observed(replace(listing, taken_at=began), began)
                self._failed_listings.pop(site, None)
            else:
                _tell_unforeseen(error, CloudError)
                self.listings[site] = replace(self.listings.get(site, Observed()), error=str(error))
                self._next_listing[site] = self._clock.now() + self._rest_of(site, wait, error)
            self.hurry()

        self.workers.submit(looks(site), connector.list_instances, done)

    def _rest_of(self, site: str, wait: timedelta, error: BaseException | None) -> timedelta:
        """Return how long a site is left alone whose listing failed: longer each time, up to the usual time between
        two listings, or as long as it has asked for."""
        failures = self._failed_listings[site] = self._failed_listings.get(site, 0) + 1
        rest = max(wait, min(spread(wait * 2 ** min(failures - 1, 8), site, failures), self._pace.listing))
        asked = error.retry_after if isinstance(error, Throttled) else None
        return max(rest, asked or rest)

    def _ask_overlay(self, overlay: Overlay) -> None:
        self._asking_overlay = True
        began = self._clock.now()
        soon = self._busy_sites or self._expect_tunnels
        self._next_tunnels = began + (self._pace.look_busy if soon else self._pace.listing)

        def done(status: OverlayStatus | None, error: BaseException | None) -> None:
            self._asking_overlay = False
            before = self.tunnels
            if error is not None:
                _tell_unforeseen(error, CluesError)
                self.tunnels = replace(before, error=str(error))
            else:
                self.tunnels = Observed(status, _told_at(status, before, began))
            if _gist(self.tunnels.value) != _gist(before.value) or bool(self.tunnels.error) != bool(before.error):
                self.hurry()

        self.workers.submit("overlay", overlay.status, done)


def _told_at(status: OverlayStatus | None, before: Observed[OverlayStatus], began: datetime) -> datetime:
    """Return when this status was told, by our own clock: a broker that died goes on to tell what it told last."""
    if status is None:
        return began
    if before.value is None or before.taken_at is None:
        return min(began, status.taken_at)
    return before.taken_at if before.value.taken_at == status.taken_at else began


def _gist(status: OverlayStatus | None) -> tuple[bool, frozenset[str]]:
    """What a decision may hang on; not the counters of bytes."""
    return (False, frozenset()) if status is None else (status.known, frozenset(status.tunnels))


def _tell_unforeseen(error: BaseException | None, foreseen: type[Exception]) -> None:
    if not isinstance(error, foreseen):
        log.error("a look failed in a way that was not foreseen", exc_info=error)
