"""The agent of a VM as a process with a root folder of its own, and the enrolment front that it talks to."""

from __future__ import annotations

import os
import socket
import subprocess
from datetime import timedelta
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from clues.bootstrap import agent
from tests.lab.agent_front import Front
from tests.lab.vpn_ca import CLIENT, LabCa, key_pem

HOSTS = "127.0.0.1 localhost\n127.0.1.1 cpu-01\n"
PASSWD = "root:x:0:0:root:/root:/bin/bash\nslurm:x:64030:64030::/nonexistent:/usr/sbin/nologin\n"
GROUP = "root:x:0:\nslurm:x:64030:\n"


class AgentVm:
    """A worker's agent. *conf*: further lines of its settings; *env*: of its environment."""

    def __init__(self, folder: Path, conf: str = "", env: dict[str, str] | None = None) -> None:
        self.env = env or {}
        self.root, self.ca = folder / "root", LabCa()
        self.front = Front(socket.create_server(("127.0.0.1", 0)), self.ca, folder)
        port = self.front.server.server_address[1]
        self.put("etc/clues/agent.conf", f"URLS='https://127.0.0.1:1 https://127.0.0.1:{port}'\nKIND=worker\n{conf}")
        for name, text in (("hosts", HOSTS), ("passwd", PASSWD), ("group", GROUP)):
            self.put(f"etc/{name}", text)
        self.put("etc/clues/agent", agent.script())
        key = ec.generate_private_key(ec.SECP256R1())
        self.put("etc/clues/tls/key.pem", key_pem(key).decode())
        self.put("etc/clues/tls/ca.pem", self.ca.pem.decode())
        self.key = key
        self.certify(timedelta(days=30))
        self.process: subprocess.Popen[bytes] | None = None

    def certify(self, life: timedelta) -> None:
        """Give it a certificate that ends then."""
        leaf = self.ca.issue("key-1", self.key.public_key(), CLIENT, life)
        self.put("etc/clues/tls/cert.pem", leaf.public_bytes(serialization.Encoding.PEM).decode())

    def put(self, path: str, text: str) -> None:
        """Write a file."""
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def read(self, path: str) -> str:
        """Return a file; empty if it is not there."""
        return (self.root / path).read_text() if (self.root / path).exists() else ""

    def tell(self, *lines: str, end: int | None = None) -> None:
        """Set its settings."""
        text = ["clues-settings 1", *lines]
        self.front.tell("key-1", "\n".join([*text, f"end {len(text) if end is None else end}", ""]).encode())

    def start(self) -> None:
        """Start the agent."""
        with (self.root / "log").open("ab") as log:
            self.process = subprocess.Popen(
                ["sh", str(self.root / "etc/clues/agent")], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, "CLUES_ROOT": str(self.root), **self.env},
            )  # fmt: skip

    def stop(self) -> None:
        """End it."""
        if self.process is not None:
            self.process.terminate()
            assert self.process.wait(10) == 0
        self.front.stop()
