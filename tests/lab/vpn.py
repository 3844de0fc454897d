"""Central points with their brokers, and clients, in namespaces: real OpenVPN on an internet made of a bridge.

The idea: a test says who is a member, starts clients, and looks. `Vpn` is one cluster: its folder, authority,
inventory, central point and broker, in a namespace that may be shared with other clusters. A `Client` has a namespace
of its own, with one address in the internet, and maybe a network behind it.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ObjectIdentifier

from clues import inventory, rpc
from clues.inventory import Inventory, Member
from clues.model import ClaimState, Kind
from clues.places import Places
from tests.lab.frontend import LabError
from tests.lab.vpn_ca import CLIENT, SERVER, LabCa, key_pem
from tests.lab.vpn_tools import NAMES, Flow, lan, listening, pings, run, send, spawn, wait_for
from vrouter.hub.settings import HubSettings

__all__ = ["NAMES", "Client", "Flow", "Vpn", "lan", "listening", "member", "pings", "run", "send", "wait_for"]


def member(number: int, *, subnet: bool = True, **changes: Any) -> Member:
    """Return a router: ``router-N`` with tunnel address transit[10+N] and the network 10.77.N.0/24 behind it."""
    one = Member(
        key=f"key-{number}",
        kind=Kind.ROUTER,
        site=f"site{number}",
        node=f"router-site{number}",
        state=ClaimState.READY,
        address=f"10.77.{number}.9",
        tunnel=f"10.77.252.{9 + number}",
        subnets=(f"10.77.{number}.0/24",) if subnet else (),
        identity="0" * 64,
    )
    return replace(one, **changes)


@dataclass
class Vpn:
    """One cluster's central point. A context manager; start it with :meth:`start`, or its two processes one by one."""

    folder: Path
    #: namespace that its processes run in
    namespace: str
    port: int = 1194
    network: str = "10.77.0.0/16"
    transit: str = "10.77.252.0/22"
    routes: tuple[str, ...] = ()
    services: tuple[tuple[str, int, int], ...] = (("tcp", 6817, 6817),)
    renegotiate: int = 3600
    cluster: str = field(default_factory=lambda: str(uuid.uuid4()))
    ca: LabCa = field(default_factory=LabCa)
    number: int = 0
    #: whether the front-end exports file systems
    exports: bool = False
    #: of the central point's certificate
    life: timedelta = timedelta(days=30)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _revision: int = 0
    _signer: rpc.Server | None = None

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.places = Places(self.folder / "state", self.folder / "api.sock")
        for one in (self.places.hub, self.places.trust):
            one.mkdir(parents=True, exist_ok=True)
        self.settings = HubSettings(
            self.cluster,
            self.places,
            "hub",
            self.port,
            IPv4Network(self.network),
            IPv4Network(self.transit),
            self.services,
            number=self.number,
        )
        self._wrapping = self.folder / "tls-crypt-v2-server.key"
        if not self._wrapping.exists():
            _openvpn("--genkey", "tls-crypt-v2-server", str(self._wrapping))

    def __enter__(self) -> Vpn:
        self.ca.write_crl(self.places.crl)
        (self.places.trust / "ca.pem").write_bytes(self.ca.pem)
        self._signer = rpc.Server(self.places.signer_socket, {"hub": self._sign}, users=())
        self._signer.start()
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self.processes):
            self.kill(name)
        if self._signer is not None:
            self._signer.stop()
        run(self.namespace, "nft", "delete", "table", "inet", self.settings.table, check=False)

    def _sign(self, arguments: Mapping[str, Any], _: int) -> dict[str, str]:
        name = f"clues hub {arguments['name']}"
        return {
            "certificate": self.ca.sign(arguments["csr"], name, SERVER, self.life),
            "ca": (self.places.trust / "ca.pem").read_text(),
            "tls_crypt_v2": base64.b64encode(self._wrapping.read_bytes()).decode(),
        }

    def publish(self, *members: Member) -> None:
        """Make these the cluster's members."""
        self._revision += 1
        inventory.write(
            self.places.inventory,
            Inventory(
                self.cluster, self._revision, datetime.now(UTC), self.network, self.transit, members, (), self.routes
            ),
        )

    def start(self, *members: Member) -> Vpn:
        """Publish these members and start both processes; return once OpenVPN listens."""
        self.publish(*members)
        self.spawn("broker")
        self.spawn("hub")
        self.wait_up()
        return self

    def wait_up(self, seconds: float = 20) -> float:
        """Wait until the central point's interface is there and up; return the seconds."""
        link = self.settings.interface

        try:
            return wait_for(f"{link} is up", lambda: "LOWER_UP" in self._link(), seconds)
        except LabError as error:
            raise LabError(f"{error}\n{self.log('hub')}\n{self.log('broker')}") from None

    def _link(self) -> str:
        return run(self.namespace, "ip", "-br", "link", "show", "dev", self.settings.interface, check=False)

    def spawn(self, what: str) -> subprocess.Popen[bytes]:
        """Start ``hub`` or ``broker``."""
        settings = self.settings
        words = {
            "cluster": self.cluster,
            "state": str(self.places.state),
            "socket": str(self.places.socket),
            "name": settings.name,
            "port": self.port,
            "network": self.network,
            "transit": self.transit,
            "services": self.services,
            "number": self.number,
            "renegotiate": self.renegotiate,
            "exports": self.exports,
        }
        argv = [sys.executable, "-m", "tests.lab.vpn_process", what, json.dumps(words)]
        self.processes[what] = spawn(self.namespace, argv, self.folder / f"{what}.log")
        return self.processes[what]

    def kill(self, what: str, how: int = signal.SIGKILL) -> None:
        """End one of the two processes and wait for its end."""
        process = self.processes.pop(what, None)
        if process is not None:
            process.send_signal(how)
            process.wait(20)

    def log(self, what: str) -> str:
        """Return what ``hub`` or ``broker`` has written."""
        path = self.folder / f"{what}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def client(
        self,
        name: str,
        namespace: str,
        hubs: Iterable[tuple[str, int]],
        *,
        life: timedelta = timedelta(days=30),
        ca: LabCa | None = None,
        usage: ObjectIdentifier = CLIENT,
        extra: Sequence[str] = (),
    ) -> Client:
        """Make a client with a certificate of its own for the common name *name*; not started yet."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (ca or self.ca).issue(name, key.public_key(), usage, life)
        folder = self.folder / f"client-{namespace}-{name}"
        folder.mkdir(exist_ok=True)
        (folder / "key.pem").write_bytes(key_pem(key))
        (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        (folder / "ca.pem").write_bytes(self.ca.pem)
        wrapped = folder / "tls-crypt-v2.key"
        _openvpn("--tls-crypt-v2", str(self._wrapping), "--genkey", "tls-crypt-v2-client", str(wrapped))
        remotes = [f"remote {address} {port}" for address, port in hubs]
        (folder / "client.conf").write_text("\n".join([*remotes, *CLIENT_LINES, *extra, ""]))
        return Client(name, namespace, folder, certificate.serial_number)


#: as a router has it
CLIENT_LINES = (
    "client",
    "proto udp4",
    "nobind",
    "dev tun0",
    "tls-client",
    "ca ca.pem",
    "cert cert.pem",
    "key key.pem",
    "tls-crypt-v2 tls-crypt-v2.key",
    "remote-cert-tls server",
    "tls-version-min 1.2",
    'verify-x509-name "clues hub" name-prefix',
    "auth-retry nointeract",
    "connect-retry 1 2",
    "server-poll-timeout 2",
    "data-ciphers AES-128-GCM:AES-256-GCM:CHACHA20-POLY1305",
    "allow-compression no",
    "persist-tun",
    "sndbuf 4194304",
    "rcvbuf 4194304",
    "txqueuelen 5000",
    "verb 3",
)


@dataclass
class Client:
    """One OpenVPN client."""

    name: str
    namespace: str
    folder: Path
    #: of its certificate
    serial: int
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> Client:
        """Start it; it tries for ever."""
        argv = ["openvpn", "--cd", str(self.folder), "--config", "client.conf"]
        self.process = spawn(self.namespace, argv, self.folder / "log")
        return self

    def up(self, seconds: float = 20) -> float:
        """Wait until the tunnel has come up (again, since the last call to :meth:`forget`); return the seconds."""
        try:
            return wait_for(f"{self.name} is up", lambda: "Initialization Sequence Completed" in self.log(), seconds)
        except LabError as error:
            raise LabError(f"{error}\n{self.log()}") from None

    def log(self) -> str:
        """Return what it has written."""
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def forget(self) -> None:
        """Empty its log."""
        os.truncate(self.folder / "log", 0)

    def kill(self, how: int = signal.SIGKILL) -> None:
        """End it."""
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(how)
            self.process.wait(20)
            self.process = None


def _openvpn(*words: str) -> None:
    done = subprocess.run(["openvpn", *words], capture_output=True, text=True, check=False, timeout=30)
    if done.returncode:
        raise LabError(f"openvpn {words[0]}: {done.stdout}{done.stderr}")
