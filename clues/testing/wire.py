"""Faults between a connector and its provider: a reverse proxy that loses, cuts, replaces or delays replies.

It stands on loopback before a server that does the real work (an emulator, moto, a real service), passes everything
on as it came, and plays a fault where it was told to. So a test has the effect at the provider and the failure at the
connector, over real HTTP.

    with FaultyProxy("http://127.0.0.1:5000") as wire:
        fault = wire.next(WireFault.LOST_REPLY, lambda method, path, body: method == "POST")
        ...  # the connector creates a VM through wire.url, and is told nothing
        assert fault.left == 0
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from clues.testing.wire_faults import HUGE_SIZE, Act, WireFault, bomb

__all__ = ["HUGE_SIZE", "Armed", "FaultyProxy", "Request", "When", "WireFault"]

#: Tells of a request whether it is meant: method, path with its query, body.
When = Callable[[str, str, bytes], bool]

Headers = tuple[tuple[str, str], ...]

_CHUNK = 2**18
#: from a connection to the upstream until the last byte of its reply
_PATIENCE = 60.0
#: these are between two neighbours on the way, and not passed on (RFC 9110, 7.6.1)
_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "content-length"}
)


class Armed:
    """A fault that waits for its requests."""

    def __init__(self, fault: WireFault, when: When, times: int) -> None:
        self.fault, self.when = fault, when
        #: how often it has still to happen
        self.left = times
        #: the client took all of a flood
        self.swallowed = False


class Request(NamedTuple):
    """A request as it came in."""

    method: str
    path: str
    body: bytes


class Reply(NamedTuple):
    """A reply as the upstream gave it."""

    code: int
    reason: str
    headers: Headers
    body: bytes
    #: none may follow: of HEAD, 204 and 304
    bodiless: bool = False


class FaultyProxy:
    """Passes requests on to *upstream* (``http://host:port``, a path before all others if need be), but for faults."""

    def __init__(self, upstream: str) -> None:
        parts = urlsplit(upstream)
        if parts.scheme != "http" or parts.hostname is None:
            raise ValueError(f"not an http URL: {upstream}")
        self.upstream = (parts.hostname, parts.port or 80)
        self.prefix = parts.path.rstrip("/")
        #: all requests since the start, in the order in which they came
        self.requests: list[Request] = []
        self._armed: list[Armed] = []
        self._frozen: When | None = None
        self._stuck = False
        self._ice: dict[Request, Reply] = {}
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._stopped = False
        self._problems: list[BaseException] = []
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="wire", daemon=True)

    @property
    def url(self) -> str:
        """Where it listens; no slash at the end."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Close all connections and end all threads.

        :raises Exception: what went wrong inside the proxy, such as an error of a *when*.
        """
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        with self._lock:
            self._stopped = True
            for one in self._sockets:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
        self._server.server_close()
        if self._problems:
            raise self._problems[0]

    def __enter__(self) -> FaultyProxy:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # --- what tests say -------------------------------------------------------------------------------------------

    def next(self, fault: WireFault, when: When = lambda *_: True, times: int = 1) -> Armed:
        """Let *fault* happen to the next requests that are meant; of several faults the first told comes first."""
        armed = Armed(fault, when, times)
        with self._lock:
            self._armed.append(armed)
        return armed

    def clear(self) -> None:
        """Forget the faults that have not happened, and let replies be fresh."""
        with self._lock:
            self._armed.clear()
            self._frozen = None
            self._ice.clear()

    def freeze(self, when: When, *, stuck: bool = False) -> None:
        """Let each request that is meant be answered, from its second time on, as it was the first time: by a cache
        that knows nothing of what has happened since. :meth:`clear` ends it.

        :param stuck: all of them are answered as the first one was, whatever they ask: pages in a circle.
        """
        with self._lock:
            self._frozen, self._stuck = when, stuck
            self._ice.clear()

    def count(self, when: When) -> int:
        """Return how many requests were such."""
        return sum(when(*request) for request in list(self.requests))

    # --- what its threads do --------------------------------------------------------------------------------------

    def take(self, request: Request) -> tuple[Armed | None, bool]:
        """Note a request; return the fault that happens to it, and whether its reply is frozen."""
        with self._lock:
            self.requests.append(request)
            frozen = self._frozen is not None and self._frozen(*request)
            for armed in self._armed:
                if armed.left and armed.when(*request):
                    armed.left -= 1
                    return armed, frozen
        return None, frozen

    def ask(self, request: Request, headers: Headers, frozen: bool) -> Reply:
        """Return what the upstream answers, or has answered before it froze."""
        if not frozen:
            return self._pass_on(request, headers)
        key = Request("", "", b"") if self._stuck else request
        if (kept := self._ice.get(key)) is not None:
            return kept
        reply = self._pass_on(request, headers)
        with self._lock:
            return self._ice.setdefault(key, reply)

    def _pass_on(self, request: Request, headers: Headers) -> Reply:
        upstream = http.client.HTTPConnection(*self.upstream, timeout=_PATIENCE)
        try:
            upstream.connect()
            with self.known(upstream.sock):
                # Host stays as it came: a server may build its links from it, and a signature may cover it
                upstream.putrequest(
                    request.method, self.prefix + request.path, skip_host=True, skip_accept_encoding=True
                )
                for name, value in headers:
                    if name.lower() not in _HOP_BY_HOP:
                        upstream.putheader(name, value)
                if request.body or any(name.lower() == "content-length" for name, _ in headers):
                    upstream.putheader("Content-Length", str(len(request.body)))
                upstream.putheader("Connection", "close")
                upstream.endheaders(request.body or None)
                got = upstream.getresponse()
                body = got.read()
        except (OSError, http.client.HTTPException) as error:
            return Reply(502, "Bad Gateway", (("Content-Type", "text/plain"),), f"upstream: {error}".encode())
        finally:
            upstream.close()
        kept = tuple((name, value) for name, value in got.getheaders() if name.lower() not in _HOP_BY_HOP)
        bodiless = request.method == "HEAD" or got.status in (204, 304)
        if request.method == "HEAD" and got.getheader("content-length"):
            kept += (("Content-Length", str(got.getheader("content-length"))),)
        return Reply(got.status, got.reason, kept, body, bodiless)

    @contextlib.contextmanager
    def known(self, one: socket.socket) -> Iterator[None]:
        """Have a socket closed by :meth:`stop` while the body runs."""
        with self._lock:
            if self._stopped:
                raise ConnectionAbortedError("the proxy has been stopped")
            self._sockets.add(one)
        try:
            yield
        finally:
            with self._lock:
                self._sockets.discard(one)

    def failed(self, error: BaseException) -> None:
        """Keep what went wrong in a thread, for :meth:`stop` to tell."""
        self._problems.append(error)


class _Server(socketserver.ThreadingTCPServer):
    request_queue_size = 128
    allow_reuse_address = True
    # their threads are waited for when the server is closed
    daemon_threads = False

    def __init__(self, proxy: FaultyProxy) -> None:
        self.proxy = proxy
        super().__init__(("127.0.0.1", 0), _Handler)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection, without the polite end that would come before a reset."""
        self.close_request(request)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed."""

    def handle(self) -> None:
        """Serve one connection."""
        proxy = self.server.proxy
        try:
            with proxy.known(self.connection):
                super().handle()
        except OSError:
            pass  # the other side has gone
        except Exception as error:  # noqa: BLE001 - of a test's own function, told when the proxy is stopped
            proxy.failed(error)

    def _serve(self) -> None:
        proxy = self.server.proxy
        request = Request(self.command, self.path, self._body())
        armed, frozen = proxy.take(request)
        reply = None
        if armed is None or armed.fault.forwarded:
            reply = proxy.ask(request, tuple(self.headers.items()), frozen)
        if armed is None:
            assert reply is not None
            self._send(reply.code, reply.reason, reply.headers, None if reply.bodiless else reply.body)
        else:
            self._play(armed, reply)

    def _body(self) -> bytes:
        if "chunked" not in (self.headers.get("Transfer-Encoding") or "").lower():
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline() not in (b"\r\n", b"\n", b""):
            pass  # trailers
        return body

    def _play(self, armed: Armed, reply: Reply | None) -> None:
        fault = armed.fault
        match fault.act:
            case Act.ANSWER | Act.BOMB:
                headers = (("Content-Type", fault.content_type), *fault.headers)
                body = bomb() if fault.act is Act.BOMB else fault.body
                self._send(fault.code, http.client.responses.get(fault.code, "Odd"), headers, body)
                return
            case Act.TRUNCATE:
                assert reply is not None
                half = None if reply.bodiless else reply.body[: len(reply.body) // 2]
                self._send(reply.code, reply.reason, reply.headers, half)
                return
            case Act.DROP:
                pass
            case Act.RESET:
                # a socket that may not linger is reset when it is closed
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            case Act.CUT:
                assert reply is not None
                self._cut(reply)
            case Act.FLOOD:
                self._flood(armed)
            case Act.SILENCE:
                while self.connection.recv(_CHUNK):
                    pass
        self.close_connection = True

    def _send(self, code: int, reason: str, headers: Headers, body: bytes | None) -> None:
        lines = [f"HTTP/1.1 {code} {reason}", *(f"{name}: {value}" for name, value in headers)]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        if self.close_connection:
            lines.append("Connection: close")
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        self.connection.sendall(head if body is None or self.command == "HEAD" else head + body)

    def _cut(self, reply: Reply) -> None:
        if reply.bodiless or not reply.body:
            # a head without its end would pass for a whole one where no body is expected
            self.connection.sendall(b"HTTP/1.1 2")
            return
        lines = [f"HTTP/1.1 {reply.code} {reply.reason}", *(f"{name}: {value}" for name, value in reply.headers)]
        lines.append(f"Content-Length: {len(reply.body)}")
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        self.connection.sendall(head + reply.body[: len(reply.body) // 2])

    def _flood(self, armed: Armed) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {armed.fault.content_type}\r\nTransfer-Encoding: chunked\r\n\r\n"
        self.connection.sendall(head.encode())
        chunk = b"%x\r\n" % _CHUNK + b" " * _CHUNK + b"\r\n"
        for _ in range(HUGE_SIZE // _CHUNK):
            self.connection.sendall(chunk)
        self.connection.sendall(b"0\r\n\r\n")
        armed.swallowed = True
