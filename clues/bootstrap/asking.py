"""Asking the signer for a caller, so that no caller can keep the others from being answered.

The signer blocks, so it is asked on one of a few threads; one that hangs keeps its thread, and the caller is told to
come again. Tickets that name no live claim wait for a thread of their own. Refused tickets are counted, and who brings
too many has to stay away for a while before the signer is asked for it again.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from clues.bootstrap import wire
from clues.bootstrap.http import Refused
from clues.bootstrap.limits import FailureBrake, Limits
from clues.errors import AuthFailed, CluesError, InvalidRequest
from clues.inventory import Member

_log = logging.getLogger(__name__)

TRY_AGAIN = "The front-end cannot answer now; try again."


class Asking:
    """Lives on one event loop; what it runs on its threads must not touch what belongs to the loop."""

    def __init__(self, limits: Limits, knows: Callable[[str], bool]) -> None:
        """:param knows: whether a live claim has this launch key; True where that cannot be told."""
        self._limits, self._knows = limits, knows
        self._brake = FailureBrake(limits)
        self._threads = ThreadPoolExecutor(limits.desk_threads, "enrolment-signer")
        self._strangers = ThreadPoolExecutor(1, "enrolment-strangers")
        self._strangers_waiting = 0

    def stop(self) -> None:
        """Begin nothing new; calls under way end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._strangers.shutdown(wait=False, cancel_futures=True)

    async def with_ticket(self, ticket: str, path: str, address: str, body: bytes, call: Callable[[], bytes]) -> bytes:
        clock = asyncio.get_running_loop().time
        claim = ticket.rpartition(".")[0]
        known = self._knows(claim)
        counted = claim if known else ""
        if wait := self._brake.wait_seconds(address, counted, clock()):
            sentence = "Too many refused tickets came from this address."
            raise Refused(429, sentence, retry_after_seconds=int(wait) + 1)
        try:
            answer = await (self._ask(self._threads, call) if known else self._ask_as_stranger(call))
        except AuthFailed as error:
            self._brake.failed(address, counted, clock())
            words = _without(str(error), ticket, body)
            _log.warning("enrolment: a ticket from %s was refused: %s", address, words)
            sentence = "The ticket is not good: unknown, spent or late, or not from this address."
            raise Refused(403, sentence) from error
        # Only a signer that took the ticket makes its first part a launch key that may be told.
        _log.info("enrolment: %s for %s from %s", path, claim, address)
        return answer

    async def for_member(self, member: Member, what: str, call: Callable[[], bytes]) -> bytes:
        try:
            answer = await self._ask(self._threads, call)
        except AuthFailed as error:
            raise Refused(403, "The signer refuses it: this is no live member, or the key is another.") from error
        _log.info("enrolment: %s of %s", what, member.key)
        return answer

    async def _ask_as_stranger(self, call: Callable[[], bytes]) -> bytes:
        if self._strangers_waiting >= self._limits.strangers:
            raise Refused(503, TRY_AGAIN, retry_after_seconds=5)
        self._strangers_waiting += 1
        try:
            return await self._ask(self._strangers, call)
        finally:
            self._strangers_waiting -= 1

    async def _ask(self, threads: ThreadPoolExecutor, call: Callable[[], bytes]) -> bytes:
        """Run *call* on a thread. A signer that hangs keeps that thread, and the client is told to come
        again."""
        future = asyncio.get_running_loop().run_in_executor(threads, call)
        await asyncio.wait((future,), timeout=self._limits.desk.total_seconds())
        if not future.done():
            future.cancel()
            _log.error("enrolment: no answer from the signer within %.0f s", self._limits.desk.total_seconds())
            raise Refused(503, TRY_AGAIN, retry_after_seconds=10)
        error = future.exception()
        if error is None:
            return future.result()
        if isinstance(error, AuthFailed):
            raise error
        if isinstance(error, InvalidRequest):
            raise Refused(400, "The request is malformed: its certificate request is not as it should be.")
        if isinstance(error, CluesError):  # what is amiss is the front-end's to mend; the VM comes again
            _log.error("enrolment: the signer cannot serve: %s", wire.clean(str(error))[:300])
            raise Refused(503, TRY_AGAIN, retry_after_seconds=2)
        _log.error("enrolment: the call of the signer failed: %s", place_of(error))
        raise Refused(500, "The front-end failed; its log says where.", retry_after_seconds=10)


def _without(words: str, ticket: str, body: bytes) -> str:
    """Return the signer's words, should they quote what it was given, without it."""
    for secret in (
        ticket,
        ticket.rpartition(".")[2],
        *body.decode("ascii", "ignore").replace("=", "\n").split("\n"),
    ):
        if len(secret) >= 16:
            words = words.replace(secret, "...")
    return wire.clean(words).replace("\n", " ")[:300]


def place_of(error: BaseException | None) -> str:
    """Return an error's type and where it came from, innermost first, without its words."""
    if error is None:
        return "no error"
    frames = reversed(traceback.extract_tb(error.__traceback__)[-3:])
    places = [f"{frame.name} ({frame.filename}:{frame.lineno})" for frame in frames]
    return " < ".join([type(error).__name__, *places])
