"""The proxy that plays faults passes everything on as it came, and plays exactly the fault that it was told."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from clues.testing.wire import FaultyProxy, Request, WireFault


class Upstream(ThreadingHTTPServer):
    """Answers with what it was sent, and counts."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, reply: bytes | None = None) -> None:
        self.reply = reply
        self.served: list[str] = []
        super().__init__(("127.0.0.1", 0), Echo)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def end(self) -> None:
        self.shutdown()
        self.server_close()


class Echo(BaseHTTPRequestHandler):
    server: Upstream

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def answer(self) -> None:
        self.server.served.append(self.command)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        told = {
            "method": self.command,
            "path": self.path,
            "body": body.decode("latin-1"),
            "headers": [[name.lower(), value] for name, value in self.headers.items()],
        }
        if self.path == "/nothing":
            self.send_response(204)
            self.end_headers()
            return
        content = self.server.reply or json.dumps(told).encode()
        self.send_response(207)
        self.send_header("X-Twice", "one")
        self.send_header("X-Twice", "two")
        self.send_header("Content-Type", "application/json")
        if self.path != "/unmeasured":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    server = Upstream()
    yield server
    server.end()


@pytest.fixture
def wire(upstream: Upstream) -> Iterator[FaultyProxy]:
    with FaultyProxy(upstream.url) as proxy:
        yield proxy
    assert [one.name for one in threading.enumerate() if one.name == "wire"] == []


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


def raw(wire: FaultyProxy, request: bytes) -> bytes:
    """Send bytes, and return all that comes back until the connection ends."""
    with socket.create_connection(("127.0.0.1", int(urlsplit(wire.url).port or 0)), timeout=10) as connection:
        connection.sendall(request)
        got = b""
        while more := connection.recv(65536):
            got += more
        return got


# --- without a fault -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"])
def test_any_method_with_its_path_headers_and_body_arrives_as_it_was_sent(
    wire: FaultyProxy, session: requests.Session, method: str
) -> None:
    body = bytes(range(256)) * 4
    path = "/v2.1/servers/detail?tags=a%20b&x=%2F&Action=Describe"
    reply = session.request(method, wire.url + path, data=body, headers={"X-Auth-Token": "abc", "X-Odd": "ü".encode()})
    told = reply.json()
    assert (told["method"], told["path"], told["body"]) == (method, path, body.decode("latin-1"))
    headers = dict(told["headers"])
    assert headers["x-auth-token"] == "abc"
    assert headers["host"] == wire.url.removeprefix("http://")
    assert wire.requests == [Request(method, path, body)]
    assert wire.requests == [(method, path, body)]


def test_a_reply_comes_back_with_its_status_and_every_header(wire: FaultyProxy, session: requests.Session) -> None:
    reply = session.get(wire.url)
    assert reply.status_code == 207
    assert reply.raw.headers.getlist("X-Twice") == ["one", "two"]
    assert session.get(wire.url + "/unmeasured").json()["path"] == "/unmeasured"


def test_replies_without_a_body_do_not_stall_a_kept_connection(wire: FaultyProxy, session: requests.Session) -> None:
    assert session.delete(wire.url + "/nothing").status_code == 204
    assert session.head(wire.url).status_code == 207
    assert session.get(wire.url).json()["method"] == "GET"


def test_a_connection_is_kept_where_the_client_wants_it_and_closed_where_not(wire: FaultyProxy) -> None:
    address = wire.url.removeprefix("http://")
    kept = http.client.HTTPConnection(address, timeout=10)
    kept.request("GET", "/1")
    kept.getresponse().read()
    first = kept.sock
    kept.request("GET", "/2")
    kept.getresponse().read()
    assert first is not None
    assert kept.sock is first
    kept.close()
    assert b" 207 " in raw(wire, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert b" 207 " in raw(wire, b"GET / HTTP/1.0\r\n\r\n")


def test_a_body_sent_in_chunks_arrives_whole(wire: FaultyProxy, session: requests.Session) -> None:
    assert session.post(wire.url, data=iter([b"one ", b"two ", b"three"])).json()["body"] == "one two three"


def test_large_bodies_pass_both_ways(session: requests.Session) -> None:
    server = Upstream(b"x" * 8_000_000)
    try:
        with FaultyProxy(server.url) as wire:
            assert len(session.post(wire.url, data=b"y" * 8_000_000).content) == 8_000_000
            assert len(wire.requests[0].body) == 8_000_000
    finally:
        server.end()


def test_many_clients_at_once_are_served(wire: FaultyProxy) -> None:
    with ThreadPoolExecutor(24) as threads:
        told = list(threads.map(lambda number: requests.get(f"{wire.url}/{number}", timeout=10).json(), range(96)))
    assert [one["path"] for one in told] == [f"/{number}" for number in range(96)]


def test_an_upstream_below_a_path_is_asked_there(upstream: Upstream, session: requests.Session) -> None:
    with FaultyProxy(upstream.url + "/below/") as wire:
        assert session.get(wire.url + "/a").json()["path"] == "/below/a"


def test_an_upstream_that_is_down_is_a_bad_gateway(session: requests.Session) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    with FaultyProxy(url) as wire:
        assert session.get(wire.url).status_code == 502


def test_stopping_ends_connections_that_are_open(upstream: Upstream) -> None:
    wire = FaultyProxy(upstream.url)
    wire.start()
    address = wire.url.removeprefix("http://")
    idle = http.client.HTTPConnection(address, timeout=10)
    idle.request("GET", "/")
    idle.getresponse().read()
    wire.next(WireFault.SILENT)
    silent = http.client.HTTPConnection(address, timeout=10)
    silent.request("GET", "/")
    wire.stop()
    with pytest.raises(ConnectionError):
        silent.getresponse()
    silent.close()
    idle.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(address.split(":")[1])), timeout=10)


def test_one_that_was_never_started_can_be_stopped(upstream: Upstream) -> None:
    FaultyProxy(upstream.url).stop()


# --- faults ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (WireFault.LOST_REPLY, http.client.RemoteDisconnected),
        (WireFault.RESET, ConnectionResetError),
    ],
    ids=str,
)
def test_a_connection_is_dropped_after_the_effect_or_reset_before_it(
    wire: FaultyProxy, upstream: Upstream, fault: WireFault, error: type[Exception]
) -> None:
    armed = wire.next(fault)
    client = http.client.HTTPConnection(wire.url.removeprefix("http://"), timeout=10)
    client.request("POST", "/", b"body")
    with pytest.raises(error):
        client.getresponse()
    client.close()
    assert armed.left == 0
    assert upstream.served == (["POST"] if fault.forwarded else [])
    assert wire.requests == [("POST", "/", b"body")]


def test_a_body_is_cut_in_its_middle(wire: FaultyProxy, upstream: Upstream, session: requests.Session) -> None:
    wire.next(WireFault.CUT_BODY)
    reply = session.get(wire.url, stream=True)
    assert reply.status_code == 207
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        reply.content  # noqa: B018 - reads it
    assert upstream.served == ["GET"]


def test_a_reply_without_a_body_is_cut_in_its_head(wire: FaultyProxy, session: requests.Session) -> None:
    wire.next(WireFault.CUT_BODY)
    with pytest.raises(requests.exceptions.ConnectionError):
        session.delete(wire.url + "/nothing")


def test_a_truncated_reply_looks_whole(wire: FaultyProxy, session: requests.Session) -> None:
    whole = session.get(wire.url).content
    wire.next(WireFault.TRUNCATED)
    reply = session.get(wire.url)
    assert reply.status_code == 207
    assert reply.content == whole[: len(whole) // 2]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (WireFault.TOO_MANY, 429),
        (WireFault.BAD_GATEWAY, 502),
        (WireFault.SERVER_ERROR, 500),
        (WireFault.UNAVAILABLE, 503),
        (WireFault.UNAUTHORIZED, 401),
        (WireFault.GARBAGE, 200),
        (WireFault.ODD_XML, 200),
        (WireFault.EMPTY, 200),
        (WireFault.PORTAL, 200),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_a_reply_is_replaced(
    wire: FaultyProxy, upstream: Upstream, session: requests.Session, fault: WireFault, code: int
) -> None:
    wire.next(fault)
    reply = session.post(wire.url, data=b"x")
    assert reply.status_code == code
    assert reply.content == fault.body
    assert reply.headers["Content-Type"] == fault.content_type
    assert fault.says in reply.text
    assert upstream.served == []
    assert session.get(wire.url).status_code == 207


def test_a_status_of_ones_own_may_come_after_the_effect(
    wire: FaultyProxy, upstream: Upstream, session: requests.Session
) -> None:
    wire.next(WireFault.status(418, "<t/>", "text/xml", headers={"X-A": "b"}, forwarded=True))
    reply = session.post(wire.url)
    assert (reply.status_code, reply.text, reply.headers["X-A"]) == (418, "<t/>", "b")
    assert upstream.served == ["POST"]


def test_retry_after_is_a_header_like_others(wire: FaultyProxy, session: requests.Session) -> None:
    wire.next(WireFault.TOO_MANY.with_headers(retry_after="soon"))
    assert session.get(wire.url).headers["Retry-After"] == "soon"
    wire.next(WireFault.TOO_MANY)
    assert "Retry-After" not in session.get(wire.url).headers


def test_a_flood_ends_when_the_client_has_had_enough(wire: FaultyProxy, session: requests.Session) -> None:
    armed = wire.next(WireFault.HUGE, times=2)
    reply = session.get(wire.url, stream=True)
    next(reply.iter_content(65536))
    reply.close()
    assert not armed.swallowed
    reply = session.get(wire.url, stream=True)
    assert sum(len(chunk) for chunk in reply.iter_content(2**20)) > 64 * 2**20
    deadline = time.monotonic() + 10
    while not armed.swallowed:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_bomb_is_small_until_it_is_opened(wire: FaultyProxy, session: requests.Session) -> None:
    wire.next(WireFault.BOMB)
    reply = session.get(wire.url, stream=True)
    assert int(reply.headers["Content-Length"]) < 2**20
    assert sum(len(chunk) for chunk in reply.iter_content(2**20)) > 64 * 2**20


def test_faults_wait_for_the_requests_that_are_meant_and_happen_as_often_as_told(
    wire: FaultyProxy, session: requests.Session
) -> None:
    armed = wire.next(WireFault.SERVER_ERROR, lambda method, path, body: path == "/b" and b"yes" in body, times=2)
    wire.next(WireFault.UNAVAILABLE, lambda method, path, body: path == "/b")
    assert session.post(wire.url + "/a", data=b"yes").status_code == 207
    assert session.post(wire.url + "/b", data=b"no").status_code == 503
    assert armed.left == 2
    assert [session.post(wire.url + "/b", data=b"yes").status_code for _ in range(3)] == [500, 500, 207]
    assert wire.count(lambda method, path, body: path == "/b") == 4
    wire.next(WireFault.SERVER_ERROR)
    wire.clear()
    assert session.get(wire.url).status_code == 207


def test_a_frozen_request_is_answered_as_it_was_the_first_time(
    upstream: Upstream, wire: FaultyProxy, session: requests.Session
) -> None:
    wire.freeze(lambda method, path, body: method == "GET")
    first = session.get(wire.url + "/list", headers={"X-N": "1"}).text
    assert session.get(wire.url + "/list", headers={"X-N": "2"}).text == first
    assert session.post(wire.url + "/list").json()["method"] == "POST"
    assert session.get(wire.url + "/list?page=2").json()["path"] == "/list?page=2"
    assert upstream.served == ["GET", "POST", "GET"]
    wire.clear()
    assert session.get(wire.url + "/list", headers={"X-N": "3"}).text != first
    wire.freeze(lambda method, path, body: method == "GET", stuck=True)
    assert session.get(wire.url + "/list?page=1").text == session.get(wire.url + "/list?page=2").text


def test_an_error_of_the_test_itself_is_told_at_the_end(upstream: Upstream) -> None:
    wire = FaultyProxy(upstream.url)
    wire.start()
    wire.next(WireFault.RESET, lambda method, path, body: bool(1 / 0))
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.get(wire.url, timeout=10)
    with pytest.raises(ZeroDivisionError):
        wire.stop()
