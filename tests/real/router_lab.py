"""Sites with a router each: the real agent, OpenVPN and nftables, in namespaces behind NAT.

The idea: `Sites` is a cluster of two sites. Each has a gateway to the internet, a router VM that runs the agent with
what `vrouter.router` gives it, and workers that are nothing but an address and a route. The front-end is a real central
point and broker, and in place of the enrolment front a small HTTPS server that tells settings, signs and hears reports.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from clues import inventory
from clues.bootstrap import agent as agent_files
from clues.bootstrap import settings as front_settings
from clues.inventory import Inventory, Member
from clues.model import ClaimState, Kind
from tests.lab.agent_front import Front
from tests.lab.internet import LAN, Internet, batch, in_namespace
from tests.lab.vpn import Vpn
from tests.lab.vpn import member as router_member
from tests.lab.vpn_tools import NAMES, run
from vrouter.router import Hub, provision, settings_lines, shortcut_pairs

FRONT = "198.51.100.1"
HUB_ADDRESS = "10.77.252.1"
PORT = 8443
LIFE = timedelta(days=30)
SERVICES = (("tcp", 6817, 6817), ("tcp", 2049, 2049))


def socket_in(namespace: str, address: str, port: int) -> socket.socket:
    """Return a listening TCP socket of another network namespace."""
    made: list[socket.socket] = []

    def make() -> None:  # on a thread of its own, since a thread that has moved cannot be used for anything else
        with (NAMES / namespace).open() as file:
            if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), 0x40000000):
                raise OSError(ctypes.get_errno(), "setns")
        made.append(socket.create_server((address, port), backlog=64))

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    return made[0]


@dataclass
class Machine:
    """A VM that runs the agent, with a /etc, /run and /var/lib/clues of its own."""

    key: str
    namespace: str
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    def write(self, path: str, mode: int, content: bytes) -> None:
        """Put a file where the VM sees it at this path."""
        target = self.folder / path.removeprefix("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        target.chmod(mode)

    def read(self, path: str) -> str:
        """Return a file of the VM; empty if it is not there."""
        target = self.folder / path.removeprefix("/")
        return target.read_text(errors="replace") if target.exists() else ""

    def start(self) -> Machine:
        """Start the agent."""
        script = (
            'mount --bind "$1/etc" /etc && mount --bind "$1/run" /run '
            '&& mount --bind "$1/var/lib/clues" /var/lib/clues '
            "&& exec /etc/clues/agent"
        )
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                in_namespace(
                    self.namespace, ["unshare", "--mount", "--", "sh", "-c", script, "agent", str(self.folder)]
                ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "CLUES_PERIOD": "1"},
            )
        return self

    def stop(self, how: int = signal.SIGTERM) -> None:
        """End the agent, and what it keeps running unless it was killed."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(20)
            self.process = None

    def destroy(self) -> None:
        """End everything in the VM's network namespace at once: the plug is pulled."""
        for one in run(self.namespace, "ip", "netns", "pids", self.namespace, check=False).split():
            try:
                os.kill(int(one), signal.SIGKILL)
            except ProcessLookupError:
                continue
        if self.process is not None:
            self.process.wait(20)
            self.process = None

    def pid(self, name: str) -> int:
        """Return the process that the agent keeps under this name."""
        return int(self.read(f"/run/clues-agent/pids/{name}") or 0)

    def log(self) -> str:
        """Return what the agent and its tunnels have written."""
        return (self.folder / "log").read_text(errors="replace")


@dataclass
class Sites:
    """Sites 2 and 3, their routers, and one front-end."""

    net: Internet
    vpn: Vpn
    front: Front
    folder: Path
    #: of the listening site of shortcuts; empty: none has one
    members: dict[str, Member] = field(default_factory=dict)
    machines: dict[str, Machine] = field(default_factory=dict)
    hubs: list[Hub] = field(default_factory=lambda: [Hub("hub", FRONT, 1194)])
    shortcuts: bool = False
    #: other clusters' central points that get the same inventory
    also: list[Vpn] = field(default_factory=list)
    _revision: int = 100

    def publish(self) -> None:
        """Let the central point and the routers know who is a member."""
        self._revision += 1
        members = tuple(self.members.values())
        now = datetime.now(UTC)
        written = Inventory(
            self.vpn.cluster, self._revision, now, self.vpn.network, self.vpn.transit, members,
            shortcut_pairs(members) if self.shortcuts else (),
        )  # fmt: skip
        for vpn in (self.vpn, *self.also):
            inventory.write(vpn.places.inventory, replace(written, cluster=vpn.cluster))
        shared = front_settings.host_lines(written)
        for one in members:
            text = front_settings.render(
                shared, front_settings.digest(shared), settings_lines(written, one.key)
            )  # fmt: skip
            self.front.tell(one.key, text.body)

    def router(self, number: int) -> Machine:
        """Make the router VM of a site, not started; its member is published with the next :meth:`publish`."""
        name = f"r{number}"
        machine_in(self.net, name, f"site{number}", f"10.77.{number}.9/24", mac(number, 9))
        batch(name, f"route add default via 10.77.{number}.1")
        return self.vm(number, name, lan=f"10.77.{number}.0/24")

    def vm(self, number: int, namespace: str, *, lan: str = "", **changes: Any) -> Machine:
        """Make what a VM has when it has enrolled."""
        one = router_member(number, mac=mac(number, 9), **changes)
        machine = Machine(one.key, namespace, self.folder / namespace)
        for folder in ("etc", "run", "var/lib/clues"):
            (machine.folder / folder).mkdir(parents=True, exist_ok=True)
        Path("/var/lib/clues").mkdir(parents=True, exist_ok=True)
        shutil.copytree("/etc", machine.folder / "etc", symlinks=True, dirs_exist_ok=True)
        for file in ("hosts", "passwd", "group"):
            machine.write(
                f"/etc/{file}", 0o644, Path(f"/etc/{file}").read_bytes() if Path(f"/etc/{file}").exists() else b""
            )
        client = self.vpn.client(one.key, namespace, [], life=self.front.life)
        tunnel = provision(
            hubs=self.hubs, network=self.vpn.network, lan=lan, front=(HUB_ADDRESS, "10.77.252.2"), services=SERVICES
        )
        kind = Kind.ROUTER if lan else Kind.WORKER
        given = agent_files.agent(urls=[f"https://{FRONT}:{PORT}"], node=one.node, kind=kind, routes=())
        for path, mode, content in given.plus(tunnel).files:
            machine.write(path, mode, content)
        for file in ("key.pem", "cert.pem", "ca.pem"):
            machine.write(f"/etc/clues/tls/{file}", 0o600, (client.folder / file).read_bytes())
        secret = tunnel.secrets[0]
        machine.write(secret.path, secret.mode, (client.folder / "tls-crypt-v2.key").read_bytes())
        fingerprint = self_signed(machine.folder / "etc/clues/tls")
        self.members[one.key] = replace(one, fingerprint=fingerprint)
        self.machines[namespace] = machine
        return machine

    def worker(self, number: int, host: int, *, member: bool = True) -> str:
        """Make a worker: a namespace with an address, a hardware address and one route. Return its namespace."""
        name = f"w{number}-{host}"
        machine_in(self.net, name, f"site{number}", f"10.77.{number}.{host}/24", mac(number, host))
        batch(name, f"route add {self.vpn.network} via 10.77.{number}.9")
        if member:
            self.members[name] = worker_member(number, host)
        return name


def worker_member(number: int, host: int) -> Member:
    """Return a worker behind a site's router."""
    return Member(
        key=f"w{number}-{host}", kind=Kind.WORKER, site=f"site{number}", node=f"node-{number}-{host}",
        state=ClaimState.READY, address=f"10.77.{number}.{host}", mac=mac(number, host),
    )  # fmt: skip


def mac(number: int, host: int) -> str:
    """Return the hardware address of a machine."""
    return f"52:54:00:00:{number:02x}:{host:02x}"


def machine_in(net: Internet, name: str, site: str, address: str, hardware: str) -> None:
    """Make a namespace with a cable to a site's network."""
    subprocess.run(["ip", "netns", "add", name], check=True)
    batch(site, f"link add p-{name} type veth peer name eth0 address {hardware} netns {name}")
    batch(site, f"link set p-{name} master {LAN} up")
    batch(name, "link set lo up", f"addr add {address} dev eth0", "link set eth0 up")


def self_signed(folder: Path) -> str:
    """Make the certificate for shortcuts as user-data does; return its fingerprint."""
    words = ["openssl", "req", "-x509", "-new", "-key", "key.pem", "-subj", "/CN=clues router", "-days", "3650"]
    subprocess.run([*words, "-out", "shortcut.pem"], cwd=folder, check=True, capture_output=True)
    told = subprocess.run(
        ["openssl", "x509", "-in", "shortcut.pem", "-noout", "-fingerprint", "-sha256"],
        cwd=folder, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return told.stdout.strip().rpartition("=")[2]


@contextmanager
def two_sites(folder: Path, *, life: timedelta = LIFE) -> Iterator[Sites]:
    """The internet, a front-end with its central point, and the gateways of sites 2 and 3."""
    with Internet() as net:
        net.host("front", FRONT)
        run("front", "sysctl", "-qw", "net.ipv4.ip_forward=1")
        for number in (2, 3):
            net.site(
                f"site{number}", lan=f"10.77.{number}.0/24", gateway=f"10.77.{number}.1", public=f"198.51.100.{number}0"
            )
            # Where the kernel sends what a bridge passes through the rules of its namespace, neighbours would not meet.
            run(f"site{number}", *"nft insert rule ip site through iifname lan0 oifname lan0 accept".split())
        with Vpn(folder / "hub", "front", services=SERVICES) as vpn:
            front = Front(socket_in("front", FRONT, PORT), vpn.ca, folder)
            front.life = life
            sites = Sites(net, vpn, front, folder)
            try:
                yield sites
            finally:
                for machine in sites.machines.values():
                    machine.stop()
                    machine.destroy()
                front.stop()
                for name in [path.name for path in NAMES.iterdir() if path.name[0] in "rwn"]:
                    subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)
