"""One service of the cloud as a process tree that cannot outlive whoever started it.

Each runs in a PID namespace of its own. Killing its first process ends all that it has forked, however it detached
itself (Erlang's port mapper does, uwsgi's workers might); and that process is killed when this one ends, also by
kill -9. So nothing has to be looked for by name, at no end.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.lab.frontend import LabError, wait_for

#: An ordinary user becomes a root that is none, as in the sandbox.
_AS_ROOT = () if os.geteuid() == 0 else ("unshare", "--user", "--map-root-user", "--")
_TREE = (
    "setpriv",
    "--pdeathsig",
    "KILL",
    "--",
    "unshare",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
)


class Service:
    """A service that writes its output to ``NAME.log``. Start it from the main thread: it ends with that thread."""

    def __init__(
        self, name: str, words: Sequence[str], logs: Path, env: Mapping[str, str], port: int | None = None
    ) -> None:
        """:param port: of 127.0.0.1, where it listens once it serves."""
        self.name, self.port = name, port
        self._words, self._env = tuple(words), dict(env)
        self._log = logs / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        #: wall time, as :func:`time.time` has it
        self.started_at = 0.0

    def start(self) -> None:
        """Start it without waiting for anything."""
        self.started_at = time.time()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*_AS_ROOT, *_TREE, "--", *self._words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._env,
                cwd=self._log.parent,
            )

    def wait(self, timeout: float, serves: Callable[[], bool] | None = None) -> None:
        """Wait until it serves: until *serves* says so, or else until it takes connections.

        :raises LabError: it has ended, or takes too long; with the end of its log.
        """
        asked = serves or self._listens

        def ready() -> bool | None:
            if not self.runs:
                raise LabError(f"{self.name} has ended:\n{self.log()}")
            return True if asked() else None

        wait_for(f"{self.name} to serve", ready, timeout, self.log)

    @property
    def runs(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def kill(self, timeout: float = 20) -> None:
        """Pull its plug and wait until nothing of it is left; repeating it is harmless.

        :raises LabError: something still listens at its port.
        """
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait()
        if self.port is not None:
            wait_for(f"the end of {self.name}", lambda: None if self._listens() else True, timeout, self.log)

    def wait_end(self, timeout: float) -> None:
        """Wait until it has ended by itself, and kill it if it does not."""
        if self._process is None:
            return
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise LabError(f"{self.name} did not end:\n{self.log()}") from None

    def log(self, lines: int = 30) -> str:
        """The end of its log."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-lines:]) if self._log.exists() else ""

    def _listens(self) -> bool:
        if self.port is None:
            return True
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


class Ports:
    """Free TCP ports of 127.0.0.1, each given once."""

    def __init__(self) -> None:
        self._given: set[int] = set()

    def take(self) -> int:
        """Return a port that is free now and was not given before."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port: int = probe.getsockname()[1]
            if port not in self._given:
                self._given.add(port)
                return port
        raise LabError("no free port")
