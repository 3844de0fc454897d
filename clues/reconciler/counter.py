"""The counter, where others bring their words: a VM its ticket, an operator an order. The owner's thread serves it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from clues.errors import AuthFailed, InvalidRequest, LedgerError, Transient
from clues.ledger import Commit
from clues.model import COMING, Facts, Note, Operator, Wish
from clues.planner import after_enrolment, after_last_word, learn_failure
from clues.ports import Clock
from clues.reconciler.books import Books
from clues.reconciler.observer import Observer
from clues.reconciler.tick import Reconciler


class Counter:
    """Takes words, commits what follows from them, and hurries the next tick."""

    def __init__(self, reconciler: Reconciler, books: Books, observer: Observer, clock: Clock) -> None:
        self._reconciler, self._books, self._observer, self._clock = reconciler, books, observer, clock

    def redeem(self, key: str, nonce: str, address: str, facts: Facts) -> str:
        """Bind a ticket to the VM that brings it first; return the node that it is to be.

        :raises AuthFailed: the claim is not booting, the ticket is late, spent by another VM, or from elsewhere.
        :raises Transient: it could not be committed now.
        """
        now = self._clock.now()
        pace = self._reconciler.settings.pace
        claim = self._books.claims.get(key)
        if claim is None or claim.state not in COMING or claim.launched_at is None:
            raise AuthFailed("no VM with this ticket is booting now")
        if now - (claim.listed_at or claim.launched_at) > pace.ticket:
            raise AuthFailed("the ticket has expired")
        if claim.address and address != claim.address:
            raise AuthFailed(f"the ticket belongs to address {claim.address}, not to {address}")
        digest = hashlib.sha256(nonce.encode()).hexdigest()
        bound = self._books.nonce_of(key)
        if bound is not None and bound != digest:
            text = f"its ticket was presented again, by another VM at {address}"
            self._books.note(Note(now, "alarm", claim.node, text, (key,)))
            raise AuthFailed("the ticket has been redeemed by another VM")
        after = after_enrolment(claim, facts, now)
        note = Note(now, "enrolment", claim.node, f"enrolled from {address}", (key,))
        try:
            self._books.commit(Commit(claims=(after,), notes=(note,), enrolment=(key, digest, now)))
        except LedgerError as error:
            raise Transient("the ledger cannot be written now") from error
        self._observer.hurry()
        return claim.node

    def report(self, key: str, kind: str, text: str) -> None:
        """Take a worker's word: ``started``, or ``failed`` with its last word."""
        claim = self._books.claims.get(key)
        if claim is None:
            return
        now = self._clock.now()
        if kind != "failed":
            self._books.note(Note(now, "enrolment", claim.node, f"{kind} {text}".strip(), (key,)))
            self._observer.hurry()
            return
        after = after_last_word(claim, text, now)
        memory = self._books.memory
        if after.failure and not claim.failure:
            pace = self._reconciler.settings.pace
            memory = learn_failure(memory, claim.offer, after.failure, after.reason, now, pace)
        self._reconciler.settle(claim, after, now, memory)

    def wish(self, nodes: Sequence[str], wish: Wish | None, who: str) -> None:
        """Commit a standing order for nodes (None takes it back); all or none.

        :raises InvalidRequest: a node that is in no pool.
        """
        known = {name for pool in self._reconciler.settings.pools.values() for name in pool.nodes}
        strange = [name for name in nodes if name not in known]
        if strange:
            raise InvalidRequest(f"no pool has a node named {', '.join(strange)}")
        operator = self._books.operator
        wishes = {name: one for name, one in operator.wishes.items() if name not in nodes}
        if wish is not None:
            wishes |= dict.fromkeys(nodes, wish)
        text = f"{who}: {wish}" if wish is not None else f"{who}: back in service"
        self._order(replace(operator, wishes=wishes), nodes, text)

    def pause(self, paused: bool, who: str) -> None:
        """Commit that buying and stopping pause, or go on."""
        text = f"{who}: {'paused' if paused else 'resumed'}"
        self._order(replace(self._books.operator, paused=paused), ("cluster",), text)

    def _order(self, operator: Operator, subjects: Sequence[str], text: str) -> None:
        now = self._clock.now()
        notes = tuple(Note(now, "operator", name, text) for name in subjects)
        self._books.commit(Commit(operator=operator, notes=notes))
        self._observer.hurry()
