"""Looking at tunnels from outside: programs and packets in namespaces, and how long the answers took."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from tests.lab.frontend import LabError

NAMES = Path("/run/netns")

_LISTEN = """
import socket, sys
heard = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
heard.bind(("0.0.0.0", int(sys.argv[1])))
print("ready", flush=True)
while True:
    text, (address, _) = heard.recvfrom(100)
    print(address, text.decode(), flush=True)
"""


def run(namespace: str, *argv: str, timeout: float = 30, check: bool = True) -> str:
    """Run a program in a namespace; return what it writes."""
    words = ["nsenter", f"--net={NAMES / namespace}", *argv]
    done = subprocess.run(words, capture_output=True, text=True, timeout=timeout, check=False)
    if check and done.returncode:
        raise LabError(f"{' '.join(argv)}: {done.stdout}{done.stderr}")
    return done.stdout


def pings(namespace: str, target: str, source: str = "", count: int = 1, wait: float = 1) -> bool:
    """Tell whether an answer comes from there."""
    words = ["ping", "-n", "-q", "-c", str(count), "-i", "0.2", "-W", str(wait), *(["-I", source] if source else [])]
    done = subprocess.run(
        ["nsenter", f"--net={NAMES / namespace}", *words, target], capture_output=True, check=False, timeout=60
    )
    return done.returncode == 0


@contextmanager
def listening(namespace: str, port: int, log: Path) -> Iterator[Path]:
    """Write who sends what to a UDP port."""
    with log.open("wb") as file:
        words = ["nsenter", f"--net={NAMES / namespace}", sys.executable, "-c", _LISTEN, str(port)]
        process = subprocess.Popen(words, stdout=file)
    try:
        wait_for("the listener", lambda: "ready" in log.read_text())
        yield log
    finally:
        process.kill()
        process.wait()


def send(namespace: str, source: str, target: str, port: int, text: str) -> None:
    """Send one packet, from an address that is made one's own for it."""
    code = (
        "import socket,sys; s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.bind((sys.argv[1],0));"
        "s.sendto(sys.argv[4].encode(),(sys.argv[2],int(sys.argv[3])))"
    )
    own = f"inet {source}/" in run(namespace, "ip", "address")
    if not own:
        run(namespace, "ip", "address", "add", f"{source}/32", "dev", "lo")
    run(namespace, sys.executable, "-c", code, source, target, str(port), text)
    if not own:
        run(namespace, "ip", "address", "del", f"{source}/32", "dev", "lo")


class Flow:
    """An unbroken series of pings, ten a second or a flood, whose answers are timed. A context manager."""

    def __init__(self, namespace: str, target: str, log: Path, source: str = "", interval: float = 0.1) -> None:
        words = ["ping", "-n", "-D", "-i", str(interval), *(["-I", source] if source else []), target]
        self._log = log
        self._process = spawn(namespace, words, log)

    def __enter__(self) -> Flow:
        wait_for("the first answer", self.answers)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def answers(self) -> list[float]:
        """Return when answers came, as seconds of the epoch."""
        lines = self._log.read_text(errors="replace").splitlines()
        return [float(line[1:].partition("]")[0]) for line in lines if line.startswith("[") and "time=" in line]

    def gap(self, since: float = 0) -> float:
        """Return the longest time without an answer after *since*, now included, in seconds."""
        times = [since or self.answers()[0], *(one for one in self.answers() if one > since), time.time()]
        return max(b - a for a, b in pairwise(times))


def lan(namespace: str, address: str) -> None:
    """Give a namespace a network behind it, with this address (``10.77.2.9/24``) of its own."""
    run(namespace, "ip", "link", "add", "lan0", "type", "bridge")
    run(namespace, "ip", "address", "add", address, "dev", "lan0")
    run(namespace, "ip", "link", "set", "lan0", "up")


def wait_for(what: str, condition: Callable[[], object], seconds: float = 20, pause: float = 0.05) -> float:
    """Wait until *condition* holds; return the seconds that it took."""
    begin = time.monotonic()
    while not condition():
        if time.monotonic() - begin > seconds:
            raise LabError(f"not within {seconds} s: {what}")
        time.sleep(pause)
    return time.monotonic() - begin


def spawn(namespace: str, argv: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a program in a namespace; what it writes goes to a file."""
    with log.open("ab") as file:
        return subprocess.Popen(
            ["nsenter", f"--net={NAMES / namespace}", *argv], stdin=subprocess.DEVNULL, stdout=file, stderr=file
        )
