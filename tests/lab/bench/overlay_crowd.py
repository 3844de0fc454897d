"""Two hundred routers at one central point: how long until all are up, its memory, how fast one of them is cut off.

All clients run in one namespace: only the control plane is measured with them. The one that is evicted has a worker
behind it, which answers pings as fast as they come until it is cut off.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

from clues.inventory import Member
from tests.lab.bench.figures import Figure
from tests.lab.bench.overlay_lab import FRONT, make_sites, resident_mib
from tests.lab.internet import Internet
from tests.lab.vpn import NAMES, Client, Vpn, member, pings, wait_for

CROWD = 200
EVICTIONS = 5
W2 = "10.77.2.10"
#: between two pings, in seconds
BEAT = 0.01


def run(folder: Path) -> list[Figure]:
    """Start the crowd, then evict the loaded one several times."""
    with Internet() as internet:
        make_sites(internet, [2])
        internet.host("crowd", "198.51.100.99")
        members = [_of_crowd(number) for number in range(CROWD)]
        loaded = member(2)
        with Vpn(folder / "vpn", "front", services=(("icmp", 0, 0),)) as vpn:
            vpn.start(loaded, *members)
            clients = [_client(vpn, one) for one in members]
            try:
                began = time.monotonic()
                for one in clients:
                    one.start()
                wait_for("all routers to be up", lambda: _up(vpn) >= CROWD, 120)
                up = time.monotonic() - began
                evictions = [_evict(vpn, loaded, members) for _ in range(EVICTIONS)]
                memory = {name: resident_mib(process.pid) for name, process in vpn.processes.items()}
            finally:
                for one in clients:
                    one.kill()
    return [
        Figure("routers_up_seconds", up, "s"),
        Figure("hub_memory_mib", memory["hub"], "MiB"),
        Figure("broker_memory_mib", memory["broker"], "MiB"),
        Figure("eviction_seconds", median(evictions), "s", "under 1"),
        Figure("eviction_longest_seconds", max(evictions), "s", "under 1"),
    ]


def _of_crowd(number: int) -> Member:
    one = member(3)
    high, low = divmod(number + 20, 256)
    return replace(
        one, key=f"crowd-{number}", site=f"crowd{number}", tunnel=f"10.77.{253 + high}.{low}",
        subnets=(f"10.77.{10 + number}.0/24",),
    )  # fmt: skip


def _client(vpn: Vpn, one: Member) -> Client:
    # No addresses and routes of their own: two hundred of them share one namespace.
    number = one.key.removeprefix("crowd-")
    extra = ("ifconfig-noexec", "route-noexec", f"dev crowd{number}", "dev-type tun")
    return vpn.client(one.key, "crowd", [(FRONT, vpn.port)], extra=extra)


def _up(vpn: Vpn) -> int:
    try:
        return len(json.loads(vpn.settings.status.read_text())["tunnels"])
    except (OSError, ValueError, KeyError):
        return 0


def _evict(vpn: Vpn, loaded: Member, members: Sequence[Member]) -> float:
    """Let the loaded router in, have it work, evict it; return the seconds until the last answer of its worker."""
    vpn.publish(loaded, *members)
    client = vpn.client(loaded.key, "r2", [(FRONT, vpn.port)])
    client.start()
    try:
        wait_for("the worker to answer", lambda: pings("front", W2), 30)
        words = ["nsenter", f"--net={NAMES / 'front'}", "ping", "-n", "-D", "-i", str(BEAT), "-W", "1", W2]
        beats = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        time.sleep(1.0)
        evicted = time.time()
        vpn.publish(*members)
        time.sleep(3.0)
        beats.terminate()
        said, _ = beats.communicate(timeout=10)
    finally:
        client.kill()
    answers = [float(found) for found in re.findall(r"^\[([0-9.]+)\] .* bytes from", said, re.MULTILINE)]
    return max(0.0, max(answers) - evicted)
