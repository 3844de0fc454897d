"""The counter, where others bring their words: a VM its ticket, an operator an order. The owner's thread serves it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from clues.errors import AuthFailed, InvalidRequest, LedgerError, NotFound, Transient
from clues.ledger import Commit
from clues.model import COMING, Claim, ClaimState, Facts, Maintenance, Note, Operator, Wish
from clues.planner import after_enrolment, after_last_word, after_notice, learn_failure
from clues.planner.capacity.breaker import RECLAIMED
from clues.planner.claims.moves import fail
from clues.planner.claims.probe import plan_probe, stop_probe
from clues.planner.maintenance.announcing import announce, cancel
from clues.ports import Clock
from clues.reconciler.admission import is_known, refused_address, ticket_ends
from clues.reconciler.books import Books
from clues.reconciler.observer import Observer
from clues.reconciler.tick import Reconciler

#: The VM of such a claim may be in the cluster, or come: what puts it out fails the claim.
_INSIDE = COMING - {ClaimState.PLANNED} | {ClaimState.READY, ClaimState.DRAINING}

#: What a router tells again and again: shown as it is now, and not kept.
_SEEN = ("shortcut", "strangers")

#: One alarm about a claim's ticket is written in so long, however often the ticket is tried.
_ALARM_EVERY = timedelta(minutes=1)


def _no_doubt(_claim: Claim, _proof: str) -> str:
    """Believe it: its provider signs nothing."""
    return ""


class Counter:
    """Takes words, commits what follows from them, and hurries the next tick."""

    def __init__(
        self,
        reconciler: Reconciler,
        books: Books,
        observer: Observer,
        clock: Clock,
        doubt: Callable[[Claim, str], str] = _no_doubt,
    ) -> None:
        """:param doubt: returns why what a VM's provider signs about it does not show that it is the claim's."""
        self._doubt = doubt
        self._reconciler, self._books, self._observer, self._clock = reconciler, books, observer, clock
        self._alarmed: dict[str, datetime] = {}

    def redeem(self, key: str, identity: str, fingerprint: str, address: str, facts: Facts, proof: str = "") -> Claim:
        """Bind a ticket to the key of the VM that brings it first; return the claim that the VM backs.

        The same ticket with the same key is a retry and is answered again. With another key, while the ticket is good,
        one of the two is a thief and nobody can tell which: the claim fails at once and leaves the inventory.

        :param identity: SHA-256 (hex) of the VM's public key.
        :param fingerprint: of a router's certificate for shortcuts; may be empty.
        :param proof: what the VM's provider signs about it, where its connector asks for that.
        :raises AuthFailed: the claim is not booting, the ticket is late, bound to another key, or from elsewhere.
        :raises Transient: it could not be committed, or told to the other processes, now; or which VM the claim has is
            not known yet.
        """
        now = self._clock.now()
        claim = self._books.claims.get(key)
        if claim is None or claim.state not in _INSIDE:
            raise AuthFailed("no VM with this ticket is booting now")
        another = bool(claim.identity) and claim.identity != identity
        if now > ticket_ends(claim, self._reconciler.settings):
            if identity != claim.identity:
                self._alarm(claim, f"its ticket was presented at {address} after its time, with a new key", now)
            raise AuthFailed("the ticket has expired")
        if text := self._doubt(claim, proof):  # not the VM, whatever key it has: so the VM itself is left alone
            self._alarm(claim, f"its ticket was presented at {address}, and refused: {text}", now)
            raise AuthFailed(text)
        if not is_known(claim):
            raise Transient("which VM this claim has is not known yet")
        elsewhere = refused_address(claim, address, self._reconciler.settings, self._books.claims.values())
        if elsewhere and claim.batch:  # one that was asked for with it may have read its ticket: that is no doubt of it
            self._alarm(claim, f"its ticket was presented, and refused: {elsewhere}", now)
            raise AuthFailed(elsewhere)
        if another:
            self._stolen(claim, address, now)
            raise AuthFailed("the ticket has been redeemed with another key")
        if not claim.identity and (claim.state not in COMING or claim.enrolled_at is not None):
            raise AuthFailed("no VM with this ticket is booting now")
        if elsewhere:
            raise AuthFailed(elsewhere)
        after = replace(after_enrolment(claim, facts, now), identity=identity, fingerprint=fingerprint)
        note = Note(now, "enrolment", claim.node, f"enrolled from {address}", (key,))
        try:
            self._books.commit(Commit(claims=(after,), notes=(note,)))
        except LedgerError as error:
            raise Transient("the ledger cannot be written now") from error
        self._observer.hurry()
        if "inventory" in self._books.troubles:
            raise Transient("the inventory cannot be written now")
        return after

    def report(self, key: str, kind: str, text: str, address: str = "") -> None:
        """Take a VM's word: ``failed`` with its last word ends its claim, ``spot`` drains it, what a router sees around
        it goes to the overlay, and any other is noted.

        :param address: where a word came from that shows no more than a ticket.
        """
        claim = self._books.claims.get(key)
        if claim is None or (address and claim.batch and self._is_elsewhere(claim, address)):
            return
        now = self._clock.now()
        if kind in _SEEN:
            self._reconciler.overlay.heard(claim, kind, text, now)
            return
        if kind == "spot":
            self._notice(claim, text, now)
            return
        if kind != "failed":
            self._books.note(Note(now, "enrolment", claim.node, f"{kind} {text}".strip(), (key,)))
            self._observer.hurry()
            return
        after = after_last_word(claim, text, now)
        memory = self._books.memory
        if after.failure and not claim.failure and not claim.probe:
            pace = self._reconciler.settings.pace
            memory = learn_failure(memory, claim, after.failure, after.reason, now, pace)
        self._reconciler.settle(claim, after, now, memory)

    def _is_elsewhere(self, claim: Claim, address: str) -> bool:
        claims = self._books.claims.values()
        return not is_known(claim) or bool(refused_address(claim, address, self._reconciler.settings, claims))

    def _notice(self, claim: Claim, text: str, now: datetime) -> None:
        """The provider takes the VM back soon. Its offer rests: what replaces it comes from elsewhere, if it can."""
        after = after_notice(claim, text, now)
        if after == claim:
            return  # told again and again until it happens
        notes = []
        if after.state is claim.state:
            about = (claim.key, claim.offer.site)
            notes.append(Note(now, "spot", claim.node, f"{claim.offer.site} takes its VM back: {text}", about))
        pace = self._reconciler.settings.pace
        memory = learn_failure(self._books.memory, claim, RECLAIMED, text, now, pace)
        self._reconciler.settle(claim, after, now, memory, notes)

    def evict(self, name: str, who: str) -> None:
        """Put the VM of a claim, named by its launch key or its node, out of the cluster at once, and end it.

        :raises InvalidRequest: no such claim has a VM that is in the cluster or may come.
        :raises LedgerError: it could not be committed; nothing has changed.
        """
        found = [one for one in self._books.claims.values() if name in (one.key, one.node) and one.state in _INSIDE]
        if not found:
            raise InvalidRequest(f"no claim or node named {name} has a VM in the cluster: see `clues status`")
        now = self._clock.now()
        text = f"evicted by {who}"
        after = tuple(fail(one, "evicted", text, now) for one in found)
        notes = tuple(Note(now, "operator", one.node, text, (one.key, one.offer.site)) for one in found)
        self._books.commit(Commit(claims=after, notes=notes))
        self._observer.hurry()

    def try_image(self, site: str, image: str, flavor: str, who: str) -> Claim:
        """Plan a VM that tries an image.

        :raises InvalidRequest: it cannot be tried now.
        :raises LedgerError: it could not be committed.
        """
        view = self._reconciler.view()
        if view.world.operator.paused:
            raise InvalidRequest("buying is paused (clues resume)")
        claim = plan_probe(view, view.world.claims, site, image, flavor)
        note = Note(
            view.now, "operator", claim.node, f"{who}: tries image {image} [{claim.offer.key}]", (claim.key, site)
        )
        self._books.commit(Commit(claims=(claim,), notes=(note,)))
        self._observer.hurry()
        return claim

    def stop_trial(self, key: str) -> None:
        """End the trial of an image; one that has ended, or is ending, goes on so."""
        claim = self._books.claims.get(key)
        if claim is not None and claim.probe:
            view = self._reconciler.view()
            self._reconciler.settle(claim, stop_probe(claim, view), view.now)

    def trial(self, key: str) -> Claim:
        """Return the trial of an image, ended or not.

        :raises NotFound: there is none of this key.
        """
        claim = self._books.claims.get(key) or self._books.ended_claim(key)
        if claim is None or not claim.probe:
            raise NotFound(f"no image was tried under the key {key}")
        return claim

    def wish(self, nodes: Sequence[str], wish: Wish | None, who: str) -> None:
        """Commit a standing order for nodes (None takes it back); all or none.

        :raises InvalidRequest: a node that is in no pool.
        """
        settings = self._reconciler.settings
        known = {name for pool in settings.pools.values() for name in pool.nodes}
        known |= {site.router_node for site in settings.sites.values() if site.router is not None}
        strange = [name for name in nodes if name not in known]
        if strange:
            raise InvalidRequest(f"no pool has a node named {', '.join(strange)}")
        operator = self._books.operator
        wishes = {name: one for name, one in operator.wishes.items() if name not in nodes}
        if wish is not None:
            wishes |= dict.fromkeys(nodes, wish)
        text = f"{who}: {wish}" if wish is not None else f"{who}: back in service"
        self._order(replace(operator, wishes=wishes), nodes, text)

    def announce_maintenance(
        self, site: str, begin: datetime, end: datetime, ahead: timedelta | None, who: str
    ) -> Maintenance:
        """Commit that a site is to be empty from *begin* to *end*.

        :raises InvalidRequest: there is no such site, or it cannot be so; the text says why.
        """
        if site not in self._reconciler.settings.sites:
            raise InvalidRequest(f"no site is named {site}")
        operator = announce(self._books.operator, site, begin, end, ahead, who, self._clock.now())
        made = operator.maintenance[-1]
        self._order(operator, (site,), f"{who}: {made} (number {made.number})")
        return made

    def cancel_maintenance(self, number: int, who: str) -> Maintenance:
        """Commit that an announced maintenance is off.

        :raises NotFound: there is none of this number.
        """
        operator, dropped = cancel(self._books.operator, number, self._clock.now())
        self._order(operator, (dropped.site,), f"{who}: no {dropped} (number {dropped.number})")
        return dropped

    def pause(self, paused: bool, who: str) -> None:
        """Commit that buying and stopping pause, or go on."""
        text = f"{who}: {'paused' if paused else 'resumed'}"
        self._order(replace(self._books.operator, paused=paused), ("cluster",), text)

    def _order(self, operator: Operator, subjects: Sequence[str], text: str) -> None:
        now = self._clock.now()
        notes = tuple(Note(now, "operator", name, text) for name in subjects)
        self._books.commit(Commit(operator=operator, notes=notes))
        self._observer.hurry()

    def _stolen(self, claim: Claim, address: str, now: datetime) -> None:
        text = f"its ticket was presented again, with another key, at {address}: one of the two has stolen it"
        after = fail(claim, "stolen", text, now)
        note = Note(now, "alarm", claim.node, text, (claim.key, claim.offer.site))
        try:
            self._books.commit(Commit(claims=(after,), notes=(note,)))
        except LedgerError as error:
            raise Transient("the ledger cannot be written now") from error
        self._observer.hurry()

    def _alarm(self, claim: Claim, text: str, now: datetime) -> None:
        last = self._alarmed.get(claim.key)
        if last is not None and now - last < _ALARM_EVERY:
            return
        self._alarmed = {key: at for key, at in self._alarmed.items() if key in self._books.claims}
        self._alarmed[claim.key] = now
        self._books.note(Note(now, "alarm", claim.node, text, (claim.key, claim.offer.site)))
