"""What systemd hears from a running cluesd: ready after its first look, alive at each tick, reloading, stopping."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.cluster import Cluster

pytestmark = pytest.mark.real


class Listener:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(0.2)

    def wait_for(self, line: str, timeout: float = 20) -> list[str]:
        """Return all lines up to the wanted one."""
        heard: list[str] = []
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            try:
                heard += self._socket.recv(4096).decode().splitlines()
            except TimeoutError:
                continue
            if line in heard:
                return heard
        pytest.fail(f"{line} was not heard in {timeout} s, only {heard}")

    def silent_for(self, seconds: float) -> bool:
        """Return whether nothing at all is heard for so long."""
        self._socket.settimeout(seconds)
        try:
            self._socket.recv(4096)
        except TimeoutError:
            return True
        finally:
            self._socket.settimeout(0.2)
        return False

    def close(self) -> None:
        self._socket.close()
        self.path.unlink()


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    listener = Listener(tmp_path / "notify")
    yield listener
    listener.close()


def test_systemd_hears_what_it_needs(tmp_path: Path, listener: Listener) -> None:
    cluster = Cluster(tmp_path / "cluster")
    cluster.start(daemon=False)
    try:
        with cluster.front.frozen():  # Slurm answers nothing: the daemon runs, and is not ready
            cluster.launch_daemon(env={"NOTIFY_SOCKET": str(listener.path)})
            assert listener.silent_for(3)
        heard = listener.wait_for("READY=1", 40)
        assert "WATCHDOG=1" not in heard
        listener.wait_for("WATCHDOG=1")
        cluster.signal_daemon(signal.SIGHUP)
        heard = listener.wait_for("RELOADING=1")
        listener.wait_for("READY=1")
        assert cluster.stop_daemon() == 0
        listener.wait_for("STOPPING=1")
    finally:
        cluster.stop()
