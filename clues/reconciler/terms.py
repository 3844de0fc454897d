"""Asks the sites what they allow and what they cost: rarely, one thing after the other, and less often while it fails.

The parts of an answer are asked for one by one on the site's own lane, so that a provider that is slow to tell its
flavors does not keep back its quota, and never more than one of the lane's threads is taken for this.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from clues.errors import CloudError, Throttled
from clues.model import Claim, Observed, Offer, Pace, SiteTerms
from clues.planner.capacity.spread import spread
from clues.ports import Clock, Connector, Workers, looks

log = logging.getLogger(__name__)

#: Two questions to one site are at least so far apart, whatever hurries them; the first wait after a failure.
SOON = timedelta(seconds=30)

_Part = tuple[str, Callable[[Connector, Sequence[Offer]], Any]]

_QUOTA: _Part = ("quota", lambda connector, _: connector.quota())

#: In this order: what decides first comes first.
_PARTS: tuple[_Part, ...] = (
    ("prices", lambda connector, offers: dict(connector.prices(offers))),
    _QUOTA,
    ("credentials", lambda connector, _: connector.credentials_until()),
    ("flavors", lambda connector, _: {flavor.name: flavor for flavor in connector.flavors()}),
)


class TermsReader:
    """Keeps what each site last told of its terms, with its age."""

    def __init__(
        self,
        workers: Workers,
        clock: Clock,
        *,
        offers: Callable[[str], Sequence[Offer]],
        claims: Callable[[], Mapping[str, Claim]],
        changed: Callable[[], None],
    ) -> None:
        """:param offers: what is offered of a site.
        :param claims: the live claims.
        :param changed: called when a site has told something new.
        """
        self._workers, self._clock = workers, clock
        self._offers, self._claims, self._changed = offers, claims, changed
        self._pace = Pace()
        self._connectors: Mapping[str, Connector] = {}
        self._terms: dict[str, SiteTerms] = {}
        self._asking: set[str] = set()
        #: when everything is asked next, and when the quota alone
        self._next: dict[str, datetime] = {}
        self._quota_at: dict[str, datetime] = {}
        self._began: dict[str, datetime] = {}
        self._failures: dict[str, int] = {}

    @property
    def terms(self) -> Mapping[str, SiteTerms]:
        """What each site tells; empty at first."""
        return {site: self._terms.get(site, SiteTerms()) for site in self._connectors}

    def use(self, connectors: Mapping[str, Connector], pace: Pace) -> None:
        """Ask these sites, all of them anew: other things may be offered of them now."""
        self._connectors, self._pace = connectors, pace
        self._next.clear()
        self._failures.clear()

    def pump(self) -> None:
        """Ask every site whose turn it is."""
        now = self._clock.now()
        for site, connector in self._connectors.items():
            if site in self._asking:
                continue
            whole = now >= self._next.get(site, now)
            if whole or (site in self._quota_at and now >= self._quota_at[site]):
                self._quota_at.pop(site, None)
                self._asking.add(site)
                self._began[site] = now
                self._ask(site, connector, _PARTS if whole else (_QUOTA,), failed=None)

    def hurry(self, site: str) -> None:
        """Ask for a site's quota soon: what it told is not so any more. One that answers with errors is not hurried."""
        if site in self._began and not self._failures.get(site):
            self._quota_at.setdefault(site, max(self._clock.now(), self._began[site] + SOON))

    def _ask(self, site: str, connector: Connector, parts: Sequence[_Part], failed: BaseException | None) -> None:
        """Ask for the first of the parts, and when it has come, for the others."""
        name, ask = parts[0]
        began = self._clock.now()
        counted = {key: one for key, one in self._claims().items() if one.offer.site == site and one.instance_id}
        offers = self._offers(site)

        def done(value: Any, error: BaseException | None) -> None:
            self._take(site, name, value, error, began, counted)
            worst = error if error is not None else failed
            # who asks for time is asked no more for now
            if parts[1:] and not isinstance(error, Throttled):
                self._ask(site, connector, parts[1:], worst)
            else:
                self._ended(site, worst, whole=parts[-1] is _PARTS[-1])

        self._workers.submit(looks(site), lambda: ask(connector, offers), done)

    def _take(
        self,
        site: str,
        name: str,
        value: Any,
        error: BaseException | None,
        began: datetime,
        counted: Mapping[str, Claim],
    ) -> None:
        before = self._terms.get(site, SiteTerms())
        old: Observed[Any] = getattr(before, name)
        if error is not None:
            if not isinstance(error, CloudError):
                log.error("site %s: %s could not be read in a way that was not foreseen", site, name, exc_info=error)
            after = replace(old, error=str(error) or type(error).__name__)
        else:
            after = Observed(value, began)
        parts: dict[str, Any] = {name: after}
        if name == "quota" and error is None:
            parts["counted"] = counted
        self._terms[site] = replace(before, **parts)
        told = (old.value, old.taken_at is None, bool(old.error))
        if (after.value, after.taken_at is None, bool(after.error)) != told:
            self._changed()

    def _ended(self, site: str, error: BaseException | None, *, whole: bool) -> None:
        self._asking.discard(site)
        failures = self._failures.get(site, 0) + 1 if error is not None else 0
        self._failures[site] = failures
        if not whole and not failures:
            return
        wait = self._pace.terms
        if failures:
            wait = min(spread(SOON * 2 ** min(failures - 1, 10), site, failures), wait)
        if isinstance(error, Throttled) and error.retry_after is not None:
            wait = max(wait, error.retry_after)
        self._next[site] = self._clock.now() + wait
