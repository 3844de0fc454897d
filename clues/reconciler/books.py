"""The ledger and its mirror in memory, which never says more than what is on the disk."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any

from clues.errors import LedgerError
from clues.ledger import Commit, Ledger, Receipt, SpendKey
from clues.model import Changed, Claim, Memory, Note, Operator, Spent
from clues.planner.capacity.breaker import remembered
from clues.planner.money.billing import charged_pieces, in_steps
from clues.planner.money.payers import Shares
from clues.reconciler.spending import SpendSoFar

log = logging.getLogger(__name__)

#: So many ended claims are kept in memory, at most.
_ENDED_KEPT = 1000


@dataclass
class Rider:
    """What goes with the next commit."""

    receipt: Callable[[Changed], Receipt]
    #: that commit failed, and whoever made it may have kept that to itself
    failure: LedgerError | None = None


class Books:
    """What the daemon holds for true: live claims, generations, memory, standing orders, what was spent.

    Every change goes through :meth:`commit`, so that memory follows the disk and never the other way round.
    """

    def __init__(self, ledger: Ledger, now: datetime, time_zone: str = "UTC") -> None:
        """:param time_zone: where days begin at midnight, for budgets."""
        self._ledger, self._began = ledger, now
        self._claims = {key: _not_in_the_future(claim, now) for key, claim in ledger.live_claims().items()}
        self._generations = ledger.generations()
        self.memory: Memory = _remembered(ledger.memory(), now)
        self.operator: Operator = ledger.operator()
        # what the VMs cost while no daemon ran is booked at the first tick
        self._booked_at = min(now, ledger.booked_at() or now)
        self._spend = SpendSoFar(ledger, now, time_zone)
        #: VMs whose first period is booked, where time is charged in periods
        self._counted = {key for key, claim in self._claims.items() if claim.instance_id}
        #: claims that have ended lately, oldest first
        self._ended: dict[str, Claim] = {}
        #: what keeps the daemon from its work, by name, in words for a sysadmin
        self.troubles: dict[str, str] = {}
        #: sites whose VMs nobody has seen since the start: the ledger may have lost claims of theirs
        self.unseen: set[str] = set()
        #: tells other processes who belongs to the cluster: called after each commit, before anybody is answered
        self.publish: Callable[[], None] = _nothing
        self._rider: Rider | None = None
        #: told of each commit, before anything follows from it; who copies them
        self.committed: Callable[[Commit], None] = _ignore_commit
        #: told of each committed change of a claim, as (before, after); who counts them
        self.moved: Callable[[Claim | None, Claim], None] = _ignore

    @property
    def claims(self) -> Mapping[str, Claim]:
        """Live claims by launch key."""
        return self._claims

    @property
    def generations(self) -> Mapping[str, int]:
        """The highest generation ever used, by node."""
        return self._generations

    @property
    def spent(self) -> Spent:
        """In the cluster's currency, as far as it is booked."""
        return self._spend.spent

    def use_time_zone(self, name: str) -> None:
        """Reckon days by another time zone from now on."""
        self._spend.use(name)

    def commit(self, change: Commit) -> None:
        """Write *change*, then remember it.

        :raises LedgerError: nothing changed, neither on the disk nor here; it is shown as a trouble until a later
            commit succeeds.
        """
        rider, self._rider = self._rider, None
        if rider is not None:
            change = replace(
                change, receipt=rider.receipt(Changed(change.claims, self.operator, change.operator or self.operator))
            )
        try:
            self._ledger.commit(change)
        except LedgerError as error:
            self.troubles["ledger"] = str(error)
            if rider is not None:
                rider.failure = error
            raise
        if not change.empty:
            self.committed(change)
            self.troubles.pop("ledger", None)
        for claim in change.claims:
            self.moved(self._claims.get(claim.key), claim)
            if claim.live:
                self._claims[claim.key] = claim
                self._ended.pop(claim.key, None)
            else:
                self._claims.pop(claim.key, None)
                self._remember_ended(claim)
            self._generations[claim.node] = max(self._generations.get(claim.node, 0), claim.generation)
        self.memory = change.memory if change.memory is not None else self.memory
        self.operator = change.operator if change.operator is not None else self.operator
        for note in change.notes:
            log.info("%s: %s", note.subject, note.text)
        self.make_known()

    @contextmanager
    def along(self, receipt: Callable[[Changed], Receipt]) -> Iterator[None]:
        """Have a receipt written with the first commit of the block, in one transaction, or by itself if it makes none.

        :param receipt: makes it from what the commit changes.
        :raises LedgerError: it could not be written, and so neither was what the block committed.
        """
        rider = self._rider = Rider(receipt)
        try:
            yield
            if rider.failure is not None:
                raise rider.failure
            if self._rider is not None:
                self.commit(Commit())
        finally:
            self._rider = None

    def make_known(self) -> None:
        """Have the inventory written as it follows from the claims. One that cannot be written is a trouble that is
        shown, and is tried again at every commit; each tick makes one."""
        try:
            self.publish()
        except OSError as error:
            text = f"the inventory cannot be written ({error}): VMs that join or leave are not told to the overlay"
            self.trouble("inventory", text)
        else:
            self.trouble("inventory", "")

    def _remember_ended(self, claim: Claim) -> None:
        """Providers list a VM for up to an hour after its end, and each tick asks for its claim."""
        self._ended[claim.key] = claim
        if len(self._ended) > _ENDED_KEPT:
            del self._ended[next(iter(self._ended))]

    def note(self, note: Note) -> None:
        """Commit one note; a disk that refuses it is a trouble that is shown, not an error here."""
        try:
            self.commit(Commit(notes=(note,)))
        except LedgerError:
            log.error("%s: %s (not recorded)", note.subject, note.text)

    def trouble(self, name: str, text: str) -> None:
        """Show something that a sysadmin has to see to, or with an empty text stop showing it."""
        if text:
            self.troubles[name] = text
        else:
            self.troubles.pop(name, None)

    def ended_claim(self, key: str) -> Claim | None:
        """Return a claim that has ended, None if the key was never used."""
        return self._ended.get(key) or self._ledger.claim(key)

    def may_have_lost(self, key: str, site: str) -> bool:
        """Return whether the ledger, lost or rolled back, may lack this claim and its VM live all the same. Known once
        a tick has seen the site's VMs: those without a claim have been taken in by then."""
        return site in self.unseen and self._ledger.claim(key) is None

    def rested(self, now: datetime, quarantine: timedelta) -> list[Claim]:
        """Return claims that ended less than *quarantine* ago. Those whose end lies in the future, as the clock was set
        back since, ended before this daemon began, however long before."""
        began_lately = now - self._began < quarantine
        return self._ledger.ended_since(now - quarantine, None if began_lately else now)

    def spend_until(self, now: datetime, shares: Mapping[str, Shares]) -> dict[SpendKey, float]:
        """Return what the VMs cost since the last booking, to be committed.

        :param shares: who pays for each claim; what is not in there is charged to no account.
        """
        spend: dict[SpendKey, float] = {}
        whole = self._spend.hours(self._booked_at, now)
        for claim in self._claims.values():
            price = claim.offer.price_per_hour
            if not claim.instance_id or not price:
                continue
            for begin, length in self._pieces(claim, whole, now):
                for account, share in shares.get(claim.key, _NOBODY).items():
                    key = (begin, claim.pool, claim.offer.site, account)
                    spend[key] = spend.get(key, 0.0) + price * length * share
        return spend

    def booked(self, spend: Mapping[SpendKey, float], now: datetime) -> None:
        """Note that *spend* is on the disk."""
        self._spend.add(spend, now)
        self._booked_at = now
        self._counted = {key for key, one in self._claims.items() if one.instance_id and _began(one, now)}

    def _pieces(self, claim: Claim, whole: list[tuple[datetime, float]], now: datetime) -> list[tuple[datetime, float]]:
        """Return the hours that are charged for a claim; *whole* are those since the last booking."""
        if not in_steps(claim.offer):
            # nothing may have been booked for long, as nothing cost anything
            return self._spend.hours(claim.created_at, now) if claim.created_at > self._booked_at else whole
        since = self._booked_at
        if claim.key not in self._counted and claim.launched_at is not None:
            since = claim.launched_at
        return charged_pieces(claim, since, self._spend.hours(since, now))


def _began(claim: Claim, now: datetime) -> bool:
    return claim.launched_at is None or claim.launched_at < now


#: Nobody's job runs there.
_NOBODY: Shares = {"": 1.0}


def _nothing() -> None:
    """Nobody is to be told."""


def _ignore(_before: Claim | None, _after: Claim) -> None:
    """Nobody counts."""


def _ignore_commit(_: Commit) -> None:
    """Nobody copies."""


def _not_in_the_future(claim: Claim, now: datetime) -> Claim:
    """Return *claim* with no time later than *now*: the wall clock may have been set back while no daemon ran, and
    deadlines would stand still until it has caught up."""
    late: dict[str, Any] = {
        field.name: now
        for field in fields(claim)
        if isinstance(value := getattr(claim, field.name), datetime) and value > now
    }
    return replace(claim, **late) if late else claim


def _remembered(memory: Memory, now: datetime) -> Memory:
    """Return *memory* with nothing learnt later than *now*, for the same reason: what rests does so for no longer than
    it was to rest."""
    return replace(
        memory,
        breakers={key: remembered(one, now) for key, one in memory.breakers.items()},
        misread={key: replace(one, since=min(one.since, now)) for key, one in memory.misread.items()},
        spot={key: replace(one, as_of=min(one.as_of, now)) for key, one in memory.spot.items()},
        lulls={key: replace(one, let_go=tuple(min(at, now) for at in one.let_go)) for key, one in memory.lulls.items()},
    )
