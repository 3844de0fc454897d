"""No secret is printed, stored or shown: after and during a day's work none is found where it should not be.

The secrets are the cluster's munge key, the key behind the tickets, the CA's key, what else the signer keeps, and every
ticket: a ticket stands in the user-data of its own VM and nowhere else. And no VM's own key ever leaves the VM.
"""

from __future__ import annotations

import base64
import contextlib
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from clues.bootstrap.tickets import Tickets
from tests.real.withstand_lab import Trial, trial

pytestmark = pytest.mark.real

#: So many bytes of a key in a row are a leak; fewer are chance.
PIECE = 24


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    with trial(tmp_path_factory.mktemp("secrets"), cpu_nodes="cpu-[01-04]", boot_time="1s") as cluster:
        yield cluster


def test_no_secret_is_in_the_ledger_the_logs_the_answers_or_any_command_line(cluster: Trial) -> None:
    seen: set[bytes] = set()
    readable: set[str] = set()
    keys: dict[Path, bytes] = {}
    over = threading.Event()
    watcher = threading.Thread(target=_watch, args=(cluster, over, seen, readable, keys))
    watcher.start()
    try:
        cluster.faults("cesnet").add("boot", "boot-fails", match={"node": "cpu-02"})
        jobs = [
            cluster.submit("--cpus-per-task=4", "--exclude=cpu-01"),
            cluster.submit("--partition=gpu", "--gres=gpu:1"),
        ]
        jobs.append(cluster.submit("--nodelist=cpu-01"))
        for job in jobs:
            cluster.completes(job)
        answers = _answers(cluster)
    finally:
        over.set()
        watcher.join()
    assert len(seen) > 50, "the watcher saw too few command lines to say anything"
    assert not readable, f"others may read files of VMs: {sorted(readable)[:5]}"
    tickets = Tickets.open(cluster.state)
    needles = {f"the ticket of {one.node}": [tickets.issue(one.key).encode()] for one in cluster.claims()}
    assert len(needles) >= 3
    files = {"munge key": cluster.front.folder / "etc" / "munge.key"}
    files |= {path.name: path for path in cluster.state.rglob("*.key")}
    assert {"ticket.key", "ca-1.key"} <= set(files), sorted(path.name for path in cluster.state.rglob("*"))
    for name, path in files.items():
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, f"{path} is open to others"
        needles[name] = _forms(path.read_bytes())
    assert keys, "no key of a VM was seen"
    needles |= {f"the key in {path}": _forms(key) for path, key in keys.items()}
    places = {str(path): path.read_bytes() for path in _kept(cluster)}
    places |= {"the answers of the API": answers, "command lines": b"\0\n".join(seen)}
    assert any(path.endswith("ledger.db") for path in places)
    found = [f"{what} in {place}" for place, text in places.items() for what in needles if _has(text, needles[what])]
    assert not found
    # the search itself works: the key is found in its own file, in each form
    for name, path in files.items():
        assert _has(path.read_bytes(), needles[name])
        assert _has(base64.b64encode(path.read_bytes()), needles[name])
    cluster.settle()


def _forms(key: bytes) -> list[bytes]:
    """Pieces of a key: raw, in hex, in base64 (each of its three alignments); of a PEM file its first line."""
    if key.startswith(b"-----BEGIN"):
        body = b"".join(line for line in key.splitlines() if not line.startswith(b"-----"))
        inner = [body[:64]]
        key = body
    else:
        inner = []
    encoded = [base64.b64encode(key[start:])[:32] for start in range(3)]
    return [key[:PIECE], key[-PIECE:], key[:PIECE].hex().encode(), *encoded, *inner]


def _has(text: bytes, forms: list[bytes]) -> bool:
    return any(form in text for form in forms)


def _kept(cluster: Trial) -> list[Path]:
    """What stays after a VM: the ledger, the daemon's log, the sites' own records, the user's home."""
    kept = [*cluster.state.glob("ledger.db*"), *cluster.folder.glob("*.log"), cluster.config]
    kept += [cluster.state / "inventory.json", *(cluster.state / "trust").iterdir(), *cluster.state.rglob("issued.db*")]
    for site in cluster.plan.vms:
        folder = cluster.folder / "sites" / site
        kept += [folder / "calls.jsonl", *folder.glob("instances/*.json"), *folder.glob("faults.json")]
    return [path for path in [*kept, *cluster.home.rglob("*")] if path.is_file()]


def _answers(cluster: Trial) -> bytes:
    paths = ["status", "nodes", "jobs", "sites", "version", "openapi.json"]
    paths += [f"explain/{name}" for name in [*cluster.nodes(), *cluster.plan.vms]]
    return b"\n".join([*(cluster.client.get(path) for path in paths), cluster.client.get("events", [("limit", 1000)])])


def _watch(
    cluster: Trial, over: threading.Event, seen: set[bytes], readable: set[str], keys: dict[Path, bytes]
) -> None:
    """Collect every command line of every process, every file of a VM's folder that others can get at, and the keys
    that VMs made for themselves."""
    while not over.wait(0.02):
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                seen.add(path.read_bytes())
            except OSError:
                continue  # it has ended meanwhile
        for site in cluster.plan.vms:
            for folder in (cluster.folder / "sites" / site, cluster.folder / "sites" / site / "vms"):
                if folder.exists() and stat.S_IMODE(folder.stat().st_mode) & 0o077:
                    readable.add(str(folder))
            with contextlib.suppress(OSError):  # a VM's folder goes with it
                for path in (cluster.folder / "sites" / site).rglob("tls/key.pem"):
                    if path not in keys and (key := path.read_bytes()).count(b"-----") == 4:
                        keys[path] = key
