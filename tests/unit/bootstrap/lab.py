"""What the tests of enrolment share: a desk in memory, a real signer and a real front on loopback, and a VM that is a
folder.

The VM is the real script in the real shell, with the prefix that it has for this; its image has a
``/etc/clues/start`` that notes what it is asked to start.
"""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from clues import inventory, rpc
from clues.bootstrap import boot, provision, user_data, wire
from clues.bootstrap.board import Board
from clues.bootstrap.enrolment import EnrolmentService
from clues.bootstrap.limits import Limits
from clues.bootstrap.shown import Shown
from clues.bootstrap.signer_calls import SignerCalls
from clues.bootstrap.tickets import Tickets
from clues.bootstrap.tls import server_context
from clues.bootstrap.trust import TrustStore
from clues.config import Workers
from clues.errors import AuthFailed
from clues.inventory import Inventory, Member, Reader
from clues.model import ClaimState, Facts, Kind
from clues.ports import Provision
from clues.signer import leaves
from clues.signer.authority import Authority
from clues.signer.certificates import Certificates
from clues.signer.issued import IssuedList
from clues.signer.service import CALLERS, Signer
from clues.signer.vaults import Vaults
from tests.unit.builders import make_claim

CLUSTER = "d2c0a3f0-0000-4000-8000-000000000000"
NODE = "gpu-01"
KEY = "c0ffee-1"
CANARY = b"CANARY" * 20
#: the script that goes on where user-data ends
BOOT = boot.boot(make_claim(node=NODE), Workers(), timedelta(seconds=100))
SECRETS = Provision(
    files=(("/etc/munge/munge.key", 0o400, CANARY), ("/etc/slurm/empty.conf", 0o644, b""), *BOOT.files),
    settings={"HOSTNAME": NODE, "SLURMD_OPTIONS": f"--conf-server 10.77.0.1:6817 -N {NODE}", **BOOT.settings},
    services=("munge", "slurmd"),
)

#: what the script may use of its image, beside the shell; munge and systemd are left out on purpose
TOOLS = (
    "awk base64 cat chmod chown curl date env grep head id mkdir mktemp mv nproc openssl rm sed sleep tail timeout tr"
).split()
START = '#!/bin/sh\necho "$*" >>"$CLUES_ROOT/started"\n'


@dataclass
class LittleDesk:
    """A desk with one claim: takes its ticket, binds it to the first key, and remembers what it heard."""

    tickets: Tickets
    roster: Path
    secrets: Provision = SECRETS
    kind: Kind = Kind.WORKER
    #: raised once each before anything is answered
    troubles: list[Exception] = field(default_factory=list)
    #: while it is not set, calls hang
    awake: threading.Event = field(default_factory=threading.Event)
    #: the same for tickets that are not ours
    patient: threading.Event = field(default_factory=threading.Event)
    #: identity, address, facts
    redeemed: list[tuple[str, str, Facts]] = field(default_factory=list)
    fingerprints: list[str] = field(default_factory=list)
    proofs: list[str] = field(default_factory=list)
    reports: list[tuple[str, str]] = field(default_factory=list)
    #: what was told with a certificate, by launch key
    told_by: list[str] = field(default_factory=list)
    calls: int = 0
    _members: dict[str, Member] = field(default_factory=dict)
    _revision: int = 0

    def __post_init__(self) -> None:
        self.awake.set()
        self.patient.set()
        self.publish(Member(KEY, Kind.WORKER, "cesnet", NODE, ClaimState.BOOTING))

    @property
    def handlers(self) -> Mapping[str, rpc.Handler]:
        return {"redeem": self.redeem, "report": self.report}

    def publish(self, *members: Member) -> None:
        """Put members into the inventory, in place of those with the same key."""
        self._members |= {one.key: one for one in members}
        self._write()

    def remove(self, key: str) -> None:
        del self._members[key]
        self._write()

    def _write(self) -> None:
        self._revision += 1
        now = datetime.now(UTC)
        inventory.write(self.roster, Inventory(CLUSTER, self._revision, now, members=tuple(self._members.values())))

    def redeem(self, asked: Mapping[str, Any], _: int) -> dict[str, Any]:
        self._know(asked["ticket"])
        identity, facts = asked["identity"], asked["facts"]
        if self.redeemed and self.redeemed[0][0] != identity:
            raise AuthFailed(f"ticket {asked['ticket']} was redeemed by another VM, not {identity}")
        heard = wire.make_facts(
            facts["cpus"], facts["memory_mib"], facts["gpus"], facts["clock_skew_seconds"], facts["host_keys"]
        )
        self.redeemed.append((identity, asked["address"], heard))
        self.fingerprints.append(asked["fingerprint"])
        self.proofs.append(asked["proof"])
        self.publish(Member(KEY, self.kind, "cesnet", NODE, ClaimState.JOINING, "10.77.1.10", identity=identity))
        wanted = provision.to_wire(self.secrets)
        return {"key": KEY, "kind": str(self.kind), "node": NODE, "site": "cesnet", "provision": wanted}

    def report(self, asked: Mapping[str, Any], _: int) -> None:
        if asked["ticket"]:
            self._know(asked["ticket"])
        else:
            self.told_by.append(asked["key"])
        self.reports.append((asked["kind"], asked["text"]))

    def _know(self, ticket: str) -> None:
        self.calls += 1
        self.awake.wait(60)
        if self.troubles:
            raise self.troubles.pop(0)
        if self.tickets.find(ticket, [KEY]) is None:
            self.patient.wait(60)
            raise AuthFailed(f"the ticket {ticket} is not known")


@dataclass
class FrontEnd:
    """A running front and what stands behind it."""

    folder: Path
    tickets: Tickets
    desk: LittleDesk
    certificates: Certificates
    trust: TrustStore
    service: EnrolmentService
    host: str
    serve_signer: Callable[[], rpc.Server]
    serve_desk: Callable[[], rpc.Server]

    def __post_init__(self) -> None:
        self.start_desk()
        self.start_signer()

    def start_signer(self) -> None:
        self.signer = self.serve_signer()
        self.signer.start()

    def start_desk(self) -> None:
        self.desk_server = self.serve_desk()
        self.desk_server.start()

    @property
    def url(self) -> str:
        return f"https://{self.host}:{self.service.port}"

    @property
    def ca_pem(self) -> str:
        return self.trust.bundle()


@dataclass
class Authorities:
    """A signer's keys in a folder."""

    folder: Path
    certificates: Certificates
    trust: TrustStore

    @classmethod
    def open(cls, folder: Path) -> Authorities:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "signer").mkdir(mode=0o700, exist_ok=True)
        authority = Authority.open(folder / "signer", folder / "trust", CLUSTER, datetime.now(UTC))
        issued = IssuedList.open(folder / "signer" / "issued.db")
        return cls(folder, Certificates(authority, issued, partial(datetime.now, UTC)), TrustStore(folder / "trust"))

    @property
    def ca_pem(self) -> str:
        return self.trust.bundle()

    def server_leaf(self) -> Path:
        """A file with key and certificate for a server at 127.0.0.1."""
        key, text = make_request()
        pem = self.certificates.for_server("clues enrolment", "front", leaves.parse_request(text), ["127.0.0.1"])
        path = self.folder / "leaf.pem"
        path.write_bytes(key + pem.encode())
        return path


def make_request() -> tuple[bytes, str]:
    """A new key (PEM), and a certificate request for it as VMs send it."""
    key = ec.generate_private_key(ec.SECP256R1())
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return secret, base64.b64encode(csr.public_bytes(serialization.Encoding.DER)).decode()


def identity_of(request: str) -> str:
    return leaves.identity_of(leaves.parse_request(request))


@contextmanager
def front_end(
    folder: Path,
    limits: Limits | None = None,
    *,
    host: str = "127.0.0.1",
    accounts: Sequence[str] = (),
    own_lines: Mapping[str, Sequence[str]] | None = None,
) -> Iterator[FrontEnd]:
    """Run desk, signer and front; *own_lines* are settings by launch key."""
    authorities = Authorities.open(folder)
    tickets = Tickets.open(folder / "cluesd")
    roster, lines = folder / "inventory.json", own_lines or {}
    desk = LittleDesk(tickets, roster)
    signer = Signer(folder / "desk.sock", authorities.certificates, Vaults({}), Reader(roster), dict)
    us = dict.fromkeys(CALLERS.values(), os.geteuid())
    calls, trust = SignerCalls(folder / "signer.sock"), authorities.trust
    shown = Shown(calls, trust, [host], partial(datetime.now, UTC))
    board = Board(Reader(roster), trust, lambda _, member: lines.get(member.key, ()), lambda: tuple(accounts))
    service = EnrolmentService(calls, shown, board, (host, 0), limits=limits)
    running = FrontEnd(
        folder,
        tickets,
        desk,
        authorities.certificates,
        trust,
        service,
        host,
        lambda: rpc.Server(folder / "signer.sock", signer.handlers(us), users=()),
        lambda: rpc.Server(folder / "desk.sock", desk.handlers, users=()),
    )
    try:
        service.start()
        yield running
    finally:
        desk.awake.set()
        desk.patient.set()
        service.stop()
        running.signer.stop()
        running.desk_server.stop()


@contextmanager
def answering(front: FrontEnd | Authorities, answer: bytes) -> Iterator[str]:
    """A server with the right certificate that gives every caller these bytes; yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    leaf = Authorities(front.folder, front.certificates, front.trust).server_leaf()
    server.socket = server_context(leaf).wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Vm:
    """A folder as the root of a VM, and the shell that runs its user-data."""

    root: Path
    shell: Sequence[str]

    def __post_init__(self) -> None:
        self.write("etc/clues/start", START, 0o755)
        self.write("etc/clues/facts", "# pretended\nCPUS=8\nMEMORY_MIB=30000\nGPUS=a10:1\n")
        tools = self.root / "tools"
        tools.mkdir()
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found, f"{tool} is missing on this machine"
            (tools / tool).symlink_to(found)
        self.write("tools/nft", "#!/bin/sh\nexit 0\n", 0o755)
        # What user-data starts is run by the same shell; busybox goes by the name that it is called by.
        (tools / "sh").symlink_to(self.shell[0])

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def read(self, path: str) -> str:
        return (self.root / path).read_text()

    def run(
        self,
        front: FrontEnd,
        *,
        urls: Sequence[str] = (),
        ca_pem: str = "",
        ticket: str = "",
        kind: Kind = Kind.WORKER,
        routes: Sequence[tuple[str, str]] = (),
        patience_seconds: int = 0,
        path: str = "",
        proof: str = "",
        metadata: str = "",
        mates: Sequence[str] = (),
    ) -> subprocess.CompletedProcess[str]:
        """Run the user-data of the claim, as cloud-init would, and return how it ended."""
        script = user_data.render(
            ca_pem=ca_pem or front.ca_pem,
            ticket=ticket or front.tickets.issue(KEY),
            mates=mates,
            urls=urls or [front.url],
            node=NODE,
            kind=kind,
            routes=routes,
            proof=proof,
        )
        (self.root / "user-data").write_text(script)
        environment = {
            "PATH": path or str(self.root / "tools"),
            "CLUES_ROOT": str(self.root),
            "CLUES_PATIENCE": str(patience_seconds),
            "HOME": os.devnull,
            "CLUES_METADATA": metadata,
        }
        return subprocess.run(
            [*self.shell, str(self.root / "user-data")],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    @property
    def started(self) -> list[str]:
        """What was started, in order, with options."""
        file = self.root / "started"
        return file.read_text().splitlines() if file.exists() else []

    def files_holding(self, secret: str) -> list[str]:
        """The files of the VM that hold these words, apart from the user-data that it was given."""
        found = []
        for file in self.root.rglob("*"):
            plain = file.is_file() and not file.is_symlink() and file.name != "user-data"
            if plain and secret.encode() in file.read_bytes():
                found.append(str(file.relative_to(self.root)))
        return sorted(found)
