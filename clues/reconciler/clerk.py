"""The clerk: takes an order once, however often it is sent, and writes down who gave it.

An order that comes with a key is answered a second time with what it was answered the first time: the answer is
written in the same transaction as the effect, so neither is ever there without the other. What somebody else does (the
signer) cannot be in that transaction: there, that it was begun is committed first, and one of which nobody knows what
came of it is not begun again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import asdict

from clues.errors import InvalidRequest, KeyReused, LedgerError
from clues.ledger import Commit, Ledger, Receipt
from clues.model import Answer, Changed, Deed, Order
from clues.ports import Clock
from clues.reconciler.books import Books

log = logging.getLogger("clues.audit")


class Clerk:
    """Carries orders out through the books. :meth:`answered` is for any thread, the rest for the owner's."""

    def __init__(self, books: Books, ledger: Ledger, clock: Clock) -> None:
        self._books, self._ledger, self._clock = books, ledger, clock

    def answered(self, order: Order) -> bytes | None:
        """Return what this very order was answered before; None if it is new.

        :raises KeyReused: its key belongs to another order, or to one of which nobody knows what came of it.
        """
        if not order.key:
            return None
        found = self._ledger.answer(order.deed.identity, order.key, self._clock.now())
        if found is None:
            return None
        if found.digest != order.digest:
            raise KeyReused("this idempotency key was used for another order: take a new one for each")
        if not found.body:
            raise KeyReused(
                "the order with this idempotency key was begun, and what came of it is not known: look first, then "
                "order it anew with another key"
            )
        return found.body

    def carry_out(self, order: Order, do: Callable[[], object], told: Callable[[Changed], bytes]) -> bytes:
        """Do it, and write its answer and its deed with what it commits; or answer again what was answered before.

        :param told: makes the answer of what is changed; called within *do*.
        :raises CluesError: it was refused, or could not be committed; nothing has changed.
        """
        if (before := self.answered(order)) is not None:
            return before
        body = b""

        def receipt(changed: Changed) -> Receipt:
            nonlocal body
            body = told(changed)
            return Receipt(self._clock.now(), order.deed, order.key, Answer(order.digest, body))

        with self._books.along(receipt):
            do()
        _tell(order.deed)
        return body

    def begin(self, order: Order) -> bytes | None:
        """Commit that an order to somebody else is begun; return its answer if it was given before."""
        before = self.answered(order)
        if before is None and order.key:
            self._commit(order, Answer(order.digest, b""), begun=True)
        return before

    def end(self, order: Order, body: bytes) -> None:
        """Commit what such an order was answered."""
        self._commit(order, Answer(order.digest, body))
        _tell(order.deed)

    def never(self, order: Order, refusal: InvalidRequest) -> InvalidRequest:
        """Forget that it was begun, as it was refused; return the refusal."""
        if order.key:
            self._ledger.forget_answer(order.deed.identity, order.key)
        return refusal

    def _commit(self, order: Order, answer: Answer, *, begun: bool = False) -> None:
        receipt = Receipt(self._clock.now(), order.deed, order.key, answer, begun)
        self._books.commit(Commit(receipt=receipt))

    def record(self, deed: Deed) -> None:
        """Write down what was tried in vain; a disk that refuses it is a trouble that is shown."""
        _tell(deed)
        try:
            self._books.commit(Commit(receipt=Receipt(self._clock.now(), deed)))
        except LedgerError as error:
            log.error("the audit log cannot be written: %s", error)


def _tell(deed: Deed) -> None:
    """Write one line into the journal: JSON, so that no name in it can make a second line, or look like another key."""
    log.info("audit %s", json.dumps(asdict(deed)))
