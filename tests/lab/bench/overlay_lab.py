"""Two sites and a central point to measure between: namespaces, a hand-made OpenVPN beside ours, iperf3, CPU time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.internet import Internet
from tests.lab.vpn import NAMES, run, wait_for

FRONT = "198.51.100.1"

#: what somebody sets who knows of the small buffers
TUNED = (
    "sndbuf 4194304",
    "rcvbuf 4194304",
    "txqueuelen 5000",
    "data-ciphers AES-128-GCM",
)


def make_sites(internet: Internet, numbers: Sequence[int]) -> None:
    """Make the front-end's namespace with a worker ``w1`` behind it (10.77.1.10), and for each number a router's
    namespace ``rN`` with a worker ``wN`` behind it (10.77.N.10)."""
    internet.host("front", FRONT)
    _behind("front", 1)
    for number in numbers:
        internet.host(f"r{number}", f"198.51.100.{number}")
        _behind(f"r{number}", number)


def _behind(router: str, number: int) -> None:
    worker, lan = f"w{number}", f"10.77.{number}"
    run(router, "sysctl", "-qw", "net.ipv4.ip_forward=1")
    subprocess.run(["ip", "netns", "add", worker], check=True)
    words = ["link", "add", "lan0", "type", "veth", "peer", "name", "eth0", "netns", worker]
    subprocess.run(["ip", "-n", router, *words], check=True)
    for namespace, link, address in ((router, "lan0", f"{lan}.9"), (worker, "eth0", f"{lan}.10")):
        subprocess.run(["ip", "-n", namespace, "address", "add", f"{address}/24", "dev", link], check=True)
        subprocess.run(["ip", "-n", namespace, "link", "set", link, "up"], check=True)
    subprocess.run(["ip", "-n", worker, "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "-n", worker, "route", "add", "default", "via", f"{lan}.9"], check=True)


@contextmanager
def process(namespace: str, argv: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program in a namespace for as long as the block lasts."""
    with log.open("ab") as file:
        child = subprocess.Popen(
            ["nsenter", f"--net={NAMES / namespace}", *argv], stdin=subprocess.DEVNULL, stdout=file, stderr=file
        )
    try:
        yield child
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(20)


def lengthen_queues(namespace: str) -> None:
    """Do what ``txqueuelen 5000`` says: OpenVPN's way to do it needs a root who is one outside of the sandbox, too."""
    for line in run(namespace, "ip", "-o", "link", "show", "type", "tun").splitlines():
        run(namespace, "ip", "link", "set", line.split(":")[1].strip(), "txqueuelen", "5000")


@dataclass(frozen=True, slots=True)
class Transfer:
    """One TCP transfer."""

    bits_per_second: float
    bytes: int
    retransmits: int


def transfer(source: str, target: str, address: str, folder: Path, seconds: float) -> Transfer:
    """Send as much as goes through in *seconds*, from worker to worker."""
    with process(target, ["iperf3", "-s", "-1"], folder / "iperf3.log"):
        wait_for("iperf3 to listen", lambda: ":5201" in run(target, "ss", "-Hltn"))
        report = json.loads(run(source, "iperf3", "-c", address, "-t", f"{seconds:g}", "-J", timeout=seconds + 30))
    end = report["end"]
    received, sent = end["sum_received"], end["sum_sent"]
    return Transfer(received["bits_per_second"], int(received["bytes"]), int(sent["retransmits"]))


def cpu_seconds(pids: Sequence[int]) -> float:
    """Return the CPU time that these processes have used."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    """Return the memory that a process occupies."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
