"""Traffic through routers: what answers, what asks, and how long nothing came through."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

from tests.lab.frontend import LabError
from tests.lab.internet import in_namespace
from tests.lab.vpn_tools import pings, run, wait_for
from tests.real.router_lab import Sites

ECHO = """
import socket, sys, threading
server = socket.create_server((sys.argv[1], int(sys.argv[2])), reuse_port=True)
print("ready", flush=True)
def serve(one):
    while data := one.recv(65536):
        one.sendall(data)
while True:
    one, _ = server.accept()
    threading.Thread(target=serve, args=(one,), daemon=True).start()
"""
ASK = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), float(sys.argv[3])) as one:
    one.sendall(b"x")
    sys.exit(one.recv(1) != b"x")
"""
# One byte there and back every 10 ms: the longest time that one took, in milliseconds, when told to stop.
STREAM = """
import socket, sys, time
one = socket.create_connection((sys.argv[1], int(sys.argv[2])), 10)
one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
one.settimeout(60)
one.sendall(b"x"); one.recv(1)
print("ready", flush=True)
worst, end = 0, time.monotonic() + float(sys.argv[3])
while time.monotonic() < end:
    begin = time.monotonic()
    one.sendall(b"x")
    if not one.recv(1):
        sys.exit("the connection was lost")
    worst = max(worst, time.monotonic() - begin)
    time.sleep(0.01)
print(int(worst * 1000), flush=True)
"""


@contextmanager
def answering(namespace: str, address: str, *ports: int) -> Iterator[None]:
    """Have something answer at these TCP ports."""
    servers = []
    try:
        for port in ports:
            words = in_namespace(namespace, [sys.executable, "-S", "-c", ECHO, address, str(port)])
            servers.append(subprocess.Popen(words, stdout=subprocess.PIPE))
        for one in servers:
            assert one.stdout is not None
            one.stdout.readline()
        yield
    finally:
        for one in servers:
            one.kill()
            one.communicate()


def reaches(namespace: str, address: str, port: int, seconds: float = 0.7) -> bool:
    """Tell whether a TCP connection from there is answered."""
    words = in_namespace(namespace, [sys.executable, "-S", "-c", ASK, address, str(port), str(seconds)])
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def up(sites: Sites, seconds: float = 20) -> None:
    """Wait until workers of both sites reach each other."""
    try:
        wait_for("the sites to be joined", lambda: pings("w2-10", "10.77.3.10", wait=0.2), seconds)
    except LabError as error:
        logs = "\n".join(machine.log() for machine in sites.machines.values())
        raise AssertionError(f"{error}\n{logs}\n{sites.vpn.log('broker')}") from None


@contextmanager
def stream(namespace: str, address: str, port: int, seconds: float) -> Iterator[subprocess.Popen[str]]:
    """Have bytes go there and back all the time, on one connection."""
    words = in_namespace(namespace, [sys.executable, "-S", "-c", STREAM, address, str(port), str(seconds)])
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


def worst_gap(process: subprocess.Popen[str]) -> int:
    """Return the longest time that a byte took there and back, in milliseconds; the connection must have held."""
    out, err = process.communicate(timeout=90)
    assert process.returncode == 0, err
    return int(out)


def rules(namespace: str) -> str:
    return run(namespace, "nft", "list", "table", "inet", "clues", check=False)


@contextmanager
def counting(match: str, *, namespace: str = "front", links: str = "ovpn-*") -> Iterator[list[int]]:
    """Count packets that come in there, for the front-end out of its tunnels; the list then holds their number."""
    words = f"""
        add table inet probe
        add chain inet probe seen {{ type filter hook prerouting priority -300; }}
        add rule inet probe seen iifname "{links}" {match} counter
    """
    subprocess.run(in_namespace(namespace, ["nft", "-f", "-"]), input=words, text=True, check=True)
    found: list[int] = []
    try:
        yield found
        told = run(namespace, "nft", "list", "chain", "inet", "probe", "seen")
        found.append(int(told.split("packets ")[1].split()[0]))
    finally:
        run(namespace, "nft", "delete", "table", "inet", "probe")


@contextmanager
def pinging(namespace: str, target: str, seconds: float) -> Iterator[list[float]]:
    """Ping ten times a second for so long, from the first answer on; the list then holds the longest silence, in
    seconds."""
    # No deadline (-w): with one, ping ends at the first error that a router sends back.
    limits = ["-c", str(int(seconds * 10)), "-W", "1"]
    words = in_namespace(namespace, ["ping", "-D", "-n", "-i", "0.1", *limits, target])
    found: list[float] = []
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            lines = [next(line for line in process.stdout if "bytes from" in line)]
            yield found
            lines += process.stdout
        finally:
            process.kill()
    at = [float(line[1 : line.index("]")]) for line in lines if "bytes from" in line]
    found.append(max(after - before for before, after in pairwise(at)))
