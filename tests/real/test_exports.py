"""What clues writes for nfs-ganesha, given to the real one: whose address and whose port it lets in."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from clues.config import Share
from tests.lab.frontend import LabError
from tests.lab.vpn import run, wait_for
from vrouter.exports import render_ganesha

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(shutil.which("ganesha.nfsd") is None, reason="nfs-ganesha is not installed"),
]

SERVER = "10.77.0.1"
#: The server's own namespace: other tests of the same sandbox leave routes and rules in the sandbox itself.
HOME = "nfs-s"
#: by namespace: a worker's address, one of the tenant's network, and one of the overlay at no site
CLIENTS = {"nfs-w": "10.77.2.10/16", "nfs-t": "10.78.0.2/16", "nfs-x": "10.77.9.9/16"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that exports /home, in memory: file handles of a real one need the real root."""
    folder = tmp_path_factory.mktemp("ganesha")
    text = render_ganesha([Share(Path("/home"))], ["10.77.2.0/24", "10.77.3.0/24"], backend="MEM")
    # The client in user space speaks 4.0 only, and nobody shall wait for the grace period of a first start.
    text = text.replace("Minor_Versions = 1, 2;", "Minor_Versions = 0, 1, 2; Graceless = true; RecoveryBackend = fs;")
    (folder / "ganesha.conf").write_text(text)
    for place in ("/var/lib/nfs/ganesha", "/run/ganesha", "/var/log/ganesha"):
        Path(place).mkdir(parents=True, exist_ok=True)
    _network()
    argv = [
        "ip",
        "netns",
        "exec",
        HOME,
        "ganesha.nfsd",
        "-F",
        "-f",
        str(folder / "ganesha.conf"),
        "-L",
        str(folder / "log"),
    ]
    process = subprocess.Popen([*argv, "-p", str(folder / "pid"), "-N", "NIV_EVENT"])
    try:
        try:
            wait_for("nfs-ganesha", lambda: process.poll() is not None or _listed("nfs-w").returncode == 0, 60, 0.3)
        except LabError as error:
            raise LabError(f"{error}: {_listed('nfs-w')}\n{(folder / 'log').read_text()[-3000:]}") from None
        assert process.poll() is None, (folder / "log").read_text()[-2000:]
        yield SERVER
    finally:
        process.kill()
        process.wait()
        for name in (*CLIENTS, HOME):
            subprocess.run(["ip", "netns", "del", name], check=False)


def _network() -> None:
    """A namespace for the server, with a bridge that has its two addresses, and one for each client."""
    ip = "ip"
    for argv in (
        [ip, "netns", "add", HOME],
        [ip, "-n", HOME, "link", "set", "lo", "up"],
        [ip, "-n", HOME, "link", "add", "nfs0", "type", "bridge"],
        [ip, "-n", HOME, "address", "add", f"{SERVER}/16", "dev", "nfs0"],
        [ip, "-n", HOME, "address", "add", "10.78.0.1/16", "dev", "nfs0"],
        [ip, "-n", HOME, "link", "set", "nfs0", "up"],
    ):
        subprocess.run(argv, check=True)
    for name, address in CLIENTS.items():
        for argv in (
            [ip, "netns", "add", name],
            [ip, "-n", HOME, "link", "add", f"h-{name}", "type", "veth", "peer", "name", "eth0", "netns", name],
            [ip, "-n", HOME, "link", "set", f"h-{name}", "master", "nfs0", "up"],
            [ip, "-n", name, "address", "add", address, "dev", "eth0"],
            [ip, "-n", name, "link", "set", "eth0", "up"],
        ):
            subprocess.run(argv, check=True)
    run("nfs-t", "ip", "route", "add", f"{SERVER}/32", "via", "10.78.0.1")


def _listed(name: str, *before: str) -> subprocess.CompletedProcess[str]:
    argv = ["ip", "netns", "exec", name, "timeout", "10", *before, "nfs-ls", f"nfs://{SERVER}/home?version=4"]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def test_a_worker_may_look_into_the_shared_folder(server: str) -> None:
    assert _listed("nfs-w").returncode == 0


@pytest.mark.parametrize("name", ["nfs-t", "nfs-x"])
def test_whoever_comes_from_elsewhere_finds_nothing_there(server: str, name: str) -> None:
    asked = _listed(name)
    assert asked.returncode != 0
    assert "NOENT" in asked.stdout + asked.stderr


def test_a_program_that_is_not_roots_is_refused_also_on_a_worker(server: str) -> None:
    asked = _listed("nfs-w", "unshare", "-U", "--map-user=1000")
    assert asked.returncode != 0
    assert "time" not in asked.stderr.lower()
    assert _listed("nfs-w", "unshare", "-U", "--map-root-user").returncode != 0  # root of a namespace is not root
    assert _listed("nfs-w").returncode == 0
