"""The enrolment service: where a VM that has just booted redeems its ticket, over TLS that it can verify.

It is the one port that strangers reach, so it assumes the worst of them: one event loop in one thread holds
every connection, each with a deadline for its handshake, for its whole request and for its answer, so that
clients that hang cost a bounded number of sockets and no thread at all.  Only a complete, well-formed request
with something like a ticket reaches the desk, on one of a few threads, because the desk blocks.

Tickets, nonces and what is handed out are never logged; an unexpected error is logged by its type and place,
without its words, since those may quote what it was given.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial

from clues.bootstrap import wire
from clues.bootstrap.ca import CaFiles, server_context
from clues.bootstrap.connections import Connection, listen_on, serve_connections
from clues.bootstrap.http import Head, Refused, parse_head
from clues.bootstrap.limits import FailureBrake, Limits
from clues.errors import AuthFailed, CluesError, ConfigError, Transient
from clues.model import Facts
from clues.ports import Desk

_log = logging.getLogger(__name__)

_RENEWAL_CHECK_SECONDS = 3600.0
_TRY_AGAIN = "The front-end cannot answer now; try again."


class EnrolmentService:
    """An HTTPS server in a thread of its own, in front of a desk.

    The desk has to answer each call in the end, also while the daemon stops: stop this service first.

    :param names: addresses and host names by which workers call it; they stand in its certificate.
    :param listen: address and port; port 0 takes a free one.
    """

    def __init__(
        self,
        desk: Desk,
        ca: CaFiles,
        names: Sequence[str],
        listen: tuple[str, int],
        *,
        limits: Limits | None = None,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self._desk = desk
        self._ca = ca
        self._names = tuple(names)
        self._listen = listen
        self._limits = limits or Limits()
        self._now = now or partial(datetime.now, UTC)
        self._brake = FailureBrake(self._limits)
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._threads = ThreadPoolExecutor(self._limits.desk_threads, "enrolment-desk")

    @property
    def port(self) -> int:
        """The port that it listens on; only after :meth:`start`."""
        if self._socket is None:
            raise RuntimeError("the enrolment service has not been started")
        return int(self._socket.getsockname()[1])

    def start(self) -> None:
        """Listen and serve; return once clients are let in.

        :raises ConfigError: the address cannot be listened on, or the certificate cannot be made.
        """
        context = server_context(self._ca.server_leaf(self._names, self._now()))
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
            serving = asyncio.create_task(serve_connections(self._socket, context, self._limits, self._serve))
            renewing = asyncio.create_task(self._renew(context.load_cert_chain))
            started.set()
            stopping = asyncio.create_task(self._stopping.wait())
            await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                _log.critical("enrolment: the service ended by itself: %s", _place(serving.exception()))
            for task in (serving, renewing, stopping):
                task.cancel()
            await asyncio.wait((serving, renewing, stopping))

        self._thread = threading.Thread(target=lambda: asyncio.run(run()), name="enrolment", daemon=True)
        self._thread.start()
        if not started.wait(10):
            raise ConfigError("enrolment: the service did not start; the log says why")

    def stop(self, timeout_seconds: float = 10.0) -> None:
        """Stop listening, drop every connection and end the thread. Stopping twice is fine."""
        if self._thread is not None and self._loop is not None and self._stopping is not None:
            if self._thread.is_alive():
                self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(timeout_seconds)
            if self._thread.is_alive():
                _log.error("enrolment: the service did not stop within %.0f s", timeout_seconds)
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._socket is not None:
            self._socket.close()

    # --- one connection, on the event loop ----------------------------------------------------------------

    async def _serve(self, connection: Connection) -> None:
        try:
            async with asyncio.timeout(self._limits.request.total_seconds()):
                head = parse_head(await connection.read_head(), largest_body=self._limits.body_bytes)
                body = await connection.read_exactly(head.length)
            answer = await self._answer(head, body, connection.address)
        except Refused as refusal:
            sentence = f"{refusal}\n".encode()
            await connection.answer(refusal.status, sentence, retry_after_seconds=refusal.retry_after_seconds)
        else:
            await connection.answer(200, answer)

    async def _answer(self, head: Head, body: bytes, address: str) -> bytes:
        if head.path not in ("/v1/enrol", "/v1/report"):
            raise Refused(404, "There is nothing at this path.")
        clock = asyncio.get_running_loop().time
        if wait := self._brake.wait_seconds(address, clock()):
            sentence = "Too many refused tickets came from this address."
            raise Refused(429, sentence, retry_after_seconds=int(wait) + 1)
        try:
            ticket = wire.parse_ticket(head.headers.get("authorization", ""))
            if head.path == "/v1/enrol":
                nonce, facts = wire.parse_enrolment(body, self._now())
                call = partial(self._enrol, ticket, nonce, address, facts)
            else:
                kind, words = wire.parse_report(body)
                call = partial(self._report, ticket, kind, words)
        except ValueError as error:
            raise Refused(400, f"The request is malformed: {error}.") from error
        try:
            answer = await self._ask(call)
        except AuthFailed as error:
            self._brake.failed(address, clock())
            words = _without(str(error), ticket, body)
            _log.warning("enrolment: a ticket from %s was refused: %s", address, words)
            sentence = "The ticket is not good: unknown, spent or late, or not from this address."
            raise Refused(403, sentence) from error
        except Transient as error:
            raise Refused(503, _TRY_AGAIN, retry_after_seconds=2) from error
        # Only a desk that took the ticket makes its first part a launch key that may be told.
        _log.info("enrolment: %s for %s from %s", head.path, ticket.rpartition(".")[0], address)
        return answer

    async def _ask(self, call: Callable[[], bytes]) -> bytes:
        """Run *call* on a thread. A desk that hangs keeps that thread, and the client is told to come
        again."""
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._threads, call)
        await asyncio.wait((future,), timeout=self._limits.desk.total_seconds())
        if not future.done():
            future.cancel()
            _log.error("enrolment: no answer from the desk within %.0f s", self._limits.desk.total_seconds())
            raise Refused(503, _TRY_AGAIN, retry_after_seconds=10)
        error = future.exception()
        if error is None:
            return future.result()
        if isinstance(error, AuthFailed | Transient):
            raise error
        _log.error("enrolment: the desk failed: %s", _place(error))
        raise Refused(500, "The front-end failed; its log says where.", retry_after_seconds=10)

    # --- the desk, on a thread ----------------------------------------------------------------------------

    def _enrol(self, ticket: str, nonce: str, address: str, facts: Facts) -> bytes:
        return wire.encode_answer(self._desk.redeem(ticket, nonce, address, facts))

    def _report(self, ticket: str, kind: str, words: str) -> bytes:
        self._desk.report(ticket, kind, words)
        return b""

    async def _renew(self, load: Callable[[str], None]) -> None:
        """Show a new certificate before the old one ends. Handshakes run on this loop, so none sees half a
        change."""
        while True:
            await asyncio.sleep(_RENEWAL_CHECK_SECONDS)
            try:
                load(str(self._ca.server_leaf(self._names, self._now())))
            except (CluesError, OSError):
                _log.exception("enrolment: the certificate could not be renewed; the next try is in an hour")


def _without(words: str, ticket: str, body: bytes) -> str:
    """Return a desk's words, should they quote what it was given, without it."""
    for secret in (
        ticket,
        ticket.rpartition(".")[2],
        *body.decode("ascii", "ignore").replace("=", "\n").split("\n"),
    ):
        if len(secret) >= 16:
            words = words.replace(secret, "...")
    return wire.clean(words).replace("\n", " ")[:300]


def _place(error: BaseException | None) -> str:
    """Return an error's type and where it came from, innermost first, without its words."""
    if error is None:
        return "no error"
    frames = reversed(traceback.extract_tb(error.__traceback__)[-3:])
    places = [f"{frame.name} ({frame.filename}:{frame.lineno})" for frame in frames]
    return " < ".join([type(error).__name__, *places])


def _log_loop_error(_: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    error = context.get("exception")
    place = _place(error) if isinstance(error, BaseException) else ""
    _log.error("enrolment: %s %s", context.get("message", "error in the event loop"), place)
