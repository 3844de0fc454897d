"""The emulated front-end over HTTP: XML-RPC at /RPC2, as oned speaks it on port 2633."""

from __future__ import annotations

import contextlib
import socket
import threading
import xmlrpc.client
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from xml.parsers.expat import ExpatError

from tests.lab.opennebula.calls import call
from tests.lab.opennebula.cloud import Cloud

PARSE_ERROR = -503


class Emulator:
    """Serves a cloud on a port of loopback, a free one if none is named."""

    def __init__(self, cloud: Cloud, port: int = 0) -> None:
        self.cloud = cloud
        #: (method, arguments without the session) of all calls, in the order in which they came
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self._server = _Server(self, port)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="opennebula", daemon=True)

    @property
    def url(self) -> str:
        """Where it listens; the endpoint is this and ``/RPC2``."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Emulator:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.hang_up()
        self._server.server_close()

    def answer(self, body: bytes) -> str:
        """Return the reply to a request."""
        try:
            arguments, method = xmlrpc.client.loads(body)
        except (ExpatError, ValueError, xmlrpc.client.Error):
            return xmlrpc.client.dumps(xmlrpc.client.Fault(PARSE_ERROR, "Call is not valid XML"))
        self.calls.append((str(method), arguments[1:]))
        try:
            answered = call(self.cloud, str(method), arguments)
        except xmlrpc.client.Fault as fault:
            return xmlrpc.client.dumps(fault)
        return xmlrpc.client.dumps((answered,), methodresponse=True, encoding="utf-8")


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    # their threads are waited for when the server is closed
    daemon_threads = False

    def __init__(self, emulator: Emulator, port: int) -> None:
        self.emulator = emulator
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Take a connection, and remember it."""
        connection, address = super().get_request()
        self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        """End a connection."""
        self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End the connections that clients keep open."""
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server
    timeout = 30

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Return the Date header by the cloud's clock."""
        return super().date_time_string(self.server.emulator.cloud.now() if timestamp is None else timestamp)

    def do_POST(self) -> None:
        """Answer one call."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path != "/RPC2":
            self._send(404, "text/html", b"<html><body>URI not found</body></html>")
        else:
            # which charset that is, XML says by itself
            self._send(200, "text/xml", self.server.emulator.answer(body).encode())

    def _send(self, code: int, content_type: str, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
