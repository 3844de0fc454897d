"""The enrolment front over real TLS, a real signer behind it: what it answers, refuses, and withstands."""

from __future__ import annotations

import contextlib
import http.client
import logging
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from clues.bootstrap.enrolment import EnrolmentService
from clues.bootstrap.limits import Limits
from clues.bootstrap.shown import RENEWAL
from clues.bootstrap.tickets import Tickets
from clues.bootstrap.tls import client_context
from clues.errors import AuthFailed, ConfigError, LrmsError, Transient
from clues.ports import Provision
from clues.signer.leaves import BACKDATED
from tests.unit.bootstrap.lab import CANARY, KEY, Authorities, FrontEnd, front_end, identity_of, make_request

PRIVATE, REQUEST = make_request()


def body_for(request: str) -> bytes:
    return f"csr={request}\nCPUS=8\nMEMORY_MIB=30000\nGPUS=a10:1,:2\nCLOCK={int(time.time())}\n".encode()


BODY = body_for(REQUEST)
SHORT = Limits(
    handshake=timedelta(seconds=1.5),
    request=timedelta(seconds=1.5),
    desk=timedelta(seconds=0.5),
    answer=timedelta(seconds=1.5),
    connections=6,
    connections_per_address=6,
)


@pytest.fixture
def front(tmp_path: Path) -> Iterator[FrontEnd]:
    with front_end(tmp_path / "state") as running:
        yield running


@pytest.fixture
def hurried(tmp_path: Path) -> Iterator[FrontEnd]:
    """A service with short deadlines and few seats."""
    with front_end(tmp_path / "state", SHORT) as running:
        yield running


def post(
    front: FrontEnd,
    path: str = "/v1/enrol",
    body: bytes = BODY,
    *,
    ticket: str | None = None,
    method: str = "POST",
    headers: dict[str, str] | None = None,
) -> tuple[int, bytes, http.client.HTTPMessage]:
    connection = http.client.HTTPSConnection(
        "127.0.0.1", front.service.port, timeout=20, context=client_context(front.ca_pem)
    )
    with contextlib.closing(connection):
        authorization = f"Ticket {front.tickets.issue(KEY) if ticket is None else ticket}"
        connection.request(method, path, body, {"Authorization": authorization, **(headers or {})})
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers


def raw(front: FrontEnd, data: bytes, *, timeout: float = 10) -> bytes:
    """Send bytes over TLS and return all that comes back until the service closes."""
    with (
        socket.create_connection(("127.0.0.1", front.service.port), timeout=timeout) as plain,
        client_context(front.ca_pem).wrap_socket(plain, server_hostname="127.0.0.1") as secure,
    ):
        answer = b""
        with contextlib.suppress(ConnectionError, ssl.SSLEOFError):  # closed while we were still sending
            secure.sendall(data)
            while part := secure.recv(65536):
                answer += part
        return answer


def eventually(condition: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


# --- what it answers -----------------------------------------------------------------------------------------------


def test_a_good_ticket_is_answered_with_what_the_desk_gives(front: FrontEnd) -> None:
    status, body, headers = post(front)
    assert status == 200
    assert body.startswith(b"clues 1\nfile 0400 /etc/munge/munge.key ")
    assert headers["Cache-Control"] == "no-store"
    ((identity, address, facts),) = front.desk.redeemed
    assert (identity, address, facts.cpus, facts.memory_mib) == (identity_of(REQUEST), "127.0.0.1", 8, 30000)


def test_the_same_key_is_answered_again_and_another_is_not(front: FrontEnd) -> None:
    first, second = (post(front)[1].splitlines() for _ in range(2))
    assert [a for a, b in zip(first, second, strict=True) if a != b and not a.startswith(b"set TIME")] == []
    status, body, _ = post(front, body=body_for(make_request()[1]))
    assert status == 403
    assert body == b"The ticket is not good: unknown, spent or late, or not from this address.\n"


@pytest.mark.parametrize("ticket", ["another-key", "unknown", "", "c0ffee-1.", "é", "x" * 5000])
def test_a_ticket_that_is_not_ours_gets_nothing(front: FrontEnd, tmp_path: Path, ticket: str) -> None:
    if ticket == "another-key":
        ticket = Tickets.open(tmp_path / "another").issue(KEY)
    status, body, _ = post(front, ticket=ticket)
    assert status in (400, 403)
    assert b"munge" not in body
    assert front.desk.redeemed == []


def test_reports_reach_the_desk_cleaned(front: FrontEnd) -> None:
    words = "failed\nstep munge:\n\x1b[2J\x07evil \u202etext\n".encode()
    assert post(front, "/v1/report", words)[0] == 200
    assert post(front, "/v1/report", b"started\n")[0] == 200
    assert front.desk.reports == [("failed", "step munge:\n?[2J?evil ?text"), ("started", "")]


@pytest.mark.parametrize(
    ("trouble", "status"),
    [(Transient("busy"), 503), (AuthFailed("no"), 403), (LrmsError("x"), 503), (RuntimeError("x"), 503)],
)
def test_a_desks_error_becomes_a_status_without_details(front: FrontEnd, trouble: Exception, status: int) -> None:
    front.desk.troubles.append(trouble)
    answer = post(front)
    assert answer[0] == status
    assert (answer[2]["Retry-After"] is not None) == (status >= 500)
    assert str(trouble).encode() not in answer[1].split()
    assert post(front)[0] == 200


# --- what it refuses -----------------------------------------------------------------------------------------------


def test_a_client_that_trusts_another_authority_does_not_speak(front: FrontEnd, tmp_path: Path) -> None:
    other = Authorities.open(tmp_path / "another")
    with (
        socket.create_connection(("127.0.0.1", front.service.port), timeout=5) as plain,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        client_context(other.ca_pem).wrap_socket(plain, server_hostname="127.0.0.1")


def test_a_client_that_expects_another_name_does_not_speak(front: FrontEnd) -> None:
    with (
        socket.create_connection(("127.0.0.1", front.service.port), timeout=5) as plain,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        client_context(front.ca_pem).wrap_socket(plain, server_hostname="head.example.org")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tls_1_1_is_refused(front: FrontEnd) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=front.ca_pem)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", front.service.port), timeout=5) as plain,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        context.wrap_socket(plain, server_hostname="127.0.0.1")


def test_plain_http_is_refused_without_an_answer(front: FrontEnd) -> None:
    with socket.create_connection(("127.0.0.1", front.service.port), timeout=5) as plain:
        plain.sendall(b"POST /v1/enrol HTTP/1.1\r\n\r\n")
        answer = b""
        with contextlib.suppress(ConnectionError):
            while part := plain.recv(1000):
                answer += part
    assert b"HTTP" not in answer
    assert front.desk.redeemed == []
    assert post(front)[0] == 200


REQUESTS = {
    "GET": (b"GET /v1/enrol HTTP/1.1\r\n\r\n", b"405"),
    "PUT": (b"PUT /v1/enrol HTTP/1.1\r\nContent-Length: 0\r\n\r\n", b"405"),
    "GET with a body": (b"GET /v1/settings HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", b"400"),
    "settings by POST": (b"POST /v1/settings HTTP/1.1\r\nContent-Length: 0\r\n\r\n", b"405"),
    "settings without a certificate": (b"GET /v1/settings HTTP/1.1\r\n\r\n", b"403"),
    "a renewal without a certificate": (b"POST /v1/renew HTTP/1.1\r\nContent-Length: 4\r\n\r\ncsr=", b"403"),
    "a strange query": (b"GET /v1/settings?after=../x HTTP/1.1\r\n\r\n", b"400"),
    "another path": (b"POST /v1/else HTTP/1.1\r\nContent-Length: 0\r\n\r\n", b"404"),
    "no length": (b"POST /v1/enrol HTTP/1.1\r\n\r\n", b"411"),
    "chunked": (b"POST /v1/enrol HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"411"),
    "two lengths": (b"POST /v1/enrol HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", b"400"),
    "a negative length": (b"POST /v1/enrol HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"411"),
    "1 MB of body": (b"POST /v1/enrol HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 10**6, b"413"),
    "1 MB of head": (b"POST /v1/enrol HTTP/1.1\r\n" + b"X: y\r\n" * 170000, b"400"),
    "noise": (bytes(range(256)) * 4 + b"\r\n\r\n", b"400"),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"400"),
    "no ticket": (b"POST /v1/enrol HTTP/1.1\r\nContent-Length: 0\r\n\r\n", b"400"),
}


@pytest.mark.parametrize("what", REQUESTS)
def test_what_is_not_a_request_of_a_worker_is_refused(front: FrontEnd, what: str) -> None:
    data, status = REQUESTS[what]
    answer = raw(front, data)
    # A client that is still sending when the service closes may lose the answer; it is refused all the same.
    assert answer.startswith(b"HTTP/1.1 " + status) or (not answer and len(data) > 10**5)
    assert front.desk.redeemed == []
    assert post(front)[0] == 200


@pytest.mark.parametrize("body", [b"", b"csr=!\n", BODY + b"X=1\n", BODY + BODY, BODY.replace(b"CPUS=8", b"CPUS=8.5")])
def test_a_malformed_body_is_a_400_that_says_why(front: FrontEnd, body: bytes) -> None:
    status, sentence, _ = post(front, body=body)
    assert status == 400
    assert sentence.startswith(b"The request is malformed: ")
    assert front.desk.redeemed == []


def test_an_address_with_too_many_refused_tickets_of_a_claim_has_to_wait(front: FrontEnd) -> None:
    for _ in range(Limits().failures):
        assert post(front, ticket=f"{KEY}.wrong")[0] == 403
    asked = front.desk.calls
    status, _, headers = post(front)
    assert status == 429
    assert 0 < int(headers["Retry-After"]) <= 61
    assert (front.desk.calls, front.desk.redeemed) == (asked, [])


def test_a_guessing_neighbour_behind_the_same_address_does_not_keep_an_honest_vm_out(front: FrontEnd) -> None:
    for _ in range(Limits().failures):
        assert post(front, ticket="unknown.ticket")[0] == 403
    assert post(front, ticket="unknown.ticket")[0] == 429
    assert post(front)[0] == 200


# --- what cannot hold it up ----------------------------------------------------------------------------------------


def drip(front: FrontEnd, stop: threading.Event, ended: list[float]) -> None:
    """Send a head byte by byte, for as long as the service lets us."""
    began = time.monotonic()
    with contextlib.suppress(OSError):
        plain = socket.create_connection(("127.0.0.1", front.service.port), timeout=5)
        with client_context(front.ca_pem).wrap_socket(plain, server_hostname="127.0.0.1") as secure:
            secure.sendall(b"POST /v1/enrol HTTP/1.1\r\nX: ")
            while not stop.wait(0.05):
                secure.sendall(b"y")
    ended.append(time.monotonic() - began)


def test_slow_clients_are_dropped_and_others_served(hurried: FrontEnd) -> None:
    stop, ended = threading.Event(), list[float]()
    clients = [threading.Thread(target=drip, args=(hurried, stop, ended)) for _ in range(10)]
    try:
        for client in clients:
            client.start()
        assert eventually(lambda: len(ended) == len(clients)), "a dripping client was never dropped"
    finally:
        stop.set()
        for client in clients:
            client.join()
    assert post(hurried)[0] == 200


def test_silent_connections_are_dropped_before_the_handshake_too(hurried: FrontEnd) -> None:
    silent = [socket.create_connection(("127.0.0.1", hurried.service.port), timeout=10) for _ in range(10)]
    try:
        for client in silent:
            with contextlib.suppress(ConnectionError):
                assert client.recv(1) == b""
    finally:
        for client in silent:
            client.close()
    assert post(hurried)[0] == 200


def test_no_thread_or_descriptor_is_left_by_bad_clients(hurried: FrontEnd) -> None:
    post(hurried)

    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # counted, not walked

    threads, files = threading.active_count(), descriptors()
    for _ in range(30):
        with socket.create_connection(("127.0.0.1", hurried.service.port)) as plain:
            plain.sendall(b"\x16\x03\x01garbage")
    assert eventually(lambda: descriptors() <= files)
    assert threading.active_count() <= threads


def test_one_address_cannot_take_every_seat(tmp_path: Path) -> None:
    limits = Limits(connections=8, connections_per_address=2)
    with front_end(tmp_path / "state", limits) as front, contextlib.ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(socket.create_connection(("127.0.0.1", front.service.port)))
        third = stack.enter_context(socket.create_connection(("127.0.0.1", front.service.port), timeout=5))
        with contextlib.suppress(ConnectionError):
            assert third.recv(1) == b""  # closed at once, long before a handshake's deadline
        address = ("127.0.0.2", 0)
        plain = socket.create_connection(("127.0.0.1", front.service.port), timeout=5, source_address=address)
        client_context(front.ca_pem).wrap_socket(plain, server_hostname="127.0.0.1").close()


def test_a_desk_that_hangs_is_a_503_and_the_service_goes_on(hurried: FrontEnd) -> None:
    hurried.desk.awake.clear()
    assert post(hurried)[0] == 503
    hurried.desk.awake.set()
    assert post(hurried)[0] == 200


def test_tickets_of_no_live_claim_wait_for_each_other_and_for_nobody_else(front: FrontEnd) -> None:
    front.desk.patient.clear()
    strangers = [
        threading.Thread(target=post, args=(front,), kwargs={"ticket": f"unknown-{number}.x"}) for number in range(12)
    ]
    for stranger in strangers:
        stranger.start()
    assert eventually(lambda: front.desk.calls >= 1)
    time.sleep(0.5)
    began = time.monotonic()
    assert post(front)[0] == 200
    assert time.monotonic() - began < 3
    assert front.desk.calls == 2
    front.desk.patient.set()
    for stranger in strangers:
        stranger.join()


def test_stop_ends_the_thread_and_frees_the_port(tmp_path: Path) -> None:
    with front_end(tmp_path / "state") as front:
        port = front.service.port
        with socket.create_connection(("127.0.0.1", port)):
            front.service.stop()
        front.service.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "enrolment"]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_an_address_that_is_taken_is_told(front: FrontEnd, tmp_path: Path) -> None:
    service = front.service
    second = EnrolmentService(service._signer, service._shown, service._board, ("127.0.0.1", service.port))
    with pytest.raises(ConfigError, match=rf"cannot listen on 127.0.0.1 port {front.service.port}"):
        second.start()
    second.stop()


# --- secrets and certificates --------------------------------------------------------------------------------------


def test_nothing_secret_is_ever_logged(front: FrontEnd, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    ticket = front.tickets.issue(KEY)
    post(front)
    post(front, body=body_for(make_request()[1]))
    front.desk.troubles = [
        RuntimeError(f"while handing {CANARY!r} to {ticket}"),
        AuthFailed(f"not {ticket}, request {REQUEST}"),
    ]
    post(front)
    post(front)
    post(front, "/v1/report", b"failed\n" + CANARY)
    post(front, ticket=ticket[:-4] + "AAAA")
    raw(front, f"POST /v1/enrol HTTP/1.1\r\nAuthorization: Ticket {ticket}\r\n\r\n".encode())
    told = "\n".join(str(logging.Formatter().format(record)) for record in caplog.records)
    assert KEY in told  # it does say who enrolled
    assert "redeem failed: RuntimeError" in told
    for secret in (ticket.rpartition(".")[2], REQUEST, CANARY.decode(), "Q0FOQVJZ"):
        assert secret not in told


def test_an_answer_that_a_worker_would_refuse_is_not_sent(front: FrontEnd) -> None:
    front.desk.secrets = Provision((("/etc/passwd", 0o644, CANARY),))
    status, body, _ = post(front)
    assert status == 500
    assert b"CANARY" not in body


def shown_by(front: FrontEnd) -> bytes:
    with (
        socket.create_connection(("127.0.0.1", front.service.port), timeout=5) as plain,
        client_context(front.ca_pem).wrap_socket(plain, server_hostname="127.0.0.1") as secure,
    ):
        return secure.getpeercert(binary_form=True) or b""


def test_a_new_certificate_is_shown_while_the_service_runs(front: FrontEnd, monkeypatch: pytest.MonkeyPatch) -> None:
    first = shown_by(front)
    assert shown_by(front) == first
    late = datetime.now(UTC) - BACKDATED + timedelta(days=30) * RENEWAL + timedelta(minutes=1)
    monkeypatch.setattr(front.service._shown, "_now", lambda: late)
    assert eventually(lambda: shown_by(front) != first)


def test_its_key_is_on_no_disk(front: FrontEnd) -> None:
    kept = {path for path in front.folder.rglob("*") if path.is_file() and b"PRIVATE" in path.read_bytes()}
    assert {path.parent.name for path in kept} == {"signer"}  # the authority's own


def test_with_the_signer_away_vms_are_told_to_come_again_and_get_in_when_it_is_back(front: FrontEnd) -> None:
    front.signer.stop()
    status, _, headers = post(front)
    assert (status, headers["Retry-After"]) == (503, "2")
    front.start_signer()
    assert post(front)[0] == 200


def test_with_cluesd_away_vms_are_told_to_come_again_and_get_in_when_it_is_back(front: FrontEnd) -> None:
    front.desk_server.stop()
    assert post(front)[0] == 503
    front.start_desk()
    assert post(front)[0] == 200
