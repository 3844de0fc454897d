"""What a gigabyte between two sites costs: through the central point, and by the routers' own tunnel."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from statistics import median

from tests.lab.bench.figures import Figure
from tests.lab.bench.overlay_lab import cpu_seconds, lengthen_queues, transfer
from tests.lab.vpn import run as run_in
from tests.lab.vpn import wait_for
from tests.real.router_lab import Sites, two_sites
from tests.real.router_traffic import up

ROUNDS = 3
SECONDS = 3.0
W2, W3, W3_ADDRESS = "w2-10", "w3-10", "10.77.3.10"
PORT = 1196


def run(folder: Path) -> list[Figure]:
    """Measure both ways in turns; medians of the CPU time of all OpenVPN processes for each gigabyte."""
    folder.mkdir(parents=True, exist_ok=True)
    cost: dict[bool, list[float]] = {False: [], True: []}
    with two_sites(folder) as sites:
        _prepare(sites)
        for _ in range(ROUNDS):
            for shortcut in (False, True):
                sites.shortcuts = shortcut
                sites.publish()
                wait_for(f"the way (shortcut: {shortcut})", lambda wanted=shortcut: _direct() is wanted, 30)  # type: ignore[misc]
                processes = 5 if shortcut else 3
                wait_for("OpenVPN's processes to come or go", lambda wanted=processes: len(_pids(sites)) == wanted)  # type: ignore[misc]
                pids = _pids(sites)
                for router in ("front", "r2", "r3"):
                    lengthen_queues(router)
                before = cpu_seconds(pids)
                done = transfer(W2, W3, W3_ADDRESS, folder, SECONDS)
                cost[shortcut].append((cpu_seconds(pids) - before) / (done.bytes / 1e9))
    hub, direct = median(cost[False]), median(cost[True])
    return [
        Figure("shortcut_cpu_ratio", direct / hub, "", "under 0.6"),
        Figure("shortcut_cpu_seconds_per_gb", direct, "s"),
        Figure("hub_cpu_seconds_per_gb", hub, "s"),
    ]


def _prepare(sites: Sites) -> None:
    sites.net.forward("site3", {("udp", PORT): "10.77.3.9"})
    for number in (2, 3):
        sites.router(number)
        sites.worker(number, 10)
    listener = sites.machines["r3"].key
    sites.members[listener] = replace(sites.members[listener], endpoint="198.51.100.30:1195")
    sites.vpn.start(*sites.members.values())
    sites.publish()
    for machine in sites.machines.values():
        machine.start()
    up(sites)


def _direct() -> bool:
    """Whether both routers send to the other site by their own tunnel."""
    ways = [run_in(router, "ip", "route", "get", other) for router, other in (("r2", W3_ADDRESS), ("r3", "10.77.2.10"))]
    return all("clues-s" in way for way in ways)


def _pids(sites: Sites) -> list[int]:
    """Every OpenVPN process there is: those that have nothing to do cost nothing."""
    found = [sites.vpn.processes["hub"].pid]
    for machine in sites.machines.values():
        folder = machine.folder / "run/clues-agent/pids"
        found += [int(file.read_text()) for file in folder.glob("*.vpn")]
    return [pid for pid in found if Path(f"/proc/{pid}").exists()]
