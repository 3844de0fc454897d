"""The processes of a front-end, as systemd would run them: each by itself, to be killed and started again by tests.

They start side by side and none waits for another: so they have to find each other, as after a power failure.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from clues.places import Places
from tests.lab.frontend import LabError, wait_for

#: Each process by the name that tests call it, and the module that it is.
MODULES = {
    "signer": "clues.signer.main",
    "enrol": "clues.bootstrap.main",
    "cluesd": "clues.cluesd",
    "hub": "vrouter.hub.main",
    "broker": "vrouter.broker.main",
}


class Processes:
    """The processes of one cluster; each writes ``NAME.log`` in the cluster's folder."""

    def __init__(self, folder: Path, config: Path, places: Places, enrolment: Callable[[], tuple[str, int]]) -> None:
        """:param enrolment: where the enrolment front listens."""
        self._folder, self._config, self._places, self._enrolment = folder, config, places, enrolment
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def launch(self, name: str, command: Sequence[str] = (), env: Mapping[str, str] | None = None) -> None:
        """Start a process without waiting for anything.

        :param command: what Python runs in place of the process's own module.
        """
        if not self.ended(name):
            raise LabError(f"{name} runs already")
        words = [sys.executable, *(command or ("-m", MODULES[name])), "--config", str(self._config)]
        with (self._folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **(env or {})}
            )

    def stop(self, name: str, how: signal.Signals = signal.SIGTERM, timeout: float = 40) -> int | None:
        """End a process with a signal; its exit code, None if it was not running."""
        process = self._running.pop(name, None)
        if process is None:
            return None
        if process.poll() is None:
            process.send_signal(how)
            process.send_signal(signal.SIGCONT)  # one that stands still hears nothing else
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise LabError(f"{name} did not end:\n{self.log(name)}") from None

    def stop_all(self, names: Iterable[str]) -> None:
        """End these, all at once."""
        chosen = [name for name in names if name in self._running]
        for name in chosen:
            if self._running[name].poll() is None:
                self._running[name].terminate()
        for name in chosen:
            self.stop(name)

    def remove_rules(self) -> None:
        """Take the broker's firewall away, which outlives it: the next cluster here has the same ranges."""
        words = [sys.executable, "-m", MODULES["broker"], "--config", str(self._config), "--remove-rules"]
        with (self._folder / "broker.log").open("ab") as log:
            subprocess.run(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=20, check=False)

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a process a signal (SIGHUP, SIGSTOP, ...)."""
        self._running[name].send_signal(number)

    def pid(self, name: str) -> int:
        """Return the id of a process that runs."""
        return self._running[name].pid

    def ended(self, name: str) -> bool:
        """Whether a process has ended, or was never started."""
        return name not in self._running or self._running[name].poll() is not None

    def log(self, name: str, lines: int = 30) -> str:
        """The end of a process's log."""
        path = self._folder / f"{name}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""

    def wait(self, name: str, timeout: float = 20) -> None:
        """Wait until a process does what it is for; cluesd is asked by its cluster, which speaks its API.

        One that ends meanwhile is started again, as its unit has it: what it needs may be made by another.

        :raises LabError: it takes too long.
        """
        serves = {"signer": self._signs, "enrol": self._takes_calls, "hub": self._has_socket, "broker": self._tells}

        def ready() -> bool | None:
            if self.ended(name):
                self.launch(name)
            return True if serves[name]() else None

        wait_for(f"{name} to serve", ready, timeout, lambda: self.log(name))

    def _signs(self) -> bool:
        return self._places.signer_socket.exists() and any(self._places.trust.glob("ca*.pem"))

    def _takes_calls(self) -> bool:
        try:
            socket.create_connection(self._enrolment(), timeout=1).close()
        except OSError:
            return False
        return True

    def _has_socket(self) -> bool:
        return self._places.management_socket.exists()

    def _tells(self) -> bool:
        return self._places.hub_status.exists()
