"""Throughput from worker to worker: our tunnel, against the same OpenVPN set up by hand, with and without tuning.

The path is the same for all three: a worker, its router, the internet, the central point, a worker behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from statistics import median

from tests.lab.bench.figures import Figure
from tests.lab.bench.overlay_lab import FRONT, TUNED, lengthen_queues, make_sites, process, transfer
from tests.lab.internet import Internet
from tests.lab.vpn import Vpn, member, pings, wait_for
from tests.lab.vpn_ca import SERVER

ROUNDS = 5
SECONDS = 3.0
W1 = "10.77.1.10"


def run(folder: Path) -> list[Figure]:
    """Measure the three in turns; medians."""
    folder.mkdir(parents=True, exist_ok=True)
    ways: dict[str, Callable[[Path], AbstractContextManager[None]]] = {
        "ours": _ours,
        "default": _by_hand,
        "tuned": _tuned,
    }
    rates: dict[str, list[float]] = {way: [] for way in ways}
    retransmits: dict[str, list[int]] = {way: [] for way in ways}
    with Internet() as internet:
        make_sites(internet, [2])
        for number in range(ROUNDS):
            for way, tunnel in ways.items():
                here = folder / f"{way}-{number}"
                here.mkdir()
                with tunnel(here):
                    wait_for(f"the tunnel {way}", lambda: pings("w2", W1))
                    if way != "default":
                        for router in ("front", "r2"):
                            lengthen_queues(router)
                    done = transfer("w2", "w1", W1, here, SECONDS)
                rates[way].append(done.bits_per_second / 1e6)
                retransmits[way].append(done.retransmits)
    ours, default, tuned = (median(rates[way]) for way in ("ours", "default", "tuned"))
    return [
        Figure("throughput_vs_default", ours / default, "", "above 1.5"),
        Figure("throughput_vs_tuned", ours / tuned, "", "above 0.97"),
        Figure("throughput_mbit", ours, "Mbit/s"),
        Figure("default_mbit", default, "Mbit/s"),
        Figure("tuned_mbit", tuned, "Mbit/s"),
        Figure("retransmits", median(retransmits["ours"]), "segments"),
        Figure("default_retransmits", median(retransmits["default"]), "segments"),
    ]


@contextmanager
def _ours(folder: Path) -> Iterator[None]:
    with Vpn(folder / "vpn", "front", routes=("10.77.1.0/24",), services=(("tcp", 1, 65535),)) as vpn:
        vpn.start(member(2))
        client = vpn.client("key-2", "r2", [(FRONT, 1194)]).start()
        try:
            client.up()
            yield
        finally:
            client.kill()


@contextmanager
def _by_hand(folder: Path, extra: Sequence[str] = ()) -> Iterator[None]:
    """What a good tutorial says: a server, one client, TLS, a route for the client's network; nothing else."""
    vpn = Vpn(folder / "vpn", "front")  # for its certificates only; neither of its processes runs
    client = vpn.client("key-2", "r2", [(FRONT, 1194)])
    server = vpn.client("server", "front", [(FRONT, 1194)], usage=SERVER)
    (folder / "clients").mkdir()
    (folder / "clients" / "key-2").write_text("iroute 10.77.2.0 255.255.255.0\n")
    common = ["dev tun0", "proto udp4", "ca ca.pem", "cert cert.pem", "key key.pem", *extra]
    (server.folder / "hand.conf").write_text(
        "\n".join(
            [
                "server 10.77.252.0 255.255.252.0",
                "topology subnet",
                "dh none",
                f"client-config-dir {folder / 'clients'}",
                "route 10.77.2.0 255.255.255.0",
                'push "route 10.77.1.0 255.255.255.0"',
                "keepalive 10 60",
                *common,
                "",
            ]
        )
    )
    (client.folder / "hand.conf").write_text(
        "\n".join(["client", f"remote {FRONT} 1194", "nobind", "remote-cert-tls server", *common, ""])
    )
    with (
        process("front", ["openvpn", "--cd", str(server.folder), "--config", "hand.conf"], folder / "server.log"),
        process("r2", ["openvpn", "--cd", str(client.folder), "--config", "hand.conf"], folder / "client.log"),
    ):
        yield


def _tuned(folder: Path) -> AbstractContextManager[None]:
    return _by_hand(folder, TUNED)
