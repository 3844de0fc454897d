"""A reply is read within bounds of size and time, redirects are not followed, and nothing is added to a request."""

from __future__ import annotations

import datetime as dt
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import libcloud.common.base
import libcloud.security
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from libcloud.common.exceptions import RateLimitReachedError

from clues.errors import AuthFailed, OutcomeUnknown
from clues.testing.wire import FaultyProxy, WireFault
from connectors.common import http
from connectors.common.drivers import Drivers, bound
from connectors.common.failures import Failures


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        self.seen: list[dict[str, str]] = []
        self.ports: set[int] = set()
        self.reply: Callable[[Handler], None] = lambda handler: handler.say(b"hello")
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _serve(self) -> None:
        self.server.ports.add(self.client_address[1])
        self.server.seen.append({name.lower(): value for name, value in self.headers.items()})
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.reply(self)

    do_GET = do_POST = _serve  # noqa: N815 - the base class names them so

    def say(self, body: bytes, code: int = 200, length: int | None = None, **headers: str) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.shutdown()
    one.server_close()


@pytest.fixture
def connection(server: Server) -> Iterator[Any]:
    one: Any = libcloud.common.base.Connection(url=server.url)  # type: ignore[no-untyped-call]
    bound(one, 5)
    yield one
    if one.connection is not None:
        one.connection.session.close()


def test_a_reply_is_read_and_its_connection_kept(server: Server, connection: Any) -> None:
    assert connection.request("/").object == "hello"
    assert connection.request("/").object == "hello"
    assert len(server.ports) == 1


def test_a_reply_that_is_too_large_is_not_read_to_its_end(
    server: Server, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "LARGEST_REPLY", 2**20)
    server.reply = lambda handler: handler.say(b"x" * 2**20)
    assert len(connection.request("/").object) == 2**20
    for body in (b"x" * (2**20 + 1), b"x" * 2**24):
        server.reply = lambda handler, body=body: handler.say(body)  # type: ignore[misc]
        with pytest.raises(http.ReplyTooLarge):
            connection.request("/")


@pytest.mark.parametrize("fault", [WireFault.HUGE, WireFault.BOMB], ids=lambda fault: str(fault.name))
def test_a_flood_and_a_bomb_are_cut_off(server: Server, fault: WireFault) -> None:
    with FaultyProxy(server.url) as wire:
        connection: Any = libcloud.common.base.Connection(url=wire.url)  # type: ignore[no-untyped-call]
        bound(connection, 5)
        armed = wire.next(fault)
        with pytest.raises(http.ReplyTooLarge):
            connection.request("/")
        assert armed.left == 0
        assert not armed.swallowed
        assert connection.request("/").object == "hello"
        connection.connection.session.close()


@pytest.mark.parametrize("chunked", [False, True])
def test_a_reply_that_drips_is_given_up(
    server: Server, connection: Any, monkeypatch: pytest.MonkeyPatch, chunked: bool
) -> None:
    monkeypatch.setattr(http, "LONGEST_REPLY", 0.3)
    stop = threading.Event()

    def drip(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header(*(("Transfer-Encoding", "chunked") if chunked else ("Content-Length", "60000")))
        handler.end_headers()
        if chunked:
            handler.wfile.write(b"EA60\r\n")
        for _ in range(1000):  # each byte comes in good time
            if stop.wait(0.02):
                return
            try:
                handler.wfile.write(b" ")
            except OSError:
                return

    server.reply = drip
    try:
        with pytest.raises(requests.exceptions.ReadTimeout, match=r"longer than 0\.3 s"):
            connection.request("/")
    finally:
        stop.set()


def test_a_reply_that_is_cut_short_is_an_error(server: Server, connection: Any) -> None:
    def cut(handler: Handler) -> None:
        handler.say(b"half", length=8)
        handler.close_connection = True

    server.reply = cut
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        connection.request("/")


def test_a_silent_server_is_waited_for_as_long_as_told(server: Server, connection: Any) -> None:
    bound(connection, 0.2)
    go_on = threading.Event()
    server.reply = lambda handler: (go_on.wait(10), handler.say(b""))[1]  # type: ignore[func-returns-value]
    try:
        with pytest.raises(requests.exceptions.ReadTimeout):
            connection.request("/")
    finally:
        go_on.set()


@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_a_redirect_is_refused_and_no_credentials_go_elsewhere(server: Server, connection: Any, code: int) -> None:
    elsewhere = Server()
    try:
        server.reply = lambda handler: handler.say(b"", code, Location=elsewhere.url)
        with pytest.raises(requests.exceptions.TooManyRedirects, match="endpoint"):
            connection.request("/", headers={"Authorization": "secret"})
        assert elsewhere.seen == []
    finally:
        elsewhere.shutdown()
        elsewhere.server_close()


def test_a_netrc_does_not_replace_the_connectors_own_login(
    server: Server, connection: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login admin password theirs\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    connection.request("/", headers={"Authorization": "ours"})
    assert server.seen[-1]["authorization"] == "ours"


@pytest.mark.parametrize(
    ("told", "read"), [("7", "7"), ("soon", None), ("\u00b2", None), ("Fri, 31 Dec 1999 23:59:59 GMT", "0")]
)
def test_retry_after_reaches_libcloud_as_a_number_or_not_at_all(
    server: Server, connection: Any, told: str, read: str | None
) -> None:
    server.reply = lambda handler: handler.say(b"slow down", 429, Retry_After=told)
    with pytest.raises(RateLimitReachedError) as caught:
        connection.request("/")
    assert caught.value.headers.get("retry-after") == read


def test_text_is_utf8_where_its_type_does_not_say(server: Server, connection: Any) -> None:
    server.reply = lambda handler: handler.say("gefüllt".encode(), Content_Type="text/xml")
    assert connection.request("/").object == "gefüllt"
    server.reply = lambda handler: handler.say("gefüllt".encode("latin-1"), Content_Type="text/xml; charset=latin-1")
    assert connection.request("/").object == "gefüllt"


def test_a_call_is_sent_once_whatever_the_environment_says(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIBCLOUD_RETRY_FAILED_HTTP_REQUESTS", "1")
    monkeypatch.setattr(libcloud.common.base, "RETRY_FAILED_HTTP_REQUESTS", True)

    def make() -> Any:
        one: Any = libcloud.common.base.Connection(url=server.url)  # type: ignore[no-untyped-call]
        bound(one, 5)
        return one

    def drop(handler: Handler) -> None:
        handler.close_connection = True

    server.reply = drop
    connection = Drivers(make).get()
    with pytest.raises(requests.exceptions.ConnectionError):
        connection.request("/", method="POST", data="x")
    assert len(server.seen) == 1


# --- TLS -------------------------------------------------------------------------------------------------------------


class DyingTls:
    """A TLS server that reads a request, and then says something that is no TLS any more."""

    def __init__(self, folder: Path) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "dying")])
        now = dt.datetime.now(dt.UTC)
        made = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + dt.timedelta(days=1))
        made = made.add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.certificate, both = folder / "cert.pem", folder / "both.pem"
        pem = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        self.certificate.write_bytes(pem)
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        both.write_bytes(key.private_bytes(*form) + pem)
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.load_cert_chain(both)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.got = b""
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        with self.listener:
            plain, _ = self.listener.accept()
            try:
                with self.context.wrap_socket(plain, server_side=True) as connection:
                    self.got = connection.recv(65536)
                    os.write(connection.fileno(), b"out of memory" * 10)
            except ssl.SSLError:
                pass  # the client did not trust it


def test_a_fault_of_tls_after_a_launch_leaves_its_outcome_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = DyingTls(tmp_path)
    monkeypatch.setattr(libcloud.security, "CA_CERTS_PATH", str(server.certificate))
    error = _launch_at(server)
    assert server.got.startswith(b"POST")
    assert type(error) is OutcomeUnknown, error


def test_a_certificate_that_nobody_vouches_for_is_for_a_human_and_nothing_was_sent(tmp_path: Path) -> None:
    server = DyingTls(tmp_path)
    error = _launch_at(server)
    assert server.got == b""
    assert type(error) is AuthFailed, error


def _launch_at(server: DyingTls) -> object:
    port = server.listener.getsockname()[1]
    connection: Any = libcloud.common.base.Connection(url=f"https://127.0.0.1:{port}")  # type: ignore[no-untyped-call]
    bound(connection, 5)
    with pytest.raises(requests.exceptions.RequestException) as caught:
        connection.request("/", method="POST", data="x")
    server.thread.join(10)
    return Failures([]).classify(caught.value, "launch", effect=True)
