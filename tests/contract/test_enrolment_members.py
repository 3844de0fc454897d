"""What a member of the cluster gets by its certificate: settings as they change, a new certificate, an ear."""

from __future__ import annotations

import base64
import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from clues.bootstrap import board
from clues.bootstrap.limits import Limits
from clues.bootstrap.settings import trust_line
from clues.bootstrap.tls import client_context
from clues.inventory import Member
from clues.model import ClaimState, Kind
from clues.signer import leaves
from tests.unit.bootstrap.lab import KEY, NODE, Authorities, FrontEnd, front_end, identity_of, make_request

QUICK = Limits(poll=timedelta(seconds=1.5), connections=6, connections_per_address=6)
ACCOUNTS = ("account alice:x:1000:1000::/home/alice:/bin/bash", "group alice:x:1000:")
OTHER = Member("c0ffee-2", Kind.WORKER, "upv", "gpu-02", ClaimState.READY, "10.77.2.10", identity="ab" * 32)


@dataclass
class Vm:
    """A member with its key and certificate in a file."""

    front: FrontEnd
    file: Path
    request: str

    def ask(
        self, method: str, path: str, body: bytes = b"", *, with_certificate: bool = True, timeout: float = 20
    ) -> tuple[int, str]:
        context = client_context(self.front.ca_pem)
        if with_certificate:
            context.load_cert_chain(self.file)
        connection = http.client.HTTPSConnection("127.0.0.1", self.front.service.port, timeout=timeout, context=context)
        with contextlib.closing(connection):
            connection.request(method, path, body or None)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def settings(self, after: str = "") -> tuple[int, str]:
        return self.ask("GET", f"/v1/settings?after={after}" if after else "/v1/settings")


def tag_of(text: str) -> str:
    return text.splitlines()[1].removeprefix("tag ")


def make_vm(front: FrontEnd, folder: Path, member: Member) -> Vm:
    private, request = make_request()
    public = leaves.parse_request(request)
    front.desk.publish(replace(member, identity=identity_of(request)))
    pem = front.certificates.for_member(member.key, member.kind.value, public)
    file = folder / f"{member.key}.pem"
    file.write_bytes(private + pem.encode())
    return Vm(front, file, request)


MEMBER = Member(KEY, Kind.WORKER, "cesnet", NODE, ClaimState.READY, "10.77.1.10")


@pytest.fixture
def front(tmp_path: Path) -> Iterator[FrontEnd]:
    lines = {KEY: ["forward 52:54:00:00:00:01 10.77.1.10"]}
    with front_end(tmp_path / "state", QUICK, accounts=ACCOUNTS, own_lines=lines) as running:
        yield running


@pytest.fixture
def vm(front: FrontEnd, tmp_path: Path) -> Vm:
    return make_vm(front, tmp_path, MEMBER)


def test_a_member_is_told_names_accounts_and_its_part_in_the_overlay(front: FrontEnd, vm: Vm) -> None:
    front.desk.publish(OTHER)
    status, text = vm.settings()
    assert status == 200
    head, tag, *lines = text.splitlines()
    assert head == "clues-settings 1"
    assert tag.startswith("tag ")
    assert lines == [
        trust_line(front.ca_pem),
        f"host 10.77.1.10 {NODE}",
        "host 10.77.2.10 gpu-02",
        *ACCOUNTS,
        "forward 52:54:00:00:00:01 10.77.1.10",
        f"end {len(lines) + 1}",
    ]


def test_news_are_told_at_once_and_nothing_new_after_a_while(front: FrontEnd, vm: Vm) -> None:
    tag = tag_of(vm.settings()[1])
    began = time.monotonic()
    _, text = vm.settings(tag)
    assert time.monotonic() - began > 1
    assert tag_of(text) == tag
    threading.Timer(0.3, front.desk.publish, [OTHER]).start()
    began = time.monotonic()
    _, text = vm.settings(tag)
    assert 0.2 < time.monotonic() - began < 1
    assert "host 10.77.2.10 gpu-02" in text


def test_a_member_that_asks_again_ends_its_former_question(vm: Vm) -> None:
    tag = tag_of(vm.settings()[1])
    took: list[float] = []

    def ask() -> None:
        began = time.monotonic()
        vm.settings(tag)
        took.append(time.monotonic() - began)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
        time.sleep(0.2)
    for thread in threads:
        thread.join()
    assert sum(1 for seconds in took if seconds < 1) == 2


def test_members_that_wait_for_news_take_nobodys_seat(front: FrontEnd, tmp_path: Path) -> None:
    vms = [make_vm(front, tmp_path, replace(MEMBER, key=f"k-{number}", node=f"n-{number}")) for number in range(12)]
    tag = tag_of(vms[0].settings()[1])
    threads = [threading.Thread(target=vm.settings, args=(tag,)) for vm in vms]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    began = time.monotonic()
    assert vms[0].ask("POST", "/v1/report", b"started\n")[0] == 200
    assert time.monotonic() - began < 0.8
    for thread in threads:
        thread.join()


def test_an_evicted_member_is_told_nothing_from_then_on(front: FrontEnd, vm: Vm) -> None:
    tag = tag_of(vm.settings()[1])
    threading.Timer(0.3, front.desk.remove, [KEY]).start()
    began = time.monotonic()
    status, text = vm.settings(tag)  # a question that waits ends with it
    assert (status, "host" in text) == (403, False)
    assert time.monotonic() - began < 1
    for method, path, body in (
        ("GET", "/v1/settings", b""),
        ("POST", "/v1/renew", f"csr={vm.request}\n".encode()),
        ("POST", "/v1/report", b"started\n"),
    ):
        assert vm.ask(method, path, body)[0] == 403
    assert front.desk.reports == []


def test_a_certificate_whose_key_is_no_longer_the_members_is_refused(front: FrontEnd, vm: Vm) -> None:
    front.desk.publish(replace(MEMBER, identity="cd" * 32))
    assert vm.settings()[0] == 403


def test_a_member_that_has_nothing_yet_may_say_so(vm: Vm) -> None:
    assert vm.settings("-") == vm.settings()


def test_without_a_certificate_there_are_no_settings(vm: Vm) -> None:
    assert vm.ask("GET", "/v1/settings", with_certificate=False)[0] == 403


def self_made(key: ec.EllipticCurvePrivateKey) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, KEY)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


@pytest.mark.parametrize("kind", ["self-made", "another authority", "a hub's", "expired"])
def test_a_certificate_that_is_not_a_good_one_of_a_member_is_refused(
    front: FrontEnd, tmp_path: Path, kind: str
) -> None:
    private, request = make_request()
    public = leaves.parse_request(request)
    front.desk.publish(replace(MEMBER, identity=identity_of(request)))
    key = serialization.load_pem_private_key(private, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    authority, now = front.certificates._authority, datetime.now(UTC)
    issuer = authority.issuer(authority.signing)
    if kind == "self-made":
        pem = self_made(key)
    elif kind == "a hub's":
        pem = leaves.to_pem(leaves.issue(issuer, public, KEY, leaves.Usage.SERVER, now))
    elif kind == "expired":
        pem = leaves.to_pem(leaves.issue(issuer, public, KEY, leaves.Usage.CLIENT, now - timedelta(days=60)))
    else:
        pem = Authorities.open(tmp_path / "another").certificates.for_member(KEY, "worker", public)
    file = tmp_path / "vm.pem"
    file.write_bytes(private + pem.encode())
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
        Vm(front, file, request).settings()
    # the same key with a good certificate is let in
    good = front.certificates.for_member(KEY, "worker", public)
    file.write_bytes(private + good.encode())
    assert Vm(front, file, request).settings()[0] == 200


def test_a_renewal_is_a_certificate_for_the_same_key_and_the_authorities_behind_it(front: FrontEnd, vm: Vm) -> None:
    status, text = vm.ask("POST", "/v1/renew", f"csr={vm.request}\n".encode())
    assert status == 200
    leaf, *authorities = x509.load_pem_x509_certificates(text.encode())
    assert leaf.subject.rfc4514_string() == f"CN={KEY}"
    der = leaf.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert identity_of(vm.request) == sha256_of(der)
    assert text.endswith(front.ca_pem)
    assert len(authorities) == 1


def sha256_of(data: bytes) -> str:
    digest = hashes.Hash(hashes.SHA256())
    digest.update(data)
    return digest.finalize().hex()


def test_another_key_is_not_renewed(front: FrontEnd, vm: Vm) -> None:
    _, request = make_request()
    assert vm.ask("POST", "/v1/renew", f"csr={request}\n".encode())[0] == 403


@pytest.mark.parametrize("body", [b"", b"csr=\n", b"csr=AAAA\nX=1\n", b"csr=AAAA\n", b"csr=" + b"A" * 5000])
def test_a_malformed_renewal_is_a_400(vm: Vm, body: bytes) -> None:
    assert vm.ask("POST", "/v1/renew", body)[0] == 400


def test_reports_by_certificate_are_told_as_the_members(front: FrontEnd, vm: Vm) -> None:
    for kind in ("started", "spot", "shortcut", "strangers"):
        assert vm.ask("POST", "/v1/report", f"{kind}\nwords\n".encode())[0] == 200
    assert [kind for kind, _ in front.desk.reports] == ["started", "spot", "shortcut", "strangers"]
    assert front.desk.told_by == [KEY] * 4
    assert vm.ask("POST", "/v1/report", b"whatever\n")[0] == 400


def test_a_damaged_inventory_is_not_an_empty_one(front: FrontEnd, vm: Vm) -> None:
    assert vm.settings()[0] == 200
    front.desk.roster.write_text("{")
    assert vm.settings()[0] == 200


def test_what_is_in_an_enrolment_answer_is_a_certificate_that_is_let_in(front: FrontEnd, tmp_path: Path) -> None:
    private, request = make_request()
    body = f"csr={request}\nCPUS=1\nMEMORY_MIB=1\nGPUS=\nCLOCK=1\n".encode()
    context = client_context(front.ca_pem)
    connection = http.client.HTTPSConnection("127.0.0.1", front.service.port, timeout=20, context=context)
    with contextlib.closing(connection):
        connection.request("POST", "/v1/enrol", body, {"Authorization": f"Ticket {front.tickets.issue(KEY)}"})
        answer = connection.getresponse().read().decode()
    (line,) = [line for line in answer.splitlines() if "/etc/clues/tls/cert.pem" in line]
    file = tmp_path / "vm.pem"
    file.write_bytes(private + base64.b64decode(line.split()[3]))
    assert Vm(front, file, request).settings()[0] == 200


def shown_by(front: FrontEnd) -> bytes:
    with (
        socket.create_connection(("127.0.0.1", front.service.port), timeout=5) as plain,
        client_context(front.ca_pem).wrap_socket(plain, server_hostname="127.0.0.1") as secure,
    ):
        return secure.getpeercert(binary_form=True) or b""


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_a_new_authority_is_told_to_members_and_the_front_shows_a_new_leaf(front: FrontEnd, vm: Vm) -> None:
    first, tag = shown_by(front), tag_of(vm.settings()[1])
    front.certificates.rotate("next", None)
    assert eventually(lambda: trust_line(front.ca_pem) in vm.settings()[1])
    assert tag_of(vm.settings()[1]) != tag
    assert eventually(lambda: shown_by(front) != first)


def test_who_has_just_enrolled_or_been_put_out_is_known_at_the_next_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board, "_LOOK_SECONDS", 60.0)  # nobody looks but for who calls
    with front_end(tmp_path / "state", QUICK) as front:
        vm = make_vm(front, tmp_path, MEMBER)
        assert vm.ask("POST", "/v1/report", b"started\n")[0] == 200
        front.desk.remove(KEY)
        assert vm.ask("POST", "/v1/report", b"started\n")[0] == 403
