"""A front-end with the real signer in a process of its own, and a cluesd that says whatever a test wants."""

from __future__ import annotations

import base64
import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from clues import inventory as inventory_file
from clues import rpc
from clues.bootstrap import provision
from clues.errors import Transient
from clues.inventory import Member
from clues.model import Kind
from clues.places import Places
from clues.ports import Provision, Secret
from tests.unit.signer.lab import CLUSTER, inventory, member, new_key, request_for

MUNGE = b"the munge key, which nobody may log " * 3
TICKET = "claim-1.the-secret-part-of-a-ticket"
SECRETS = (Secret("munge", "/etc/munge/munge.key", 0o400),)
TUNNEL = (Secret("tls-crypt-v2", "/etc/openvpn/clues/tls-crypt-v2.key", 0o600),)
CONFIGURATION = """
cluster: deep
state: {root}/state
socket: {root}/clues.sock
overlay: {{type: openvpn, network: 10.77.0.0/16, public: head.example.org}}
enrolment: {{address: "10.77.0.1:8443"}}
lrms: {{munge_key: {root}/munge.key}}
sites:
  here:
    connector: local
    folder: {root}/site
    network: 10.77.1.0/24
    flavors: {{small: {{cpus: 1, memory: 1GiB}}}}
pools:
  cpu:
    nodes: c-[1-2]
    shape: {{cpus: 1, memory: 1GiB}}
    offers: [{{site: here, flavor: small, image: i}}]
"""
#: asks as somebody who cannot even read this project
STRANGER = """
import socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
try:
    connection.sendall(b'{"do": "status", "with": {}}' + bytes([10]))
except OSError:
    pass  # refused before it was heard
print(connection.makefile().readline())
"""
#: runs the signer, which dies the moment that a certificate is written down
DYING = """
import os, signal, sys
from clues.signer.issued import IssuedList
record = IssuedList.record
def last_deed(self, one):
    record(self, one)
    os.kill(os.getpid(), signal.SIGKILL)
IssuedList.record = last_deed
from clues.signer.main import main
sys.exit(main())
"""


@dataclass
class House:
    """A front-end with a signer, and a cluesd that says whatever the test wants."""

    root: Path
    answer: dict[str, Any] = field(default_factory=dict)
    heard: list[Mapping[str, Any]] = field(default_factory=list)
    refuses: Exception | None = None
    process: subprocess.Popen[bytes] | None = None
    desk: rpc.Server | None = None
    revision: int = 0
    socket: Path = Path()

    def __post_init__(self) -> None:
        self.socket = self.root / "clues.sock"

    @property
    def places(self) -> Places:
        return Places(self.root / "state", self.socket)

    @property
    def log(self) -> str:
        return (self.root / "signer.log").read_text()

    def start(self, *program: str) -> None:
        argv = [sys.executable, *(program or ("-m", "clues.signer.main")), "--config", str(self.root / "clues.yaml")]
        with (self.root / "signer.log").open("ab") as log:
            self.process = subprocess.Popen(argv, stderr=log, stdout=log, umask=0o022)

    def up(self, *program: str) -> None:
        self.start(*program)
        until(lambda: self.answers())

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log
        try:
            self.ask("status")
        except Transient:
            return False
        return True

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(20)

    def serve_desk(self) -> None:
        def handle(asked: Mapping[str, Any], user: int) -> Any:
            self.heard.append(asked)
            if self.refuses is not None:
                raise self.refuses
            return self.answer

        self.desk = rpc.Server(self.places.desk_socket, {"redeem": handle, "report": handle}, users=())
        self.desk.start()

    def publish(self, *members: Member) -> None:
        self.revision += 1
        inventory_file.write(self.places.inventory, inventory(members, self.revision))

    def expect(self, name: str, kind: Kind = Kind.WORKER, secrets: tuple[Secret, ...] = SECRETS) -> None:
        """Let cluesd expect a VM."""
        given = Provision(files=(("/etc/clues/agent", 0o755, b"#!/bin/sh\n"),), secrets=secrets, services=("munge",))
        self.answer = {"key": name, "kind": kind.value, "node": "c-1", "site": "here"}
        self.answer["provision"] = provision.to_wire(given)

    def ask(self, operation: str, **arguments: Any) -> Any:
        return rpc.call(self.places.signer_socket, operation, timeout=20, **arguments)

    def enrol(self, key: ec.EllipticCurvePrivateKey, **more: Any) -> dict[str, bytes]:
        """Return what a VM gets, by path."""
        asked = {"ticket": TICKET, "csr": request_for(key), "fingerprint": "", "address": "10.77.1.10", "facts": {}}
        answer = self.ask("enrol", **(asked | more))
        return {path: base64.b64decode(content) for path, _, content in answer["files"]}

    def join(self, name: str, kind: Kind = Kind.WORKER, secrets: tuple[Secret, ...] = SECRETS) -> dict[str, bytes]:
        key = new_key()
        self.publish(member(name, key, kind=kind))
        self.expect(name, kind, secrets)
        form = serialization.PrivateFormat.PKCS8
        pem = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
        return self.enrol(key) | {"key": pem}


@contextlib.contextmanager
def open_house(root: Path) -> Iterator[House]:
    """Give a house whose signer is not started yet."""
    house = House(root)
    (root / "clues.yaml").write_text(CONFIGURATION.format(root=root))
    (root / "munge.key").write_bytes(MUNGE)
    (root / "munge.key").chmod(0o600)
    (root / "state").mkdir()
    (root / "state" / "cluster-id").write_text(f"{CLUSTER}\n")
    house.serve_desk()
    try:
        yield house
    finally:
        if house.process is not None:
            house.stop(signal.SIGKILL)
        if house.desk is not None:
            house.desk.stop()


def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)


def revoked(house: House) -> set[int]:
    end = b"-----END X509 CRL-----\n"
    lists = [x509.load_pem_x509_crl(one + end) for one in house.places.crl.read_bytes().split(end)[:-1]]
    return {one.serial_number for found in lists for one in found}


def serial(pem: bytes | str) -> int:
    return x509.load_pem_x509_certificate(pem.encode() if isinstance(pem, str) else pem).serial_number
