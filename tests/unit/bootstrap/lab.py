"""What the tests of enrolment share: a desk in memory, a real service on loopback, and a VM that is a folder.

The VM is the real script in the real shell, with the prefix that it has for this; its image has a
``/etc/clues/start`` that notes what it is asked to start.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from clues.bootstrap import user_data
from clues.bootstrap.ca import CaFiles, server_context
from clues.bootstrap.enrolment import EnrolmentService
from clues.bootstrap.limits import Limits
from clues.bootstrap.tickets import Tickets
from clues.errors import AuthFailed
from clues.model import Facts
from clues.ports import WorkerSecrets

NODE = "gpu-01"
KEY = "c0ffee-1"
CANARY = b"CANARY" * 20
SECRETS = WorkerSecrets(
    files=(("/etc/munge/munge.key", 0o400, CANARY), ("/etc/slurm/empty.conf", 0o644, b"")),
    settings={"HOSTNAME": NODE, "SLURMD_OPTIONS": f"--conf-server 10.77.0.1:6817 -N {NODE}"},
    services=("munge", "slurmd"),
)

#: what the script may use of its image, beside the shell; munge and systemd are left out on purpose
TOOLS = "base64 cat chmod chown curl date grep head id mkdir mv nproc od rm sed sleep tail timeout tr".split()
START = '#!/bin/sh\necho "$*" >>"$CLUES_ROOT/started"\n'


@dataclass
class LittleDesk:
    """A desk with one claim: takes its ticket, binds it to the first nonce, and remembers what it heard."""

    tickets: Tickets
    secrets: WorkerSecrets = SECRETS
    #: raised once each before anything is answered
    troubles: list[Exception] = field(default_factory=list)
    #: while it is not set, calls hang
    awake: threading.Event = field(default_factory=threading.Event)
    redeemed: list[tuple[str, str, Facts]] = field(default_factory=list)
    reports: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.awake.set()

    def redeem(self, ticket: str, nonce: str, address: str, facts: Facts) -> WorkerSecrets:
        self._know(ticket)
        if self.redeemed and self.redeemed[0][0] != nonce:
            raise AuthFailed(f"ticket {ticket} was redeemed by another VM, not {nonce}")
        self.redeemed.append((nonce, address, facts))
        return self.secrets

    def report(self, ticket: str, kind: str, text: str) -> None:
        self._know(ticket)
        self.reports.append((kind, text))

    def _know(self, ticket: str) -> None:
        self.awake.wait(60)
        if self.troubles:
            raise self.troubles.pop(0)
        if self.tickets.find(ticket, [KEY]) is None:
            raise AuthFailed(f"the ticket {ticket} is not known")


@dataclass
class FrontEnd:
    """A running service and what it is made of."""

    ca: CaFiles
    tickets: Tickets
    desk: LittleDesk
    service: EnrolmentService

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.service.port}"


@contextmanager
def front_end(folder: Path, limits: Limits | None = None) -> Iterator[FrontEnd]:
    ca = CaFiles.open(folder, "d2c0a3f0-0000-4000-8000-000000000000", datetime.now(UTC))
    tickets = Tickets.open(folder)
    desk = LittleDesk(tickets)
    service = EnrolmentService(desk, ca, ["127.0.0.1"], ("127.0.0.1", 0), limits=limits)
    service.start()
    try:
        yield FrontEnd(ca, tickets, desk, service)
    finally:
        desk.awake.set()
        service.stop()


@contextmanager
def answering(ca: CaFiles, answer: bytes) -> Iterator[str]:
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
    leaf = ca.server_leaf(["127.0.0.1"], datetime.now(UTC))
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
        (tools / "sh").symlink_to(shutil.which("dash") or "/bin/sh")

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
        patience_seconds: int = 0,
        path: str = "",
    ) -> subprocess.CompletedProcess[str]:
        """Run the user-data of the claim, as cloud-init would, and return how it ended."""
        script = user_data.render(
            ca_pem=ca_pem or front.ca.ca_pem,
            ticket=ticket or front.tickets.issue(KEY),
            urls=urls or [front.url],
            node=NODE,
        )
        (self.root / "user-data").write_text(script)
        environment = {
            "PATH": path or str(self.root / "tools"),
            "CLUES_ROOT": str(self.root),
            "CLUES_PATIENCE": str(patience_seconds),
            "HOME": os.devnull,
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
