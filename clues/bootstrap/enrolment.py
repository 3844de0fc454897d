"""The enrolment front: the one port that strangers reach, where a VM that has just booted redeems its ticket over TLS.

It assumes the worst of its callers: one event loop in one thread holds every connection, each with a deadline for its
handshake, for its whole request and for its answer, so that clients that hang cost a bounded number of sockets and no
thread at all.  Only a complete, well-formed request with something like a ticket, or with the certificate of a live
member, reaches the signer, on one of a few threads, because the signer blocks.  Tickets that name no live claim have a
thread of their own, so that a flood of them delays nobody else.

Tickets, requests for certificates and what is handed out are never logged; an unexpected error is logged by its type
and place, without its words, since those may quote what it was given.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from clues.bootstrap import wire
from clues.bootstrap.asking import TRY_AGAIN, Asking, place_of
from clues.bootstrap.board import Board
from clues.bootstrap.connections import Connection, listen_on, serve_connections
from clues.bootstrap.http import Head, Refused, parse_head
from clues.bootstrap.limits import Limits
from clues.bootstrap.settings import Text
from clues.bootstrap.shown import Shown
from clues.bootstrap.signer_calls import SignerCalls
from clues.errors import CluesError, ConfigError
from clues.inventory import Member

_log = logging.getLogger(__name__)

T = TypeVar("T")
V = TypeVar("V")

#: how often it is looked whether the certificate is due, or the authorities have changed
_REFRESH_SECONDS = 1.0
_AFTER = re.compile(r"(?:after=([0-9a-f]{0,64}|-))?")


class EnrolmentService:
    """An HTTPS server in a thread of its own, in front of the signer.

    :param listen: address and port; port 0 takes a free one.
    """

    def __init__(
        self,
        signer: SignerCalls,
        shown: Shown,
        board: Board,
        listen: tuple[str, int],
        *,
        limits: Limits | None = None,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self._signer, self._shown, self._board, self._listen = signer, shown, board, listen
        self._limits = limits or Limits()
        self._now = now or partial(datetime.now, UTC)
        self._asking = Asking(self._limits, board.knows)
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        #: by launch key: set when the member has asked again, so that one of its questions waits at a time
        self._polls: dict[str, asyncio.Event] = {}

    @property
    def port(self) -> int:
        """The port that it listens on; only after :meth:`start`."""
        if self._socket is None:
            raise RuntimeError("the enrolment front has not been started")
        return int(self._socket.getsockname()[1])

    def start(self) -> None:
        """Listen and serve; return once clients are let in.

        :raises ConfigError: the address cannot be listened on.
        :raises CluesError: the signer gives no certificate now.
        """
        self._shown.refresh()
        try:
            self._socket = listen_on(self._listen)
        except OSError as error:
            host, port = self._listen
            words = error.strerror or error
            raise ConfigError(f"enrolment: cannot listen on {host} port {port}: {words}") from error
        started = threading.Event()

        async def run() -> None:
            assert self._socket is not None  # noqa: S101  # for the type checker: set above
            self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
            self._loop.set_exception_handler(_log_loop_error)
            self._board.look()
            works = [
                asyncio.create_task(serve_connections(self._socket, self._shown.context, self._limits, self._serve)),
                asyncio.create_task(self._refresh()),
                asyncio.create_task(self._board.watch()),
            ]
            started.set()
            stopping = asyncio.create_task(self._stopping.wait())
            await asyncio.wait((*works, stopping), return_when=asyncio.FIRST_COMPLETED)
            for work in works:
                if work.done():
                    _log.critical("enrolment: a part of the service ended by itself: %s", place_of(work.exception()))
                work.cancel()
            stopping.cancel()
            await asyncio.wait((*works, stopping))

        self._thread = threading.Thread(target=lambda: asyncio.run(run()), name="enrolment", daemon=True)
        self._thread.start()
        if not started.wait(10):
            raise ConfigError("enrolment: the service did not start; the log says why")

    @property
    def alive(self) -> bool:
        """Whether it serves."""
        return self._thread is not None and self._thread.is_alive()

    def stop(self, timeout_seconds: float = 10.0) -> None:
        """Stop listening, drop every connection and end the thread. Stopping twice is fine."""
        if self._thread is not None and self._loop is not None and self._stopping is not None:
            if self._thread.is_alive():
                self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(timeout_seconds)
            if self._thread.is_alive():
                _log.error("enrolment: the service did not stop within %.0f s", timeout_seconds)
        self._asking.stop()
        if self._socket is not None:
            self._socket.close()

    # --- one connection, on the event loop ----------------------------------------------------------------

    async def _serve(self, connection: Connection) -> None:
        try:
            async with asyncio.timeout(self._limits.request.total_seconds()):
                head = parse_head(await connection.read_head(), largest_body=self._limits.body_bytes)
                body = await connection.read_exactly(head.length)
            answer = await self._answer(head, body, connection)
        except Refused as refusal:
            sentence = f"{refusal}\n".encode()
            await connection.answer(refusal.status, sentence, retry_after_seconds=refusal.retry_after_seconds)
        else:
            await connection.answer(200, answer)

    async def _answer(self, head: Head, body: bytes, connection: Connection) -> bytes:
        match head.method, head.path:
            case "GET", "/v1/settings":
                return await self._settings(head, connection)
            case "POST", "/v1/enrol":
                return await self._enrol(head, body, connection.address)
            case "POST", "/v1/renew":
                member = self._member(connection)
                csr = _parsed(wire.parse_renewal, body)
                return await self._asking.for_member(member, "renewal", lambda: self._signer.renew(csr).encode("ascii"))
            case "POST", "/v1/report":
                return await self._report(head, body, connection)
            case _, "/v1/settings" | "/v1/enrol" | "/v1/renew" | "/v1/report":
                raise Refused(405, "This path wants another method.")
        raise Refused(404, "There is nothing at this path.")

    async def _enrol(self, head: Head, body: bytes, address: str) -> bytes:
        ticket = _parsed(wire.parse_ticket, head.headers.get("authorization", ""))
        enrolment = _parsed(partial(wire.parse_enrolment, now=self._now()), body)

        def call() -> bytes:
            return wire.encode_answer(self._signer.enrol(ticket, enrolment, address), self._now())

        return await self._asking.with_ticket(ticket, head.path, address, body, call)

    async def _report(self, head: Head, body: bytes, connection: Connection) -> bytes:
        kind, words = _parsed(wire.parse_report, body)
        address = connection.address
        if connection.certificate is not None:
            member = self._member(connection)

            def tell() -> bytes:
                self._signer.report(key=member.key, kind=kind, text=words, address=address)
                return b""

            return await self._asking.for_member(member, f"report {kind}", tell)
        ticket = _parsed(wire.parse_ticket, head.headers.get("authorization", ""))

        def call() -> bytes:
            self._signer.report(ticket=ticket, kind=kind, text=words, address=address)
            return b""

        return await self._asking.with_ticket(ticket, head.path, address, body, call)

    async def _settings(self, head: Head, connection: Connection) -> bytes:
        """Answer as soon as the text is another than the one that the member has, or when it has waited long enough."""
        after = _AFTER.fullmatch(head.query)
        if after is None:
            raise Refused(400, "The query is not of the form 'after=TAG'.")
        key = self._member(connection).key
        connection.give_up_seat()  # there is one of these for each member, and only it waits for long
        mine, loop = asyncio.Event(), asyncio.get_running_loop()
        if (former := self._polls.get(key)) is not None:
            former.set()
        self._polls[key] = mine
        deadline = loop.time() + self._limits.poll.total_seconds()
        try:
            while True:
                news = self._board.news()
                text = self._text(self._member(connection))
                left = deadline - loop.time()
                if text.tag != after[1] or mine.is_set() or left <= 0:
                    return text.body
                waits = [loop.create_task(one.wait()) for one in (news, mine)]
                await asyncio.wait(waits, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                for wait in waits:
                    wait.cancel()
        finally:
            if self._polls.get(key) is mine:
                del self._polls[key]

    def _text(self, member: Member) -> Text:
        try:
            return self._board.text(member)
        except ConfigError as error:
            raise Refused(503, TRY_AGAIN, retry_after_seconds=2) from error

    def _member(self, connection: Connection) -> Member:
        if connection.certificate is None:
            raise Refused(403, "This wants the certificate of a member.")
        try:
            member = self._board.member(connection.certificate)
        except ConfigError as error:
            raise Refused(503, TRY_AGAIN, retry_after_seconds=2) from error
        if member is None:
            raise Refused(403, "The certificate is of no live member of this cluster.")
        return member

    async def _refresh(self) -> None:
        """Show a new certificate before the old one ends, and believe the authorities of now."""
        told = ""
        while True:
            await asyncio.sleep(_REFRESH_SECONDS)
            try:
                await asyncio.get_running_loop().run_in_executor(None, self._shown.refresh)
                told = ""
            except (CluesError, OSError, ssl.SSLError) as error:
                if str(error) != told:
                    _log.error("enrolment: the certificate could not be renewed, tried again: %s", error)
                told = str(error)


def _parsed(parse: Callable[[T], V], text: T) -> V:
    try:
        return parse(text)
    except ValueError as error:
        raise Refused(400, f"The request is malformed: {error}.") from error


def _log_loop_error(_: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    error = context.get("exception")
    place = place_of(error) if isinstance(error, BaseException) else ""
    _log.error("enrolment: %s %s", context.get("message", "error in the event loop"), place)
