"""Accepting TLS connections so that none can hold up another, and all of them together are bounded.

asyncio's own server counts a connection only once its handshake is done; here it has its seat from the moment
it is accepted, so that a thousand half-open handshakes are a thousand waiting in the kernel and not in this
process.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from clues.bootstrap.http import Refused, write_answer
from clues.bootstrap.limits import Limits, Seats

_log = logging.getLogger(__name__)

#: what a client can do wrong below HTTP: it goes away, stalls or talks nonsense
_CLIENT_FAULTS = (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)


@dataclass(frozen=True, slots=True)
class Connection:
    """One client, after its handshake."""

    #: the client's address, without port
    address: str
    #: the certificate that it has shown (DER), verified against the CA; None: none
    certificate: bytes | None
    #: gives its seat to somebody else while it only waits; once is enough
    give_up_seat: Callable[[], None]
    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter
    _limits: Limits

    async def read_head(self) -> bytes:
        """Return the request up to and with its empty line.

        :raises Refused: it is longer than a head may be.
        """
        try:
            return await self._reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError as error:
            most = self._limits.head_bytes
            raise Refused(400, f"The head of the request is longer than {most} bytes.") from error

    async def read_exactly(self, count: int) -> bytes:
        """Return so many bytes."""
        return await self._reader.readexactly(count)

    async def answer(self, status: int, body: bytes, *, retry_after_seconds: int = 0) -> None:
        """Send an answer; the client has a limited time to take it."""
        async with asyncio.timeout(self._limits.answer.total_seconds()):
            self._writer.write(write_answer(status, body, retry_after_seconds=retry_after_seconds))
            await self._writer.drain()
            self._writer.close()
            await self._writer.wait_closed()


def listen_on(listen: tuple[str, int]) -> socket.socket:
    """Return a listening socket, non-blocking.

    :raises OSError: the address is not ours, is in use, or is no address.
    """
    found = socket.getaddrinfo(*listen, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = found[0]
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(1024)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


async def serve_connections(
    listener: socket.socket,
    context: Callable[[], ssl.SSLContext],
    limits: Limits,
    serve: Callable[[Connection], Awaitable[None]],
) -> None:
    """Accept for ever and run *serve* for each client; cancelled, it drops them all.

    :param context: returns what to speak TLS with; asked anew for each client.

    What a client's :class:`OSError` or deadline ends is that client alone; so does an error in *serve*, which
    is told to the loop's exception handler.
    """
    loop = asyncio.get_running_loop()
    room = asyncio.Semaphore(limits.connections)
    seats = Seats(limits.connections_per_address)
    clients: set[asyncio.Task[None]] = set()

    def leave(task: asyncio.Task[None], give_up_seat: Callable[[], None]) -> None:
        clients.discard(task)
        give_up_seat()
        if not task.cancelled() and (error := task.exception()):
            loop.call_exception_handler({"message": "a request failed", "exception": error})

    try:
        while True:
            await room.acquire()
            try:
                client, peer = await loop.sock_accept(listener)
            except OSError as error:  # out of descriptors, or the client was gone already
                room.release()
                _log.warning("enrolment: cannot accept: %s", error.strerror)
                await asyncio.sleep(0.2)
                continue
            address = _plain(peer[0])
            if not seats.take(address):
                client.close()
                room.release()
                continue
            give_up_seat = _once(partial(seats.leave, address), room.release)
            task = loop.create_task(_meet(client, address, give_up_seat, context(), limits, serve))
            clients.add(task)
            task.add_done_callback(partial(leave, give_up_seat=give_up_seat))
    finally:
        for task in clients:
            task.cancel()
        if clients:
            await asyncio.wait(clients)


def _once(*calls: Callable[[], None]) -> Callable[[], None]:
    waiting = list(calls)

    def make() -> None:
        while waiting:
            waiting.pop()()

    return make


async def _meet(
    client: socket.socket,
    address: str,
    give_up_seat: Callable[[], None],
    context: ssl.SSLContext,
    limits: Limits,
    serve: Callable[[Connection], Awaitable[None]],
) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=limits.head_bytes, loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport: asyncio.BaseTransport | None = None
    try:
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol,
            client,
            ssl=context,
            ssl_handshake_timeout=limits.handshake.total_seconds(),
            ssl_shutdown_timeout=limits.answer.total_seconds(),
        )
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  # for the type checker
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        certificate = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        await serve(Connection(address, certificate, give_up_seat, reader, writer, limits))
    except _CLIENT_FAULTS as error:
        _log.debug("enrolment: the client at %s went wrong: %s", address, type(error).__name__)
    finally:
        if isinstance(transport, asyncio.Transport):
            transport.abort()
        else:
            client.close()


def _plain(address: str) -> str:
    """Return an address in its one form: an IPv4 client of an IPv6 socket is an IPv4 client."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(parsed, "ipv4_mapped", None)
    return str(mapped or parsed)
